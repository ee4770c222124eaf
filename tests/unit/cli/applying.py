"""An identity's registry and an applier that follows manifests, for tests of `vigil up`."""

import asyncio
import hashlib
import json
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from tests.support.waiting import eventually

from vigil_cli.manifests import load
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
from vigil_runtime.bus_authority import BusAuthority
from vigil_runtime.photos import Downloader
from vigil_runtime.registry.client import RegistryClient
from vigil_runtime.settings import parse_networks

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
        enrolled=lambda _, report: received.append(report),
        undeclared=lambda _, __: None,
        erased=lambda _, __: None,
        problem=lambda kind, key, problem: reported.append((kind, key, problem)),
        process_removed=lambda _: None,
    )
    programs = Programs(folder, "hq", Addresses(1, "", (), 1, 1), Secrets("", "", ""), BusAuthority.new())
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


CAMERA = """
apiVersion: vigil.dev/v1alpha1
kind: Camera
metadata: {name: lobby}
spec: {source: {type: RTSP, url: "rtsp://10.0.0.5/1"}}
---
"""
LOBBY = ResourceKey("default", "lobby")


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
