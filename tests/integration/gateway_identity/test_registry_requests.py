"""Requests to the registry: reports, receipts, status, and what is refused."""

import hashlib
import json
from collections.abc import Callable
from typing import Any

import httpx
import pytest
from tests.integration.gateway_identity import database
from tests.integration.gateway_identity.enrolling import photo, put
from tests.integration.gateway_identity.making import camera_resource, subject_resource
from tests.integration.gateway_identity.running import TOKEN

from vigil_contracts.registry import enrolment_digest
from vigil_contracts.resources import Subject

pytestmark = pytest.mark.integration

Start = Callable[..., Any]


def form(*subjects: bytes, charset: str = "") -> dict[str, Any]:
    """Return the request of a form with these fields `subject`."""
    parts = [b'--b\r\nContent-Disposition: form-data; name="subject"\r\n\r\n' + one + b"\r\n" for one in subjects]
    headers = {"content-type": f"multipart/form-data; boundary=b{charset}"}
    return {"content": b"".join(parts) + b"--b--\r\n", "headers": headers}


async def test_a_receipt_belongs_to_one_subject(http: httpx.AsyncClient) -> None:
    """The receipt of an earlier Subject of the same name is not returned for another one."""
    nobody = "00000000-0000-4000-8000-000000000000"
    assert (await http.get(f"/registry/v1/erasures/{nobody}")).status_code == 404
    never = (await http.delete(f"/registry/v1/subjects/default/joe?uid={nobody}")).json()
    assert (never["subjectId"], never["counts"]) == (nobody, {})
    first = await put(http, "joe", {"one": photo("joe-biden/1.jpg")})
    receipt = (await http.delete(f"/registry/v1/subjects/default/joe?uid={first['subjectId']}")).json()
    assert receipt["counts"]["qdrant.vectors"] == 1
    later = (await http.delete(f"/registry/v1/subjects/default/joe?uid={nobody}")).json()
    assert (later["subjectId"], later["counts"]) == (nobody, {})
    assert (await http.delete("/registry/v1/subjects/default/joe")).json() == receipt


async def test_the_last_report_is_read_without_photos(http: httpx.AsyncClient) -> None:
    path = "/registry/v1/subjects/default/joe"
    assert (await http.get(path)).status_code == 404
    photos = {"good": photo("joe-biden/1.jpg"), "bad": b"no photo"}
    report = await put(http, "joe", photos)
    assert (await http.get(path)).json() == report
    spec = Subject.model_validate(subject_resource("joe", list(photos))).spec.model_dump_json(by_alias=True)
    digests: dict[str, str | None] = {name: hashlib.sha256(data).hexdigest() for name, data in photos.items()}
    assert report["digest"] == enrolment_digest(spec, digests)
    changed_name = await put(http, "joe", photos, displayName="Joe B.")
    assert changed_name["digest"] != report["digest"]
    withdrawn = await put(http, "joe", photos, consent={"status": "Withdrawn"})
    assert (await http.get(path)).json() == withdrawn
    assert (withdrawn["photos"], withdrawn["reason"]) == ([], "ConsentNotGranted")


async def test_the_gallery_version_counts_changes_only(http: httpx.AsyncClient) -> None:
    """It grows with each change of what the gallery holds, and with nothing else."""

    async def version() -> int:
        found: int = (await http.get("/registry/v1/status")).json()["galleryVersion"]
        return found

    photos = {"one": photo("joe-biden/1.jpg")}
    before = await version()
    await put(http, "joe", photos)
    assert await version() == before + 1
    await put(http, "joe", photos)
    await put(http, "joe", photos, displayName="Joe B.")
    await put(http, "nobody", {"bad": b"no photo"})
    assert await version() == before + 1
    await http.delete("/registry/v1/subjects/default/joe")
    assert await version() == before + 2


async def test_the_status_names_what_is_served(http: httpx.AsyncClient, site: str) -> None:
    status = (await http.get("/registry/v1/status")).json()
    assert status["site"] == site
    assert status["modelId"].startswith("sface")
    assert status["detector"]["modelId"].startswith("yunet")
    assert status["detector"]["instances"] >= 1


async def test_a_site_is_registered_and_removed(http: httpx.AsyncClient, database_url: str) -> None:
    resource: dict[str, Any] = {"apiVersion": "vigil.dev/v1alpha1", "kind": "Site", "metadata": {"name": "hq"}}
    for retention in ("30d", "7d"):
        resource["spec"] = {"retention": {"sightings": retention}}
        assert (await http.put("/registry/v1/sites/default/hq", json=resource)).status_code == 204
    (row,) = await database.rows(database_url, "SELECT resource #>> '{spec,retention,sightings}' AS kept FROM sites")
    assert row["kept"] == "7d"
    for removed in (1, 0):
        receipt = (await http.delete("/registry/v1/sites/default/hq")).json()
        assert receipt["counts"] == {"postgres.sites": removed}
    resource["spec"] = {"retention": {"sightings": "soon"}}
    refused = await http.put("/registry/v1/sites/default/hq", json=resource)
    assert (refused.status_code, "spec.retention.sightings" in refused.text) == (422, True)


@pytest.mark.parametrize(
    ("method", "path", "request_", "status", "words"),
    [
        ("PUT", "cameras/default/door", {"json": {"kind": "Camera"}}, 422, "apiVersion"),
        ("PUT", "cameras/default/door", {"content": b"{"}, 400, "not JSON"),
        ("PUT", "cameras/default/door", {"content": b'{"kind": "caf\xe9"}'}, 400, "not UTF-8 (byte 14)"),
        ("PUT", "cameras/default/door", {"content": b"[" * 3000 + b"]" * 3000}, 400, "64 levels"),
        ("PUT", "cameras/default/door", {"content": b'{"a": ' + b"9" * 5000 + b"}"}, 400, "5000 characters"),
        ("PUT", "cameras/default/door", {"content": rb'{"a": "\ud800"}'}, 400, "half a surrogate pair"),
        ("PUT", "cameras/default/door", {"content": b'{"kind": 1, "kind": 2}'}, 400, "in one object twice"),
        ("PUT", "cameras/default/door", {"content": b"x" * (2 << 20)}, 413, "at most"),
        ("PUT", "cameras/default/door", {"content": b"", "headers": {"content-encoding": "gzip"}}, 415, "compressed"),
        ("GET", "cameras?after=%00", {}, 422, "pattern"),
        ("GET", "nothing", {}, 404, "Not Found"),
        ("PUT", "cameras/default/door", {"content": b"[]"}, 400, "object"),
        ("PUT", "cameras/default/other", {"json": camera_resource()}, 422, "the address says default/other"),
        ("PUT", "cameras/default/joe", {"json": subject_resource("joe")}, 422, "a Camera is expected"),
        ("PUT", "cameras/default/door", {"json": camera_resource(colour="red")}, 422, "spec.colour: unknown field"),
        ("PUT", "cameras/Default/door", {"json": camera_resource()}, 422, "pattern"),
        ("PUT", "subjects/default/joe", {"json": subject_resource("joe")}, 415, "multipart"),
        ("PUT", "subjects/default/joe", {"files": {"photo:one": b"x"}}, 400, "no field `subject`"),
        ("PUT", "subjects/default/joe", form(b"caf\xe9"), 400, "the field 'subject' is not UTF-8"),
        ("PUT", "subjects/default/joe", form(b"[" * 3000), 400, "64 levels"),
        ("PUT", "subjects/default/joe", form(b"{}", b"{}"), 400, "the field `subject` twice"),
        ("PUT", "subjects/default/joe", form(b"{}", charset="; charset=utf-7"), 415, "names a charset"),
        (
            "PUT",
            "subjects/default/joe",
            {"files": {"subject": json.dumps(subject_resource("joe")), "photo:two": b"x"}},
            422,
            "none of the Subject's photos",
        ),
        ("PUT", "subjects/default/joe", {"files": {"subject": b"x" * (70 << 20)}}, 413, "at most"),
        (
            "PUT",
            "subjects/default/joe",
            {"content": b"x", "headers": {"content-type": "multipart/form-data"}},
            400,
            "form",
        ),
    ],
)
async def test_an_invalid_request_names_its_fault(
    http: httpx.AsyncClient, method: str, path: str, request_: dict[str, Any], status: int, words: str
) -> None:
    response = await http.request(method, f"/registry/v1/{path}", **request_)
    assert (response.status_code, words in response.text) == (status, True), response.text


@pytest.mark.parametrize("header", [None, "Bearer wrong", f"Basic {TOKEN}", "Bearer \xe4", "Bearer"])
async def test_without_the_token_nothing_is_answered(http: httpx.AsyncClient, header: str | None) -> None:
    headers = {b"Authorization": header.encode("latin-1")} if header else {}
    async with httpx.AsyncClient(base_url=http.base_url, trust_env=False) as stranger:
        for method, path in (("GET", "status"), ("DELETE", "subjects/default/joe"), ("PUT", "cameras/default/door")):
            response = await stranger.request(method, f"/registry/v1/{path}", headers=headers)
            assert response.status_code == 401
