"""Photos at addresses: fetched where identity needs them, tried again where that can help; over real HTTP."""

import asyncio
import contextlib
import hashlib
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from tests.support.waiting import eventually
from tests.unit.cli.applying import LOOPBACK, RECEIPT, Started, an_applier, registry_of
from tests.unit.cli.photo_server import PhotoServer, photo_server

from vigil_cli.manifests import load
from vigil_cli.standalone import applier
from vigil_cli.standalone.applier import Applier
from vigil_cli.standalone.desired import desired
from vigil_contracts.registry import EnrolmentReport, PhotoReason
from vigil_contracts.resources import Subject, check
from vigil_runtime import photos
from vigil_runtime.photos import Downloader
from vigil_runtime.registry.client import RegistryClient

DEADLINE_S = 20
SUBJECT = """
apiVersion: vigil.dev/v1alpha1
kind: Subject
metadata: {{name: {name}}}
spec: {{displayName: {name}, consent: {{status: Granted}}, photos: [{photos}]}}
---
"""
SITE = """
apiVersion: vigil.dev/v1alpha1
kind: Site
metadata: {{name: hq}}
spec: {{retention: {{sightings: {days}d}}}}
"""
CAMERA = """
apiVersion: vigil.dev/v1alpha1
kind: Camera
metadata: {{name: {name}}}
spec: {{source: {{type: RTSP, url: "rtsp://10.0.0.5/1"}}}}
---
"""


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


class Identity:
    """Takes every photo, and knows it by its sha256 from then on, until it serves another model."""

    def __init__(self) -> None:
        self.model = "one@1"
        self.known: set[str] = set()
        self.stored: dict[str, dict[str, Any]] = {}
        self.puts: list[tuple[set[str], dict[str, str]]] = []
        self.sites: list[str] = []
        self.taking_cameras = asyncio.Event()
        self.taking_cameras.set()

    async def handle(self, request: web.Request) -> web.Response:
        name = request.path.rsplit("/", 1)[-1]
        if "/cameras/" in request.path:
            await self.taking_cameras.wait()
            return web.Response(status=204)
        if "/sites/" in request.path:
            self.sites.append((await request.json())["spec"]["retention"]["sightings"])
            return web.Response(status=204)
        if request.method == "DELETE":
            self.stored.pop(name, None)
            return web.json_response(RECEIPT)
        if request.method == "PUT":
            self.stored[name] = self._report(await request.post())
        return web.json_response(self.stored.get(name, {}), status=200 if name in self.stored else 404)

    def _report(self, form: Any) -> dict[str, Any]:
        subject, kept = check(json.loads(form["subject"])), json.loads(form.get("kept", "{}"))
        assert isinstance(subject, Subject)
        sent = {name.removeprefix("photo:"): form[name].file.read() for name in form if name.startswith("photo:")}
        self.puts.append((set(sent), kept))
        self.known |= {sha256(data) for data in sent.values()}
        has = {name: sha256(data) for name, data in sent.items()} | kept
        rows = [(photo.name, has.get(photo.name) in self.known) for photo in subject.spec.photos]
        results = [
            {
                "name": name,
                "accepted": ok,
                "reason": PhotoReason.ACCEPTED if ok else PhotoReason.MISSING,
                "sha256": has[name] if ok else None,
            }
            for name, ok in rows
        ]
        is_enrolled = any(ok for _, ok in rows)
        reason = "Enrolled" if is_enrolled else "NoUsablePhoto"
        report = {"enrolled": is_enrolled, "reason": reason, "photos": results, "modelId": self.model}
        return {"subjectId": "01890a5d-ac96-774b-bcce-b302099a8057", **report}


class Run:
    """One run of Vigil, as far as it applies manifests."""

    def __init__(self, made: Applier, folder: Path, reports: list[EnrolmentReport]) -> None:
        self.applier, self.reports, self._folder = made, reports, folder

    def want(self, *texts: str) -> None:
        (self._folder / "a.yaml").write_text("".join(texts) or "# none")
        self.applier.set_desired(desired(load([self._folder / "a.yaml"]), "one@1"))


class Bench:
    """Identity, and a folder of manifests whose photos are at addresses."""

    def __init__(self, identity: Identity, url: str, folder: Path) -> None:
        self.identity, self._url, self._folder = identity, url, folder
        self.downloader: Downloader | None = None

    def _applier(self, registry: RegistryClient, reports: list[EnrolmentReport]) -> Applier:
        return an_applier(registry, self._folder, reports, downloader=self.downloader)

    @contextlib.asynccontextmanager
    async def run(self, *texts: str) -> AsyncIterator[Run]:
        reports: list[EnrolmentReport] = []
        async with registry_of(self._url, "token") as registry:
            made = Run(self._applier(registry, reports), self._folder, reports)
            made.want(*texts)
            task = asyncio.create_task(made.applier.run())
            yield made
            assert not task.done()
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)


@pytest.fixture
async def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[PhotoServer]:
    async with photo_server(tmp_path / "pki", monkeypatch) as made:
        yield made


@pytest.fixture
async def bench(tmp_path: Path) -> AsyncIterator[Bench]:
    identity, app = Identity(), web.Application(client_max_size=1 << 24)
    app.router.add_route("*", "/{path:.*}", identity.handle)
    runner = web.AppRunner(app, shutdown_timeout=1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    yield Bench(identity, f"http://127.0.0.1:{runner.addresses[0][1]}", tmp_path)
    await runner.cleanup()


@pytest.fixture(autouse=True)
def erased_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(applier, "ERASE_AFTER_S", 0.0)


@pytest.fixture
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(applier, "FIRST_PHOTO_RETRY_S", 0.01)
    monkeypatch.setattr(applier, "LONGEST_PHOTO_RETRY_S", 0.05)


def subject(server: PhotoServer, name: str, *photos: tuple[str, bytes]) -> str:
    return SUBJECT.format(name=name, photos=", ".join(server.reference(*photo) for photo in photos))


@pytest.mark.usefixtures("soon")
async def test_a_missing_photo_is_enrolled_when_it_appears(bench: Bench, server: PhotoServer) -> None:
    """It is reported once while it is missing, and again when it is enrolled."""
    server.there = {"two": b"2"}
    async with bench.run(subject(server, "ada", ("one", b"1"), ("two", b"2"))) as run:
        await eventually(lambda: server.asked.count("one") > 3, DEADLINE_S, "it is asked for again and again")
        assert run.applier.settled
        (first,) = run.reports
        assert [(photo.accepted, photo.reason) for photo in first.photos] == [(False, "NotFound"), (True, "Accepted")]
        address = server.reference("one", b"1").split("'")[1]
        assert first.photos[0].message == f"{address} responded 503; check the address; it is tried again"

        server.there["one"] = b"1"

        await eventually(lambda: len(run.reports) == 2, DEADLINE_S, "it is reported again")
        assert [photo.accepted for photo in run.reports[1].photos] == [True, True]
        assert server.asked.count("two") == 1
        assert bench.identity.puts[-1] == ({"one"}, {"two": sha256(b"2")})


@pytest.mark.usefixtures("soon")
async def test_a_start_without_network_keeps_people_enrolled(bench: Bench, server: PhotoServer) -> None:
    """A photo is kept by its sha256, also under another name."""
    server.there = {"one": b"1"}
    async with bench.run(subject(server, "ada", ("one", b"1"))) as run:
        await eventually(lambda: run.reports, DEADLINE_S, "she is enrolled")
    await server.stop()

    async with bench.run(subject(server, "ada", ("one", b"1"))) as run:
        await eventually(lambda: run.reports, DEADLINE_S, "she is enrolled again")
        assert run.reports[0].enrolled
        assert bench.identity.puts[-1] == (set(), {"one": sha256(b"1")})

        run.want(subject(server, "ada", ("elsewhere", b"1")))

        await eventually(lambda: len(run.reports) == 2, DEADLINE_S, "the change is applied")
        assert run.reports[1].enrolled
        assert bench.identity.puts[-1] == (set(), {"elsewhere": sha256(b"1")})


@pytest.mark.usefixtures("soon")
@pytest.mark.parametrize(("content", "reason"), [(b"another", "ChecksumMismatch"), (b"x" * 3000, "TooLarge")])
async def test_a_wrong_photo_is_not_tried_again(bench: Bench, server: PhotoServer, content: bytes, reason: str) -> None:
    bench.downloader = Downloader(LOOPBACK, max_bytes=2000)
    server.there = {"wrong": content}
    texts = subject(server, "ada", ("wrong", b"1")), subject(server, "bob", ("away", b"1"))
    async with bench.run(*texts) as run:
        await eventually(lambda: server.asked.count("away") > 5, DEADLINE_S, "what is away is asked for again")

        assert server.asked.count("wrong") == 1
        result = next(photo for report in run.reports for photo in report.photos if photo.name == "wrong")
        assert result.reason == reason
        assert "tried again" not in result.message


async def test_a_changed_manifest_does_not_wait_for_missing_photos(
    bench: Bench, server: PhotoServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(applier, "FIRST_PHOTO_RETRY_S", 3600.0)
    monkeypatch.setattr(applier, "LONGEST_PHOTO_RETRY_S", 3600.0)
    server.there = {"two": b"2"}
    async with bench.run(subject(server, "ada", ("one", b"1"))) as run:
        await eventually(lambda: run.reports, DEADLINE_S, "it was tried")

        run.want(subject(server, "ada", ("two", b"2")))

        await eventually(lambda: len(run.reports) == 2, DEADLINE_S, "the change is applied")
        assert run.reports[1].enrolled
        assert await run.applier.settle(DEADLINE_S)


@pytest.fixture
def endless(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing that hangs is ended by a deadline as long as a test lasts."""
    monkeypatch.setattr(photos, "SILENCE_S", 3600.0)
    monkeypatch.setattr(photos, "DEADLINE_S", 3600.0)


def at_hand(folder: Path, name: str, data: bytes) -> str:
    (folder / f"{name}.jpg").write_bytes(data)
    photo = f"{{name: {name}, url: 'file:{name}.jpg', sha256: '{sha256(data)}'}}"
    return SUBJECT.format(name=name, photos=photo)


@pytest.mark.usefixtures("endless")
async def test_a_server_that_does_not_answer_holds_up_nothing_else(
    bench: Bench, server: PhotoServer, tmp_path: Path
) -> None:
    server.answering.clear()
    hanging = [subject(server, name, (name, b"1"), (f"{name}-2", b"2")) for name in ("ada", "bea", "cyd")]
    eve = at_hand(tmp_path, "eve", b"5")
    async with bench.run(eve, SITE.format(days=30)) as run, server.beside() as other:
        other.there = {"fay": b"6"}
        await eventually(lambda: "eve" in bench.identity.stored, DEADLINE_S, "she is enrolled")
        run.want(*hanging, eve, SITE.format(days=30))
        await eventually(lambda: len(server.asked) == 4, DEADLINE_S, "all photos of two Subjects are asked for at once")

        run.want(*hanging, at_hand(tmp_path, "dan", b"4"), subject(other, "fay", ("fay", b"6")), SITE.format(days=7))

        await eventually(lambda: bench.identity.sites == ["30d", "7d"], DEADLINE_S, "the Site is changed meanwhile")
        await eventually(lambda: set(bench.identity.stored) == {"dan", "fay"}, DEADLINE_S, "she is erased, they are in")
        assert len(server.asked) == 4


@pytest.mark.usefixtures("endless")
async def test_a_removed_subject_is_erased_while_its_photo_is_awaited(
    bench: Bench, server: PhotoServer, tmp_path: Path
) -> None:
    """The photo that arrives later does not enrol the Subject again."""
    async with bench.run(at_hand(tmp_path, "eve", b"5")) as run:
        await eventually(lambda: "eve" in bench.identity.stored, DEADLINE_S, "she is enrolled")
        server.answering.clear()
        server.there = {"new": b"1", "ada": b"1"}
        run.want(subject(server, "eve", ("new", b"1")), subject(server, "ada", ("ada", b"1")))
        await eventually(lambda: len(server.asked) == 2, DEADLINE_S, "both photos are asked for")

        run.want()

        await eventually(lambda: not bench.identity.stored, DEADLINE_S, "she is erased")
        server.answering.set()
        run.want(at_hand(tmp_path, "dan", b"4"))
        await eventually(lambda: set(bench.identity.stored) == {"dan"}, DEADLINE_S, "only he is enrolled")
        assert len(bench.identity.puts) == 2


async def test_a_hanging_registration_delays_no_other_kind(bench: Bench, tmp_path: Path) -> None:
    """Identity does not answer for Cameras; streams start and Subjects are enrolled."""
    bench.identity.taking_cameras.clear()
    cameras = [CAMERA.format(name=f"camera-{number}") for number in range(3)]
    async with bench.run(*cameras, at_hand(tmp_path, "dan", b"4")) as run:
        supervisor = run.applier.supervisor
        assert isinstance(supervisor, Started)
        run.applier.start_streams()
        await eventually(lambda: len(supervisor.specs) == 3, DEADLINE_S, "the cameras stream")
        await eventually(lambda: "dan" in bench.identity.stored, DEADLINE_S, "he is enrolled")
        assert not run.applier.settled
        bench.identity.taking_cameras.set()
        assert await run.applier.settle(DEADLINE_S)


async def test_a_photo_in_a_private_network_needs_the_option(bench: Bench, server: PhotoServer) -> None:
    server.there = {"one": b"1"}
    bench.downloader = Downloader()
    async with bench.run(subject(server, "ada", ("one", b"1"))) as run:
        await eventually(lambda: run.reports, DEADLINE_S, "the refusal is reported")

    assert not run.reports[0].enrolled
    assert "no address of the public internet" in run.reports[0].photos[0].message
    assert "--photo-networks" in run.reports[0].photos[0].message
    assert server.asked == []


async def test_another_model_has_every_photo_fetched_again(bench: Bench, server: PhotoServer) -> None:
    server.there = {"one": b"1"}
    async with bench.run(subject(server, "ada", ("one", b"1"))) as run:
        await eventually(lambda: run.reports, DEADLINE_S, "she is enrolled")
    bench.identity.model, bench.identity.known = "two@2", set()

    async with bench.run(subject(server, "ada", ("one", b"1"))) as run:
        await eventually(lambda: run.reports, DEADLINE_S, "she is enrolled again")

    assert run.reports[0].enrolled
    assert server.asked == ["one", "one"]
