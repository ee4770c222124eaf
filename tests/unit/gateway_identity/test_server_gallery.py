"""The settings of a Qdrant server find everybody; a collection of an earlier version gets them, and misses nobody."""

import uuid
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from qdrant_client import AsyncQdrantClient, models
from qdrant_client.conversions.conversion import GrpcToRest, RestToGrpc

from vigil_gateway.storage.errors import GalleryError
from vigil_gateway.storage.qdrant import server
from vigil_gateway.storage.qdrant.gallery import Entry, collection_name
from vigil_gateway.storage.qdrant.server import ServerGallery, server_gallery
from vigil_gateway.storage.qdrant.server_settings import TABLE, changes, search_params, settings_for, vectors

MODEL, SIZE = "maker/net@1", 512
NAME = f"vigil-home-{collection_name(MODEL)}"
FORMER = models.VectorParams(size=SIZE, distance=models.Distance.DOT)
IGNORED = pytest.mark.filterwarnings("ignore:Payload indexes have no effect", "ignore:Local mode performs exact")


def unit_rows(rows: NDArray[np.float32]) -> NDArray[np.float32]:
    scaled: NDArray[np.float32] = rows / np.linalg.norm(rows, axis=1, keepdims=True)
    return scaled


@pytest.mark.parametrize(("size", "cosine"), [(128, 0.36), (512, 0.4), (512, 0.74)])
def test_the_candidates_hold_the_person(size: int, cosine: float) -> None:
    """The coarse comparison as Qdrant documents it, of faces that are only just recognised, among 20,000 people."""
    random = np.random.default_rng(size)
    people = unit_rows(random.standard_normal((20_000, size), np.float32))
    wanted = random.integers(0, len(people), 400)
    noise = random.standard_normal((400, size)).astype(np.float32)
    noise -= (noise * people[wanted]).sum(axis=1, keepdims=True) * people[wanted]
    faces = cosine * people[wanted] + (1 - cosine**2) ** 0.5 * unit_rows(noise)
    chosen = settings_for(size)
    if isinstance(chosen.quantisation, models.BinaryQuantization):
        coarse = np.sign(faces) @ np.sign(people).T
    else:
        most = float(np.quantile(np.abs(people), 0.99))
        coarse = faces @ np.clip(np.round(people / most * 127), -127, 127).T
    better = (coarse > coarse[np.arange(400), wanted][:, None]).sum(axis=1)
    exact = (faces @ people.T > cosine + 1e-4).sum(axis=1)
    missed = (better >= chosen.candidates) & (exact < 10)
    assert missed.sum() == 0


def test_the_settings_on_the_client_s_models() -> None:
    assert [one.least_size for one in TABLE] == sorted((one.least_size for one in TABLE), reverse=True)
    assert vectors(512).model_dump(exclude_none=True, mode="json") == {
        "size": 512,
        "distance": "Dot",
        "hnsw_config": {"m": 0},
        "quantization_config": {"binary": {"always_ram": True}},
    }
    assert vectors(128).model_dump(exclude_none=True, mode="json")["quantization_config"] == {
        "scalar": {"type": "int8", "quantile": 0.99, "always_ram": True}
    }
    params = search_params(512, 32, exact=False)
    assert params.quantization is not None
    assert params.quantization.rescore
    assert (params.quantization.oversampling or 0) * 32 == settings_for(512).candidates
    assert search_params(128, 10_000, exact=False).quantization == models.QuantizationSearchParams(
        ignore=False, rescore=True, oversampling=1
    )


@pytest.mark.parametrize("size", [128, 512])
def test_only_other_settings_are_changed(size: int) -> None:
    assert changes(vectors(size)) is None
    returned = vectors(size).model_dump(mode="json")
    returned["hnsw_config"]["ef_construct"] = 100
    kind = returned["quantization_config"].get("scalar")
    if kind:
        kind["quantile"] = float(np.float32(0.99))
    assert changes(models.VectorParams.model_validate(returned)) is None, "what a server adds is no difference"
    wanted = changes(models.VectorParams(size=size, distance=models.Distance.DOT))
    assert wanted is not None
    assert wanted.hnsw_config == vectors(size).hnsw_config
    assert wanted.quantization_config == vectors(size).quantization_config


@pytest.mark.parametrize("size", [128, 512])
def test_grpc_carries_the_same_settings(size: int) -> None:
    """As the client converts them; a number of 32 bits that comes back is no difference."""
    carried = GrpcToRest.convert_vector_params(RestToGrpc.convert_vector_params(vectors(size)))
    assert changes(carried) is None
    for exact in (False, True):
        params = search_params(size, 32, exact=exact)
        returned = GrpcToRest.convert_search_params(RestToGrpc.convert_search_params(params))
        assert returned.exact == exact
        assert returned.indexed_only is False
        assert returned.quantization == params.quantization
    wanted = changes(FORMER)
    assert wanted is not None
    diff = RestToGrpc.convert_vectors_config_diff({"": wanted})
    unnamed = diff.params_map.map.get("", diff.params)
    assert unnamed.HasField("quantization_config")
    assert unnamed.hnsw_config.HasField("m")


class Recording(AsyncQdrantClient):
    """The client's own engine in memory, which keeps no settings, so that they are kept here."""

    def __init__(self, found: models.VectorParams) -> None:
        super().__init__(location=":memory:")
        self.found, self.status = found, models.CollectionStatus.YELLOW
        self.changed: list[Any] = []
        self.params: list[models.SearchParams] = []

    async def get_collection(self, *arguments: Any, **options: Any) -> models.CollectionInfo:
        info = await super().get_collection(*arguments, **options)
        info.config.params.vectors, info.status = self.found, self.status
        return info

    async def update_collection(self, *_: Any, **options: Any) -> bool:
        self.changed.append(options["vectors_config"])
        self.found = vectors(SIZE)
        return True

    async def query_batch_points(self, name: str, requests: Any, *arguments: Any, **options: Any) -> Any:  # type: ignore[override]
        self.params += [request.params for request in requests]
        return await super().query_batch_points(name, requests, *arguments, **options)


@IGNORED
async def test_a_former_collection_is_searched_exactly(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its graph is there until the server has optimised it; a restart meanwhile changes nothing."""
    monkeypatch.setattr(server, "CHANGED_S", 0.0)
    monkeypatch.setattr(server, "ASK_AGAIN_S", 0.0)
    client = Recording(FORMER)
    await client.create_collection(NAME, vectors_config=FORMER)
    face = unit_rows(np.ones((1, SIZE), np.float32))

    async def is_exact(gallery: ServerGallery) -> bool:
        await gallery.search(MODEL, face, 32)
        last = client.params[-1]
        assert last.quantization is not None
        assert last.exact == last.quantization.ignore
        return bool(last.exact)

    first, second = ServerGallery(client, "vigil-home-"), ServerGallery(client, "vigil-home-")
    await first.create(MODEL, SIZE)
    assert client.changed == [{"": changes(FORMER)}]
    assert await is_exact(first)
    await second.create(MODEL, SIZE)
    assert len(client.changed) == 1
    assert await is_exact(second)
    client.status = models.CollectionStatus.GREEN
    assert not await is_exact(first)
    assert not await is_exact(second)
    client.status = models.CollectionStatus.YELLOW
    assert not await is_exact(first), "without a graph, what is not indexed is compared in full by itself"
    await client.close()


@IGNORED
async def test_a_changed_collection_is_not_trusted_at_once() -> None:
    """A server reports that all is optimised until its optimiser begins."""
    client = Recording(FORMER)
    client.status = models.CollectionStatus.GREEN
    await client.create_collection(NAME, vectors_config=FORMER)
    gallery = ServerGallery(client, "vigil-home-")
    await gallery.create(MODEL, SIZE)
    await gallery.put(MODEL, [])
    await gallery.search(MODEL, unit_rows(np.ones((1, SIZE), np.float32)), 32)
    assert client.params[-1].exact
    await client.close()


@pytest.mark.parametrize("grpc_port", [None, 9])
async def test_a_server_that_is_away_is_an_error_of_ours(grpc_port: int | None) -> None:
    gallery = server_gallery("http://127.0.0.1:9", None, "home", grpc_port)
    with pytest.raises(GalleryError, match="Qdrant"):
        await gallery.open()
    with pytest.raises(GalleryError, match="Qdrant"):
        await gallery.put(MODEL, [Entry(uuid.uuid4(), "p", np.ones(SIZE, np.float32))])
    await gallery.close()
