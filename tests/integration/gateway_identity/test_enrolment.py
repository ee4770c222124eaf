"""Subjects through the registry: photos of real people, real models in a real Triton."""

import asyncio
import hashlib
import io
import json
import struct
import threading
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from PIL import Image, ImageFilter
from tests.integration.gateway_identity import database
from tests.integration.gateway_identity.enrolling import photo, put
from tests.integration.gateway_identity.making import a_sighting, camera_resource, shot, subject_resource
from tests.integration.gateway_identity.running import DEADLINE_S, Bus, client_of, until_ready
from tests.support.servers import TritonServer
from tests.support.shared import shared
from tests.support.waiting import eventually

from vigil_contracts.ids import new_sighting_id
from vigil_gateway.services import photos
from vigil_gateway.storage.postgres.resource_rows import PhotoRow

pytestmark = pytest.mark.integration

Start = Callable[..., Any]


def changed(path: str, change: Callable[[Image.Image], Image.Image]) -> bytes:
    """Return a changed photo."""
    out = io.BytesIO()
    with Image.open(shared("faces") / path) as image:
        change(image.convert("RGB")).save(out, "PNG")
    return out.getvalue()


def tiny(image: Image.Image) -> Image.Image:
    small = image.copy()
    small.thumbnail((70, 70))
    canvas = Image.new("RGB", (320, 320), "grey")
    canvas.paste(small, (100, 100))
    return canvas


def bomb() -> bytes:
    """Make a PNG of 100 KB that claims 40,000 x 40,000 pixels."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", 40_000, 40_000, 8, 2, 0, 0, 0)
    data = zlib.compress(bytes(100_000_000), 9)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", data) + chunk(b"IEND", b"")


REFUSED: dict[str, tuple[Callable[[], bytes], set[str]]] = {
    "no face": (lambda: changed("joe-biden/1.jpg", lambda image: Image.new("RGB", image.size, "green")), {"NoFace"}),
    "two faces": (lambda: photo("groups/kit-and-rose.jpg"), {"SeveralFaces"}),
    "a tiny face": (lambda: changed("joe-biden/1.jpg", tiny), {"FaceTooSmall", "NoFace", "LowConfidence"}),
    "a blurred face": (
        lambda: changed("joe-biden/1.jpg", lambda image: image.filter(ImageFilter.GaussianBlur(image.width / 60))),
        {"FaceBlurred"},
    ),
    "too dark": (
        lambda: changed("joe-biden/1.jpg", lambda image: image.point([round(n * 0.06) for n in range(256)] * 3)),
        {"TooDark", "NoFace", "LowConfidence"},
    ),
    "not an image": (lambda: b"this is a letter, not a photo", {"NotAnImage"}),
    "cut short": (lambda: photo("joe-biden/1.jpg")[:5000], {"NotAnImage"}),
    "empty": (lambda: b"", {"NotAnImage"}),
    "a decompression bomb": (bomb, {"TooLarge"}),
}


@pytest.mark.parametrize("what", REFUSED)
async def test_a_bad_photo_is_refused_with_its_reason(http: httpx.AsyncClient, database_url: str, what: str) -> None:
    make, reasons = REFUSED[what]
    report = await put(http, "joe", {"bad": make()})
    (result,) = report["photos"]
    assert not result["accepted"]
    assert result["reason"] in reasons
    assert result["message"]
    assert (report["enrolled"], report["reason"]) == (False, "NoUsablePhoto")
    assert await database.rows(database_url, "SELECT 1 FROM subject_embeddings") == []


async def test_a_good_photo_beside_a_bad_one_is_enough(http: httpx.AsyncClient, database_url: str) -> None:
    report = await put(http, "joe", {"good": photo("joe-biden/1.jpg"), "bad": b"no photo"})
    assert report["enrolled"]
    assert [(one["name"], one["accepted"]) for one in report["photos"]] == [("good", True), ("bad", False)]
    assert report["photos"][0]["quality"] > 0.5
    (kept,) = await database.rows(database_url, "SELECT photo, vector, model_id FROM subject_embeddings")
    vector = np.frombuffer(kept["vector"], "<f4")
    assert (kept["photo"], kept["model_id"]) == ("good", report["modelId"])
    assert np.linalg.norm(vector) == pytest.approx(1, abs=1e-3)


async def test_case_one_person_twice_is_reported_for_both(http: httpx.AsyncClient) -> None:
    """Case one-person-twice: by the photos, whatever their bytes; another person and one without consent are not."""
    first = await put(http, "joe", {"one": photo("joe-biden/1.jpg")})
    other = await put(http, "kit", {"one": photo("kit-harington/1.jpg")})
    assert first["lookalikes"] == other["lookalikes"] == []

    turned = changed("joe-biden/1.jpg", lambda image: image.rotate(180))
    second = await put(http, "joseph", {"upside-down": turned})
    (found,) = second["lookalikes"]
    assert (found["namespace"], found["name"]) == ("default", "joe")
    assert found["similarity"] > 0.95
    stored = (await http.get("/registry/v1/subjects/default/joe")).json()
    assert [one["name"] for one in stored["lookalikes"]] == ["joseph"]

    await put(http, "joseph", {"upside-down": turned}, consent={"status": "Withdrawn"})
    stored = (await http.get("/registry/v1/subjects/default/joe")).json()
    assert stored["lookalikes"] == []


def files_with(folder: Path, needle: bytes) -> list[Path]:
    return [path for path in folder.rglob("*") if path.is_file() and needle in path.read_bytes()]


async def test_the_photo_itself_is_kept_nowhere(http: httpx.AsyncClient, database_url: str, tmp_path: Path) -> None:
    data = photo("joe-biden/1.jpg")
    await put(http, "joe", {"good": data})
    needle = data[2000:2032]
    assert files_with(tmp_path, needle) == []
    for table in ("subjects", "subject_photos", "subject_embeddings"):
        rows = await database.rows(database_url, f"SELECT t::text AS all FROM {table} t")  # noqa: S608 - our tables
        assert not [row for row in rows if needle.hex() in row["all"]]


async def test_photos_of_two_people_are_not_one_subject(http: httpx.AsyncClient) -> None:
    both = await put(http, "both", {"joe": photo("joe-biden/1.jpg"), "kit": photo("kit-harington/1.jpg")})
    assert {one["reason"] for one in both["photos"]} == {"NotTheSamePerson"}
    assert not both["enrolled"]
    most = {"a": photo("kit-harington/1.jpg"), "b": photo("kit-harington/2.jpg"), "c": photo("joe-biden/1.jpg")}
    mixed = await put(http, "mixed", most)
    assert [(one["name"], one["reason"]) for one in mixed["photos"]] == [
        ("a", "Accepted"),
        ("b", "Accepted"),
        ("c", "NotTheSamePerson"),
    ]
    assert "photo" in mixed["photos"][2]["message"]


async def test_registering_again_changes_nothing(http: httpx.AsyncClient, database_url: str) -> None:
    """No model is asked either."""
    photos = {"a": photo("kit-harington/1.jpg"), "b": b"rubbish"}
    first = await put(http, "kit", photos)
    before = await database.rows(database_url, "SELECT * FROM subject_embeddings ORDER BY photo")
    metrics = (await http.get("/metrics")).text
    assert await put(http, "kit", photos) == first
    assert await database.rows(database_url, "SELECT * FROM subject_embeddings ORDER BY photo") == before
    renamed = await put(http, "kit", {"other": photos["a"]}, displayName="Kit H.")
    assert renamed["subjectId"] == first["subjectId"]
    assert [row["photo"] for row in await database.rows(database_url, "SELECT photo FROM subject_embeddings")] == [
        "other"
    ]
    assert "vigil_identity_photos_total" in metrics


async def test_a_photo_with_another_checksum_is_refused(http: httpx.AsyncClient) -> None:
    data = photo("joe-biden/1.jpg")
    promised = {"name": "one", "url": "https://example.org/joe.jpg", "sha256": hashlib.sha256(b"other").hexdigest()}
    resource = subject_resource("joe")
    resource["spec"]["photos"] = [promised]
    files: Any = [("subject", (None, json.dumps(resource).encode())), ("photo:one", ("one", data))]
    answer = await http.put("/registry/v1/subjects/default/joe", files=files)
    assert answer.json()["photos"][0]["reason"] == "ChecksumMismatch"
    resource = subject_resource("joe", ["one", "two"])
    files = [("subject", (None, json.dumps(resource).encode())), ("photo:one", ("one", data))]
    answer = await http.put("/registry/v1/subjects/default/joe", files=files)
    assert [one["reason"] for one in answer.json()["photos"]] == ["Accepted", "Missing"]


async def test_withdrawn_consent_empties_the_gallery(http: httpx.AsyncClient, database_url: str) -> None:
    photos = {"one": photo("joe-biden/1.jpg")}
    assert (await put(http, "joe", photos))["enrolled"]
    report = await put(http, "joe", photos, consent={"status": "Withdrawn"})
    assert (report["enrolled"], report["reason"]) == (False, "ConsentNotGranted")
    assert await database.rows(database_url, "SELECT 1 FROM subject_embeddings") == []
    assert await database.rows(database_url, "SELECT 1 FROM subject_photos") == []
    assert (await http.get("/registry/v1/status")).json()["vectors"] == 0
    expired = await put(http, "joe", photos, validity={"notAfter": "2020-01-01T00:00:00Z"})
    assert expired["reason"] == "Expired"
    assert (await put(http, "joe", photos))["enrolled"]


async def test_consent_given_again_holds_from_then_on_only(http: httpx.AsyncClient, database_url: str) -> None:
    photos = {"one": photo("joe-biden/1.jpg")}
    granted_at = "SELECT granted_at, now() AS now FROM subjects WHERE name = 'joe'"
    await put(http, "joe", photos)
    assert (await database.rows(database_url, granted_at))[0]["granted_at"] is None
    await put(http, "joe", photos, consent={"status": "Withdrawn"})
    (withdrawn,) = await database.rows(database_url, granted_at)
    await put(http, "joe", photos)
    (again,) = await database.rows(database_url, granted_at)
    assert withdrawn["now"] < again["granted_at"] < again["now"]
    await put(http, "joe", photos, displayName="Joe")
    assert (await database.rows(database_url, granted_at))[0]["granted_at"] == again["granted_at"]


async def test_an_erased_subject_is_nowhere_and_leaves_a_receipt(
    http: httpx.AsyncClient, database_url: str, bus: Bus
) -> None:
    report = await put(http, "joe-b", {"one": photo("joe-biden/1.jpg"), "two": photo("joe-biden/2.jpg")})
    await http.put("/registry/v1/cameras/default/door", json=camera_resource())
    (kept,) = await database.rows(database_url, "SELECT vector, model_id FROM subject_embeddings WHERE photo = 'one'")
    face = np.frombuffer(kept["vector"], "<f4")
    one = new_sighting_id()
    for revision in (1, 2):
        seen = a_sighting(site=bus.site, sighting_id=one, revision=revision, shots=[shot(face, model=kept["model_id"])])
        await bus.publish(seen)

    async def both_published() -> bool:
        return len(await bus.matches()) == 2

    await eventually(both_published, DEADLINE_S, "both revisions are published")
    assert all(match.identity.subject for match in await bus.matches())

    receipt = (await http.delete("/registry/v1/subjects/default/joe-b")).json()
    assert receipt["subjectId"] == report["subjectId"]
    assert receipt["counts"] == {
        "postgres.subjects": 1,
        "postgres.subject_photos": 2,
        "postgres.subject_embeddings": 2,
        "qdrant.vectors": 2,
        "postgres.sightings": 1,
        "postgres.matches": 1,
        "postgres.events": 2,
        "nats.messages": 2,
    }
    assert (await http.delete("/registry/v1/subjects/default/joe-b")).json() == receipt
    assert (await http.get(f"/registry/v1/erasures/{receipt['subjectId']}")).json() == receipt
    assert await bus.matches() == []
    (row,) = await database.rows(database_url, "SELECT identity, subject_id, subject_name FROM sightings")
    assert row == {"identity": "Unknown", "subject_id": None, "subject_name": None}
    assert [str(match.identity.status) for match in await database.matches(database_url)] == ["Unknown"] * 2
    await check_nowhere(database_url, report["subjectId"], "joe-b")
    await bus.publish(a_sighting(site=bus.site, shots=[shot(face, model=kept["model_id"])]))

    async def again() -> bool:
        return len(await bus.matches()) == 1

    await eventually(again, DEADLINE_S, "the next sighting is published")
    assert (await bus.matches())[0].identity.similarity is None


async def check_nowhere(url: str, subject_id: str, name: str) -> None:
    """Look through every row of every table, but for the receipt's own id."""
    tables = await database.rows(
        url, "SELECT relname FROM pg_class WHERE relkind = 'r' AND relnamespace = 'public'::regnamespace"
    )
    for table in tables:
        found = await database.rows(url, f"SELECT t::text AS all FROM {table['relname']} t")  # noqa: S608 - our tables
        for row in found:
            assert name not in row["all"], table["relname"]
            assert table["relname"] == "erasures" or subject_id not in row["all"], table["relname"]


async def test_without_triton_enrolment_is_unavailable(
    identity: Start, database_url: str, own_triton: Callable[[], TritonServer]
) -> None:
    """Nothing is changed, and the response says why."""
    triton = own_triton()
    program = await identity(triton_urls=triton.address, inference_deadline_s=3)
    await until_ready(program.port)
    async with client_of(program.port) as http:
        before = await put(http, "joe", {"one": photo("joe-biden/1.jpg")})
        triton.running.kill()
        known = await put(http, "joe", {"one": photo("joe-biden/1.jpg")})
        assert known == before
        refusal = await put(http, "joe", {"one": photo("joe-biden/2.jpg")}, status=503)
        assert "photo one cannot be assessed now" in refusal["detail"]
        assert (await http.get("/readyz")).status_code == 200
        triton.running.start()

        async def back() -> bool:
            files: Any = {"subject": (None, json.dumps(subject_resource("joe"))), "photo:one": photo("joe-biden/2.jpg")}
            return (await http.put("/registry/v1/subjects/default/joe", files=files)).status_code == 200

        await eventually(back, 60, "enrolment works again", poll_s=0.5)
    assert len(await database.rows(database_url, "SELECT 1 FROM subject_embeddings")) == 1


async def test_an_erasure_during_the_assessment_holds(
    http: httpx.AsyncClient, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A Subject that is erased while its photo is assessed stays erased."""
    await put(http, "joe", {"one": photo("joe-biden/1.jpg")})
    begun, go_on, assess = threading.Event(), threading.Event(), photos.assess

    def assess_slowly(*args: Any) -> PhotoRow:
        begun.set()
        go_on.wait(DEADLINE_S)
        return assess(*args)

    monkeypatch.setattr(photos, "assess", assess_slowly)
    putting = asyncio.create_task(put(http, "joe", {"one": photo("joe-biden/2.jpg")}, status=503))
    await asyncio.to_thread(begun.wait, DEADLINE_S)
    assert (await http.delete("/registry/v1/subjects/default/joe")).is_success
    go_on.set()
    assert "was erased while its photos were assessed" in (await putting)["detail"]
    assert not await database.rows(database_url, "SELECT FROM subjects")
    monkeypatch.undo()
    assert (await put(http, "joe", {"one": photo("joe-biden/2.jpg")}))["enrolled"]


async def test_the_gallery_is_rebuilt_from_the_database(
    http: httpx.AsyncClient, database_url: str, identity: Start, open_triton: TritonServer, tmp_path: Path
) -> None:
    await put(http, "joe", {"one": photo("joe-biden/1.jpg")})
    (kept,) = await database.rows(database_url, "SELECT vector, model_id FROM subject_embeddings")
    other = await identity(triton_urls=open_triton.address, qdrant_path=tmp_path / "another-folder")
    await until_ready(other.port)
    nearest = await other.parts.gallery.search(kept["model_id"], np.frombuffer(kept["vector"], "<f4")[None], 5)
    assert nearest[0].nearest[0].similarity == pytest.approx(1, abs=1e-3)
