"""The gallery's promises, for both of its sides; of the server, its own client library stands in for the process."""

import asyncio
import uuid
from collections.abc import AsyncIterator
from pathlib import Path

import numpy as np
import pytest
from qdrant_client import AsyncQdrantClient
from tests.integration.gateway_identity import database
from tests.integration.gateway_identity.making import MODEL, SIZE, axis, face

from vigil_gateway.storage.errors import GalleryError
from vigil_gateway.storage.postgres.pool import Database
from vigil_gateway.storage.qdrant.embedded import EmbeddedGallery
from vigil_gateway.storage.qdrant.gallery import Entry, Gallery, collection_name
from vigil_gateway.storage.qdrant.reconcile import reconcile
from vigil_gateway.storage.qdrant.server import ServerGallery

pytestmark = [
    pytest.mark.integration,
    pytest.mark.filterwarnings("ignore:Payload indexes have no effect", "ignore:Local mode performs exact"),
]


@pytest.fixture(params=["embedded", "server"])
async def gallery(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Gallery]:
    made: Gallery = (
        EmbeddedGallery(tmp_path / "gallery")
        if request.param == "embedded"
        else ServerGallery(AsyncQdrantClient(location=":memory:"), "vigil-home-")
    )
    await made.open()
    yield made
    await made.close()


def entries(*people: uuid.UUID) -> list[Entry]:
    return [Entry(one, f"p{n}", face(10 * number + n)) for number, one in enumerate(people) for n in range(2)]


def contents(folder: Path) -> list[bytes]:
    return [file.read_bytes() for file in folder.rglob("*") if file.is_file()]


async def test_it_is_written_anew_without_what_was_removed(gallery: Gallery, tmp_path: Path) -> None:
    """Of a point that was removed Qdrant keeps the vector and the payload in its files."""
    ann, bob = uuid.uuid4(), uuid.uuid4()
    await gallery.create(MODEL, SIZE)
    held = entries(ann, bob)
    await gallery.put(MODEL, held)
    await gallery.discard(MODEL, [entry.point_id for entry in held[:2]])
    await gallery.rewrite(MODEL)
    needles = (str(ann).encode(), held[0].vector.astype("<f4").tobytes())
    assert not any(needle in content for needle in needles for content in contents(tmp_path))
    assert await gallery.points(MODEL) == {entry.point_id for entry in held[2:]}
    (found,) = await gallery.search(MODEL, held[2].vector[None], 32)
    assert [one.subject_id for one in found.nearest] == [bob]
    assert len(await gallery.models()) == 1
    await gallery.put(MODEL, held[:1])
    assert len(await gallery.points(MODEL)) == 3


async def test_it_finds_what_was_added_and_not_removed(gallery: Gallery) -> None:
    ann, bob = uuid.uuid4(), uuid.uuid4()
    await gallery.create(MODEL, SIZE)
    held = entries(ann, bob)
    await gallery.put(MODEL, held)
    await gallery.put(MODEL, held)
    (found,) = await gallery.search(MODEL, held[0].vector[None], 32)
    assert found.nearest[0].subject_id == ann
    assert found.nearest[0].similarity == pytest.approx(1, abs=1e-3)
    assert [one.subject_id for one in found.nearest] == [ann, bob]
    assert found.complete
    assert await gallery.points(MODEL) == {entry.point_id for entry in held}
    assert await gallery.points(MODEL, bob) == {entry.point_id for entry in held[2:]}
    await gallery.discard(MODEL, [entry.point_id for entry in held[:2]])
    (found,) = await gallery.search(MODEL, held[0].vector[None], 32)
    assert [one.subject_id for one in found.nearest] == [bob]
    assert not (await gallery.search(MODEL, held[0].vector[None], 1))[0].complete


async def test_each_model_has_a_collection_of_its_own(gallery: Gallery) -> None:
    await gallery.create(MODEL, SIZE)
    await gallery.create("other/net@1", 8)
    await gallery.put(MODEL, entries(uuid.uuid4()))
    assert await gallery.points("other/net@1") == set()
    assert set(await gallery.models()) == {collection_name(MODEL), collection_name("other/net@1")}
    await gallery.create(MODEL, SIZE)
    assert len(await gallery.points(MODEL)) == 2
    with pytest.raises(GalleryError):
        await gallery.search("unheard@of", axis(0)[None], 5)


def test_collections_of_different_models_never_share_a_name() -> None:
    names = [collection_name(model) for model in ("a/b@1", "a-b@1", "a.b@1", "../../etc", "x" * 300)]
    assert len(set(names)) == len(names)
    assert all(len(name) < 100 and "/" not in name and ".." not in name for name in names)


async def test_it_is_brought_to_what_the_database_holds(gallery: Gallery, database_url: str) -> None:
    await database.add_model(database_url)
    ann = await database.add_subject(database_url, "ann", axis(0), axis(1))
    postgres = Database(database_url, "test")
    await postgres.open()
    await gallery.create(MODEL, SIZE)
    stranger = Entry(uuid.uuid4(), "p", axis(2))
    stale = Entry(ann, "photo-0", axis(3))
    await gallery.put(MODEL, [stranger, stale])
    assert await reconcile(postgres, gallery, MODEL) == (2, 2)
    assert await reconcile(postgres, gallery, MODEL) == (0, 0)
    (found,) = await gallery.search(MODEL, axis(1)[None], 10)
    assert [(one.subject_id, round(one.similarity, 3)) for one in found.nearest] == [(ann, 1.0)]
    await postgres.close()


async def test_a_broken_embedded_gallery_is_rebuilt(tmp_path: Path) -> None:
    """An intact one survives a restart."""
    folder, held = tmp_path / "gallery", entries(uuid.uuid4())
    for broken in (False, False, True):
        gallery = EmbeddedGallery(folder)
        await gallery.open()
        await gallery.create(MODEL, SIZE)
        await gallery.put(MODEL, held)
        assert len(await gallery.points(MODEL)) == 2
        await gallery.close()
        if not broken:
            continue
        for path in (folder / collection_name(MODEL)).rglob("*"):
            if path.is_file():
                path.write_bytes(b"rubbish")
    gallery = EmbeddedGallery(folder)
    await gallery.open()
    await gallery.create(MODEL, SIZE)
    assert await gallery.points(MODEL) == set()
    await gallery.create(MODEL, SIZE * 2)
    await gallery.close()


@pytest.mark.parametrize("form", [None, "1"])
async def test_a_gallery_of_another_version_is_rebuilt(tmp_path: Path, form: str | None) -> None:
    """The layout of an embedded gallery may change between versions."""
    gallery = EmbeddedGallery(tmp_path)
    await gallery.open()
    await gallery.create(MODEL, SIZE)
    await gallery.put(MODEL, entries(uuid.uuid4()))
    await gallery.close()
    said = tmp_path / f"{collection_name(MODEL)}.form"
    said.unlink()
    if form is not None:
        said.write_text(form)
    gallery = EmbeddedGallery(tmp_path)
    await gallery.open()
    await gallery.create(MODEL, SIZE)
    assert await gallery.points(MODEL) == set()
    assert await gallery.models() == [collection_name(MODEL)]
    await gallery.close()


async def test_the_nearest_of_many_is_found(tmp_path: Path) -> None:
    """Also while the gallery is optimised, and after a restart."""
    size, people = 128, 24_000
    rng = np.random.default_rng(7)
    faces = rng.standard_normal((people, size)).astype(np.float32)
    faces /= np.linalg.norm(faces, axis=1, keepdims=True)
    ids = [uuid.uuid4() for _ in range(people)]
    noise = rng.standard_normal((100, size)).astype(np.float32)
    probes = faces[::240] + 0.25 * noise  # cosine about 0.3: many others are nearly as near
    probes /= np.linalg.norm(probes, axis=1, keepdims=True)
    nearest = [ids[number] for number in np.argmax(probes @ faces.T, axis=1)]

    async def found(gallery: EmbeddedGallery) -> list[uuid.UUID]:
        return [one.nearest[0].subject_id for one in await gallery.search(MODEL, probes, 10)]

    gallery = EmbeddedGallery(tmp_path)
    await gallery.open()
    await gallery.create(MODEL, size)
    await gallery.put(MODEL, [Entry(one, "photo", vector) for one, vector in zip(ids, faces, strict=True)])
    settling = asyncio.create_task(gallery.settle(MODEL))
    while not settling.done():
        assert await found(gallery) == nearest
    await settling
    assert await found(gallery) == nearest
    await gallery.close()

    gallery = EmbeddedGallery(tmp_path)
    await gallery.open()
    await gallery.create(MODEL, size)
    assert await found(gallery) == nearest
    await gallery.close()
