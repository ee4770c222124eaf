"""Photos by address: fetched once, in bounds, and asked for again only where that can help; over real HTTP."""

import hashlib
import json
import ssl
import time
import uuid
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import pytest
from aiohttp import web
from tests.support.kubernetes.certificates import Authority
from tests.unit.operator.contexts import context_of

from vigil_contracts.registry import PhotoReason, enrolment_digest
from vigil_contracts.resources import Subject, check
from vigil_operator.kube.cache import Cache
from vigil_operator.kube.kinds import Key, Kind, Object
from vigil_operator.reconcile.subject import photos as subject_photos
from vigil_operator.reconcile.subject.conditions import Enrolment
from vigil_operator.reconcile.subject.enrolment import Enroller
from vigil_operator.reconcile.subject.erasure import FINALIZER
from vigil_operator.reconcile.subject.photos import NO_RETRY
from vigil_operator.registry.identity_status import IdentityStatus
from vigil_runtime.backoff import PHOTO_ADDRESS
from vigil_runtime.registry.client import RegistryClient as Registry
from vigil_runtime.registry.client import registered

KEY = Key(Kind.SUBJECT, "default", "ann")
UID = str(uuid.UUID(int=1))


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


class Photos:
    """A web server of photos."""

    def __init__(self) -> None:
        self.there: dict[str, bytes] = {}
        self.asked: list[str] = []
        self.url = ""

    async def handle(self, request: web.Request) -> web.Response:
        name = request.path.strip("/")
        self.asked.append(name)
        return web.Response(body=self.there[name]) if name in self.there else web.Response(status=404)


class Identity:
    """Takes every photo, and knows it by its sha256 from then on, until it serves another model."""

    def __init__(self) -> None:
        self.model, self.status, self.url = "one@1", 200, ""
        self.is_away = False
        self.known: set[str] = set()
        self.sent: list[set[str]] = []

    async def handle(self, request: web.Request) -> web.Response:
        if self.is_away:
            return web.Response(status=503)
        if request.path.endswith("/status"):
            numbers = dict.fromkeys(("cameras", "subjects", "vectors", "lastSeq", "rejectedEvents"), 0)
            return web.json_response({**numbers, "modelId": self.model})
        if request.method == "GET":
            return web.json_response({"detail": "none"}, status=404)
        form = await request.post()
        if self.status != 200:
            return web.json_response({"detail": "no Triton answers"}, status=self.status)
        return web.json_response(self._report(form))

    def _report(self, form: Any) -> dict[str, Any]:
        subject, kept = check(json.loads(form["subject"])), json.loads(form.get("kept", "{}"))
        assert isinstance(subject, Subject)
        files = {name.removeprefix("photo:"): form[name].file.read() for name in form if name.startswith("photo:")}
        self.sent.append(set(files))
        self.known |= {sha256(data) for data in files.values()}
        has = {name: sha256(data) for name, data in files.items()} | kept
        photos: list[dict[str, Any]] = []
        for name in (photo.name for photo in subject.spec.photos):
            digest = has.get(name) if has.get(name) in self.known else None
            reason = PhotoReason.ACCEPTED if digest else PhotoReason.MISSING
            photos.append({"name": name, "accepted": bool(digest), "reason": reason, "sha256": digest})
        spec = subject.spec.model_dump_json(by_alias=True)
        digest = enrolment_digest(spec, {one["name"]: one["sha256"] for one in photos})
        report = {"enrolled": True, "reason": "Enrolled", "photos": photos, "modelId": self.model, "digest": digest}
        return {"subjectId": UID, **report}


async def serve(handler: Any, context: ssl.SSLContext | None = None) -> tuple[web.AppRunner, int]:
    app = web.Application(client_max_size=1 << 24)
    app.router.add_route("*", "/{path:.*}", handler)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0, ssl_context=context).start()
    return runner, runner.addresses[0][1]


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    made = Authority(tmp_path_factory.mktemp("pki"), ["DNS:localhost"])
    made.certify("server", "photos")
    return made


@pytest.fixture
async def photos(authority: Authority) -> AsyncIterator[Photos]:
    made, context = Photos(), ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(authority.folder / "server.crt", authority.folder / "server.key")
    runner, port = await serve(made.handle, context)
    made.url = f"https://localhost:{port}"
    yield made
    await runner.cleanup()


@pytest.fixture
async def identity() -> AsyncIterator[Identity]:
    made = Identity()
    runner, port = await serve(made.handle)
    made.url = f"http://127.0.0.1:{port}"
    yield made
    await runner.cleanup()


class Bench:
    """An Enroller with one Subject, whose photos are at addresses."""

    def __init__(self, photos: Photos, enroller: Enroller, status: IdentityStatus, cache: Cache) -> None:
        self._photos, self.enroller, self._cache, self._version = photos, enroller, cache, 0
        self.status = status

    async def enroll(self, name: str = "Ann", **photos: bytes) -> tuple[Enrolment, float | None]:
        """Enrol the Subject with these photos; return its enrolment and the seconds until the next attempt."""
        refs = [
            {"name": one, "url": f"{self._photos.url}/{one}", "sha256": sha256(data)} for one, data in photos.items()
        ]
        spec = {"displayName": name, "consent": {"status": "Granted"}, "photos": refs}
        self._version += 1
        metadata = {"name": KEY.name, "namespace": KEY.namespace, "uid": UID, "resourceVersion": str(self._version)}
        obj: Object = {"metadata": {**metadata, "finalizers": [FINALIZER]}, "spec": spec}
        self._cache.put(Kind.SUBJECT, obj)
        subject = check(registered("Subject", obj))
        assert isinstance(subject, Subject), subject
        return await self.enroller.enroll(KEY, obj, subject)

    def pass_time(self) -> None:
        """Make the next attempt to read the photos due."""
        known = self.enroller._memories[KEY]
        assert known.again_at < float("inf")
        known.again_at = time.monotonic()

    def ask_anew(self) -> None:
        """Make the last status of identity outdated."""
        self.status._asked_at = float("-inf")


@pytest.fixture
async def bench(
    photos: Photos, identity: Identity, authority: Authority, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[Bench]:
    monkeypatch.setenv("SSL_CERT_FILE", str(authority.certificate))
    cache = Cache()
    away = context_of(cache)
    settings = away.settings.model_copy(update={"photo_networks": "127.0.0.0/8,::1/128"})
    registry = Registry(identity.url, "token")
    status = IdentityStatus(registry, lambda: None)
    made = Bench(photos, Enroller(replace(away, settings=settings), registry, status), status, cache)
    yield made
    await made.enroller.close()
    await registry.close()
    await away.api.close()


async def test_failed_downloads_are_repeated_ever_more_seldom(bench: Bench, photos: Photos, identity: Identity) -> None:
    """Photos that were downloaded are not fetched again."""
    photos.there = {"one": b"one"}
    pauses: list[float] = []
    for _ in range(14):
        enrolment, again_s = await bench.enroll(one=b"one", two=b"two")
        assert again_s is not None
        assert again_s <= PHOTO_ADDRESS.longest_s
        pauses.append(again_s)
        await bench.enroll(one=b"one", two=b"two")  # a look for another reason asks nobody
        bench.pass_time()
    assert (photos.asked.count("one"), photos.asked.count("two")) == (1, 14)
    assert identity.sent == [{"one"}]
    assert pauses[-1] > PHOTO_ADDRESS.longest_s / 3 > 60 > pauses[2]
    assert enrolment.absent is not None
    assert enrolment.absent["two"].reason is PhotoReason.NOT_FOUND
    photos.there["two"] = b"two"
    enrolment, again_s = await bench.enroll(one=b"one", two=b"two")
    assert identity.sent == [{"one"}, {"two"}]
    assert enrolment.report is not None
    assert [one.accepted for one in enrolment.report.photos] == [True, True]
    assert (again_s, photos.asked.count("one")) == (None, 1)


@pytest.mark.parametrize(("served", "reason"), [(b"another", "ChecksumMismatch"), (b"x" * 3000, "TooLarge")])
async def test_what_only_a_person_can_cure_waits_for_the_spec(
    bench: Bench, photos: Photos, monkeypatch: pytest.MonkeyPatch, served: bytes, reason: str
) -> None:
    monkeypatch.setattr(bench.enroller._downloader, "_max_bytes", 2000)
    photos.there = {"one": b"one", "two": served}
    for _ in range(3):
        enrolment, again_s = await bench.enroll(one=b"one", two=b"two")
        assert again_s is None
        assert enrolment.absent is not None
        assert (str(enrolment.absent["two"].reason), NO_RETRY in enrolment.absent["two"].message) == (reason, True)
    assert sorted(photos.asked) == ["one", "two"]
    photos.there["two"] = b"two"
    enrolment, _ = await bench.enroll("Ann Other", one=b"one", two=b"two")
    assert sorted(photos.asked) == ["one", "two", "two"]
    assert not enrolment.absent


async def test_all_photos_together_are_no_more_than_identity_takes(
    bench: Bench, photos: Photos, identity: Identity, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(subject_photos, "MAX_PHOTOS_BYTES", 2500)
    photos.there = {name: name[:1].encode() * 1000 for name in ("one", "two", "six")}
    enrolment, again_s = await bench.enroll("Ann", **photos.there)
    assert identity.sent == [{"one", "two"}]
    assert again_s is None
    assert enrolment.absent is not None
    absent = enrolment.absent["six"]
    assert absent.reason is PhotoReason.TOO_LARGE
    assert "more than 500 bytes" in absent.message
    assert "may have 2500 bytes together, and the first ones have 2000" in absent.message


async def test_what_identity_no_longer_knows_is_fetched_again(bench: Bench, photos: Photos, identity: Identity) -> None:
    photos.there = {"one": b"one"}
    await bench.enroll(one=b"one", two=b"two")
    identity.known.clear()  # it serves another model, and the operator has not read that yet
    photos.there["two"] = b"two"
    bench.pass_time()
    _, again_s = await bench.enroll(one=b"one", two=b"two")
    assert again_s is not None
    bench.pass_time()
    enrolment, again_s = await bench.enroll(one=b"one", two=b"two")
    assert identity.sent == [{"one"}, {"two"}, {"one"}]
    assert enrolment.report is not None
    assert [one.accepted for one in enrolment.report.photos] == [True, True]
    assert again_s is None


async def test_another_model_is_served_with_all_photos_at_once(
    bench: Bench, photos: Photos, identity: Identity
) -> None:
    photos.there = {"one": b"one"}
    await bench.enroll(one=b"one", two=b"two")
    identity.model = "other@2"
    identity.known.clear()
    bench.ask_anew()
    await bench.status.status()
    await bench.enroll(one=b"one", two=b"two")
    assert identity.sent == [{"one"}, {"one"}]
    await bench.enroll(one=b"one", two=b"two")
    assert len(identity.sent) == 2


async def test_nothing_is_downloaded_while_identity_is_away(bench: Bench, photos: Photos, identity: Identity) -> None:
    """It is away, or has had no Triton for long."""
    photos.there = {"one": b"one"}
    identity.is_away = True
    for _ in range(3):
        enrolment, again_s = await bench.enroll(one=b"one")
        assert enrolment.error
        assert again_s is not None
    assert photos.asked == []
    identity.is_away, identity.status = False, 503
    bench.ask_anew()
    for _ in range(3):
        enrolment, again_s = await bench.enroll(one=b"one")
        assert "no Triton answers" in enrolment.error
        assert not enrolment.refused
        assert again_s is not None
    assert photos.asked == ["one"]
    identity.status = 200
    bench.pass_time()
    enrolment, again_s = await bench.enroll(one=b"one")
    assert (enrolment.error, again_s) == ("", None)
    assert photos.asked == ["one", "one"]
