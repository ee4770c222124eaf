"""The registry follows the manifests, and Subjects are enrolled with the served model."""

import asyncio
import hashlib
import json
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from tests.support.waiting import eventually

from vigil_cli.manifests import load
from vigil_cli.standalone import applier, progress
from vigil_cli.standalone.applier import Applier, Listener
from vigil_cli.standalone.defects import Defects
from vigil_cli.standalone.desired import Desired, desired
from vigil_cli.standalone.enrolment import Enroller
from vigil_cli.standalone.programs import Addresses, Programs
from vigil_cli.standalone.state import Secrets
from vigil_cli.supervisor import ProcessSpec, Supervisor
from vigil_contracts.ids import ResourceKey
from vigil_contracts.registry import EnrolmentReport
from vigil_contracts.resources import Site, check
from vigil_runtime.photos import Downloader, parse_networks
from vigil_runtime.registry.client import RegistryClient

PHOTO = b"a photo"
SHA = hashlib.sha256(PHOTO).hexdigest()
SUBJECTS = f"""
apiVersion: vigil.dev/v1alpha1
kind: Subject
metadata: {{name: ada}}
spec: {{displayName: Ada, consent: {{status: Granted}}, photos: [{{name: a, url: "file:a.jpg", sha256: {SHA}}}]}}
---
apiVersion: vigil.dev/v1alpha1
kind: Subject
metadata: {{name: bob}}
spec: {{displayName: Bob, consent: {{status: Withdrawn}}, photos: [{{name: a, url: "file:a.jpg", sha256: {SHA}}}]}}
"""


SITE = """
apiVersion: vigil.dev/v1alpha1
kind: Site
metadata: {name: hq, namespace: shop}
spec: {retention: {sightings: 30d}}
"""


class Identity(ThreadingHTTPServer):
    """Answers as identity's registry does: with the model that it works with at that moment."""

    model_id = "old@1"

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Answers)
        self.put: list[tuple[str, str]] = []
        self.sites: dict[str, Site] = {}
        self.removed: list[str] = []
        self.asked = 0
        self.refusing = False
        self.failing = False
        self.answering = threading.Event()
        self.answering.set()


RECEIPT = {"erasedAt": "2026-01-01T00:00:00Z"}


class Answers(BaseHTTPRequestHandler):
    server: Identity

    def do_PUT(self) -> None:
        body = self.rfile.read(int(self.headers["content-length"]))
        if self.path.startswith("/registry/v1/sites/"):
            found = check(json.loads(body))
            assert isinstance(found, Site)
            assert self.path.endswith(f"/sites/{found.metadata.key}")
            self.server.sites[self.path] = found
            self.answer({})
            return
        name, model = self.path.rsplit("/", 1)[-1], self.server.model_id
        self.server.put.append((name, model))
        assert self.server.answering.wait(30)
        if self.server.refusing:
            self.answer({"detail": "it is wrong"}, 422)
            return
        if self.server.failing:
            self.answer({"detail": "no room"}, 503)
            return
        consent = name != "bob"
        self.answer(
            {
                "subjectId": "01890a5d-ac96-774b-bcce-b302099a8057",
                "enrolled": consent,
                "reason": "Enrolled" if consent else "ConsentNotGranted",
                "modelId": model if consent else None,
            }
        )

    def do_DELETE(self) -> None:
        self.server.sites.pop(self.path, None)
        self.server.removed.append(self.path.rsplit("/", 1)[-1])
        self.answer(RECEIPT)

    def do_GET(self) -> None:
        if not self.path.endswith("/status"):
            self.answer({}, 404)
            return
        counts = {"cameras": 0, "subjects": 2, "vectors": 1, "lastSeq": 0, "rejectedEvents": 0}
        self.answer({**counts, "modelId": self.server.model_id})
        self.server.asked += 1

    def answer(self, body: object, status: int = 200) -> None:
        data = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("content-length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, *_: object) -> None:
        pass


@contextmanager
def serving() -> Iterator[Identity]:
    with Identity() as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield server
        server.shutdown()
        thread.join()


@pytest.fixture
def identity() -> Iterator[Identity]:
    with serving() as server:
        yield server


class Started(Supervisor):
    """Notes the processes instead of starting them."""

    def __init__(self, state: Path) -> None:
        super().__init__(state)
        self.specs: list[ProcessSpec] = []

    async def replace(self, spec: ProcessSpec) -> None:
        self.specs.append(spec)


Problem = tuple[str, ResourceKey, str]
LOOPBACK = parse_networks("127.0.0.0/8,::1/128")


@asynccontextmanager
async def registry_of(url: str, token: str) -> AsyncIterator[RegistryClient]:
    registry = RegistryClient(url, token)
    try:
        yield registry
    finally:
        await registry.close()


def an_applier(
    registry: RegistryClient,
    folder: Path,
    reports: list[EnrolmentReport] | None = None,
    problems: list[Problem] | None = None,
    downloader: Downloader | None = None,
) -> Applier:
    received, reported = [] if reports is None else reports, [] if problems is None else problems
    listener = Listener(
        lambda _, report: received.append(report),
        lambda kind, key, problem: reported.append((kind, key, problem)),
        lambda _: None,
    )
    programs = Programs(folder, "hq", Addresses(1, "", (), 1, 1), Secrets("", "", "", ""))
    state = folder / "state"
    defects = Defects(state / "logs" / "defects.log", "vigil logs defects")
    enroller = Enroller(registry, downloader or Downloader(LOOPBACK))
    return Applier(registry, enroller, Started(folder), programs, state / "applied.json", listener, defects)


async def apply_once(registry: RegistryClient, folder: Path, text: str) -> None:
    """Do what one run of Vigil with these manifests does to the registry."""
    (folder / "a.yaml").write_text(text)
    made = an_applier(registry, folder)
    before = made.applied_file.stat().st_mtime_ns if made.applied_file.exists() else 0
    made.set_desired(desired(load([folder]), "new@1"))
    task = asyncio.create_task(made.run())
    assert await made.settle(10)
    await eventually(
        lambda: made.applied_file.exists() and made.applied_file.stat().st_mtime_ns > before, 10, "it was kept"
    )
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


async def test_a_site_is_registered_changed_and_deleted(identity: Identity, tmp_path: Path) -> None:
    """The Site of an earlier run is deleted at the next start, when no manifest declares it."""
    path = "/registry/v1/sites/shop/hq"
    async with registry_of(f"http://127.0.0.1:{identity.server_port}", "token") as registry:
        await apply_once(registry, tmp_path, SITE)
        assert identity.sites[path].spec.retention.sightings == "30d"
        await apply_once(registry, tmp_path, SITE.replace("30d", "7d"))
        assert identity.sites[path].spec.retention.sightings == "7d"
        await apply_once(registry, tmp_path, "")
        assert identity.sites == {}


CAMERA = """
apiVersion: vigil.dev/v1alpha1
kind: Camera
metadata: {name: lobby}
spec: {source: {type: RTSP, url: "rtsp://10.0.0.5/1"}}
---
"""
LOBBY = ResourceKey("default", "lobby")


def retention(identity: Identity, path: str) -> str | None:
    return identity.sites[path].spec.retention.sightings if path in identity.sites else None


async def test_a_failed_item_is_reported_and_retried(identity: Identity, tmp_path: Path) -> None:
    """It delays no other item meanwhile."""
    manifest, in_the_way = tmp_path / "a.yaml", tmp_path / "cameras"
    in_the_way.write_text("a file where a folder belongs")
    manifest.write_text(CAMERA + SITE)
    problems: list[Problem] = []
    async with registry_of(f"http://127.0.0.1:{identity.server_port}", "token") as registry:
        made = an_applier(registry, tmp_path, problems=problems)
        assert isinstance(made.supervisor, Started)
        made.set_desired(desired(load([manifest]), "new@1"))
        made.start_streams()
        task = asyncio.create_task(made.run())
        await eventually(lambda: problems, 10, "it is reported")
        manifest.write_text(CAMERA + SITE.replace("30d", "7d"))
        made.set_desired(desired(load([manifest]), "new@1"))
        path = "/registry/v1/sites/shop/hq"
        await eventually(lambda: retention(identity, path) == "7d", 10, "the Site is changed")
        assert not made.settled

        in_the_way.unlink()

        assert await made.settle(30)
        assert not task.done()
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
    assert [spec.name for spec in made.supervisor.specs] == ["stream-default_lobby"]
    assert [(kind, key) for kind, key, _ in problems] == [("stream", LOBBY)] * 2
    assert [problem for _, _, problem in problems] == [
        f"Not a directory: {in_the_way}/default_lobby; it is tried again",
        "",
    ]


async def test_a_failed_item_that_is_not_wanted_is_no_problem(identity: Identity, tmp_path: Path) -> None:
    (tmp_path / "cameras").write_text("a file where a folder belongs")
    (tmp_path / "a.yaml").write_text(CAMERA)
    problems: list[Problem] = []
    async with registry_of(f"http://127.0.0.1:{identity.server_port}", "token") as registry:
        made = an_applier(registry, tmp_path, problems=problems)
        made.set_desired(desired(load([tmp_path]), "new@1"))
        made.start_streams()
        task = asyncio.create_task(made.run())
        await eventually(lambda: problems, 10, "it is reported")

        made.set_desired(Desired())

        assert problems[-1] == ("stream", LOBBY, "")
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


@asynccontextmanager
async def applying(identity: Identity, folder: Path) -> AsyncIterator[tuple[Applier, list[Problem]]]:
    """Run an applier while inside; yield it with the reported problems."""
    problems: list[Problem] = []
    async with registry_of(f"http://127.0.0.1:{identity.server_port}", "token") as registry:
        made = an_applier(registry, folder, problems=problems)
        task = asyncio.create_task(made.run())
        yield made, problems
        assert not task.done()
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


def wanted(folder: Path, text: str) -> Desired:
    (folder / "a.yaml").write_text(text)
    return desired(load([folder]), "new@1")


REFUSED = ("camera", LOBBY, "identity's registry refuses the request: it is wrong (422)")
OVER = ("camera", LOBBY, "")


async def test_a_refused_item_is_retried_when_it_is_put_back(identity: Identity, tmp_path: Path) -> None:
    """It is reported again too."""
    camera = wanted(tmp_path, CAMERA)
    identity.refusing = True
    async with applying(identity, tmp_path) as (made, problems):
        made.set_desired(camera)
        await eventually(lambda: problems == [REFUSED], 10, "it is reported")
        made.set_desired(camera)
        assert made.settled

        made.set_desired(Desired())
        assert problems == [REFUSED, OVER]
        made.set_desired(camera)

        await eventually(lambda: problems == [REFUSED, OVER, REFUSED], 10, "it is reported again")
        assert len(identity.put) == 2


async def test_a_refused_change_is_a_problem_while_it_is_wanted(identity: Identity, tmp_path: Path) -> None:
    """It is no problem once it is reverted, and is one when it is made again."""
    camera, changed = wanted(tmp_path, CAMERA), wanted(tmp_path, CAMERA.replace("10.0.0.5", "10.0.0.6"))
    async with applying(identity, tmp_path) as (made, problems):
        made.set_desired(camera)
        assert await made.settle(10)
        identity.refusing = True
        made.set_desired(changed)
        await eventually(lambda: problems == [REFUSED], 10, "it is reported")

        made.set_desired(camera)
        assert made.settled
        assert problems == [REFUSED, OVER]
        made.set_desired(changed)

        await eventually(lambda: problems == [REFUSED, OVER, REFUSED], 10, "it is reported again")


async def test_a_late_refusal_is_no_problem(identity: Identity, tmp_path: Path) -> None:
    """The item is no longer wanted when the refusal comes."""
    camera = wanted(tmp_path, CAMERA)
    identity.refusing = True
    async with applying(identity, tmp_path) as (made, problems):
        before = len(asyncio.all_tasks())
        identity.answering.clear()
        made.set_desired(camera)
        await eventually(lambda: identity.put, 10, "it is tried")
        made.set_desired(Desired())
        identity.answering.set()
        await eventually(lambda: len(asyncio.all_tasks()) == before, 10, "it was refused")
        assert problems == []

        identity.refusing = False
        made.set_desired(camera)

        assert await made.settle(10)
        assert problems == []


async def test_an_unfinished_enrolment_is_erased_at_the_next_start(identity: Identity, tmp_path: Path) -> None:
    """Vigil ended while identity worked on it, and no manifest declares the Subject any more."""
    (tmp_path / "a.jpg").write_bytes(PHOTO)
    identity.answering.clear()
    async with applying(identity, tmp_path) as (made, _):
        made.set_desired(wanted(tmp_path, SUBJECTS.split("---", maxsplit=1)[0]))
        await eventually(lambda: identity.put, 10, "identity works on it")
    identity.answering.set()

    async with applying(identity, tmp_path) as (made, _):
        made.set_desired(Desired())
        assert await made.settle(10)

    assert identity.removed == ["ada"]


async def test_a_reverted_change_is_sent_again(
    identity: Identity, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The failed change may have been applied by the registry nevertheless."""
    monkeypatch.setattr(progress, "backoff_s", lambda *_: 3600.0)
    camera, changed = wanted(tmp_path, CAMERA), wanted(tmp_path, CAMERA.replace("10.0.0.5", "10.0.0.6"))
    async with applying(identity, tmp_path) as (made, _):
        made.set_desired(camera)
        assert await made.settle(10)
        identity.failing = True
        before = len(asyncio.all_tasks())
        made.set_desired(changed)
        await eventually(lambda: len(identity.put) == 2, 10, "it is tried")
        await eventually(lambda: len(asyncio.all_tasks()) == before, 10, "it failed")
        identity.failing = False

        made.set_desired(camera)

        await eventually(lambda: len(identity.put) == 3, 10, "it is sent again")


def test_a_camera_gets_its_credentials_as_they_are_in_the_secret(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text(CAMERA)
    camera = desired(load([tmp_path]), "m@1").cameras[LOBBY]
    programs = Programs(tmp_path, "hq", Addresses(1, "", (), 1, 1), Secrets("", "", "", ""))

    spec = programs.stream(replace(camera, credentials={"username": b"viewer", "password": "ü".encode("latin-1")}))

    folder = Path(spec.env["VIGIL_SOURCE_CREDENTIALS_DIR"])
    assert {file.name: file.read_bytes() for file in folder.iterdir()} == {"username": b"viewer", "password": b"\xfc"}
    assert {file.stat().st_mode & 0o777 for file in folder.iterdir()} == {0o600}


async def test_subjects_are_put_again_when_another_model_is_served(
    identity: Identity, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(applier, "MODEL_POLL_S", 0.01)
    (tmp_path / "a.yaml").write_text(SUBJECTS)
    (tmp_path / "a.jpg").write_bytes(PHOTO)
    reports: list[EnrolmentReport] = []
    async with registry_of(f"http://127.0.0.1:{identity.server_port}", "token") as registry:
        made = an_applier(registry, tmp_path, reports)
        made.set_desired(desired(load([tmp_path]), "new@1"))
        tasks = [asyncio.create_task(made.run()), asyncio.create_task(made.follow_model())]
        await eventually(lambda: len(reports) == 2, 10, "both were put")
        before = identity.asked
        await eventually(lambda: identity.asked > before + 3, 10, "the model was asked for")
        assert len(identity.put) == 2

        identity.model_id = "new@1"

        await eventually(lambda: ("ada", "new@1") in identity.put, 10, "she is put again")
        before = identity.asked
        await eventually(lambda: identity.asked > before + 3, 10, "the model was asked for")
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    assert sorted(identity.put) == [("ada", "new@1"), ("ada", "old@1"), ("bob", "old@1")]


@pytest.fixture
def many_looks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(applier, "MODEL_POLL_S", 0.01)


async def several_looks(identity: Identity) -> None:
    before = identity.asked
    await eventually(lambda: identity.asked > before + 5, 10, "the model is asked for")


@pytest.mark.usefixtures("many_looks")
async def test_a_subject_refused_with_a_new_model_is_sent_once(identity: Identity, tmp_path: Path) -> None:
    (tmp_path / "a.jpg").write_bytes(PHOTO)
    async with applying(identity, tmp_path) as (made, problems):
        made.set_desired(wanted(tmp_path, SUBJECTS.split("---", maxsplit=1)[0]))
        assert await made.settle(10)
        following = asyncio.create_task(made.follow_model())
        identity.refusing, identity.model_id = True, "new@1"
        await eventually(lambda: problems, 10, "it is reported")
        await several_looks(identity)
        assert identity.put == [("ada", "old@1"), ("ada", "new@1")]
        assert len(problems) == 1

        identity.refusing, identity.model_id = False, "newer@1"

        await eventually(lambda: len(problems) == 2, 10, "that is over")
        following.cancel()
        await asyncio.gather(following, return_exceptions=True)
    assert identity.put[2:] == [("ada", "newer@1")]


@pytest.mark.usefixtures("many_looks")
async def test_polling_the_model_does_not_shorten_a_backoff(
    identity: Identity, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(progress, "backoff_s", lambda *_: 3600.0)
    (tmp_path / "a.jpg").write_bytes(PHOTO)
    async with applying(identity, tmp_path) as (made, _):
        made.set_desired(wanted(tmp_path, SUBJECTS.split("---", maxsplit=1)[0]))
        assert await made.settle(10)
        following = asyncio.create_task(made.follow_model())
        identity.failing, identity.model_id = True, "new@1"
        await eventually(lambda: len(identity.put) > 1, 10, "she is put again")

        await several_looks(identity)

        following.cancel()
        await asyncio.gather(following, return_exceptions=True)
        assert identity.put == [("ada", "old@1"), ("ada", "new@1")]
