"""The whole system as `vigil up` runs it: the same servers, programs, settings and supervisor."""

import asyncio
import contextlib
import os
import time
import urllib.request
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil

from vigil_cli.standalone.desired import DesiredCamera
from vigil_cli.standalone.programs import Addresses, Programs, stream_name
from vigil_cli.standalone.servers.nats import nats
from vigil_cli.standalone.servers.ports import LOOPBACK, Ports
from vigil_cli.standalone.servers.postgres import postgres
from vigil_cli.standalone.servers.postgres import url as database_url
from vigil_cli.standalone.servers.triton import TritonPorts, triton
from vigil_cli.standalone.state import StateFolder
from vigil_cli.supervisor import Supervisor
from vigil_contracts.resources import Camera, Subject
from vigil_runtime.registry.client import RegistryClient

SITE = "default"
NAMESPACE = "default"
READY_S = 60.0


@dataclass(frozen=True, slots=True)
class CameraChoice:
    """A camera of the bench.

    Attributes
    ----------
    name
        Of the resource.
    kind, url
        Its source; a File is looped.
    fps
        Sampling rate. Motion gate and duplicate filter are off, so that every sampled frame really is detected.
    """

    name: str
    kind: str
    url: str
    fps: int = 5

    def desired(self) -> DesiredCamera:
        """Return it as `vigil up` computes it from a manifest."""
        source: dict[str, Any] = {"type": self.kind, "url": self.url}
        if self.kind == "File":
            source = {"type": self.kind, "url": f"file:{self.url}", "loop": True}
        off = {"enabled": False}
        sampling = {"fps": self.fps, "motionGate": off, "duplicateFilter": off}
        resource = Camera.model_validate(
            {"metadata": {"name": self.name}, "spec": {"source": source, "sampling": sampling}}
        )
        return DesiredCamera(resource.metadata.key, resource, {}, self.name, self.name)


Metrics = Mapping[str, float]


def parse_metrics(text: str) -> dict[str, float]:
    """Return the samples of Prometheus' text format: name with labels to value."""
    found = {}
    for line in text.splitlines():
        if line and not line.startswith("#"):
            name, _, value = line.rpartition(" ")
            with contextlib.suppress(ValueError):
                found[name] = float(value)
    return found


@dataclass(frozen=True, slots=True)
class Snapshot:
    """Counters of all processes at one moment.

    Attributes
    ----------
    at
        Seconds on the monotonic clock.
    cameras
        Metrics of each camera's stream process.
    identity
        Metrics of the identity process.
    cpu_s
        CPU seconds used so far by each process, by name; a server's children count as `<server>: <what>`.
    machine_s
        CPU seconds that all programs of the machine used so far, ours and others'.
    """

    at: float
    cameras: dict[str, Metrics]
    identity: Metrics
    cpu_s: dict[str, float]
    machine_s: float = 0.0


@dataclass(frozen=True, slots=True)
class Api:
    """The address and token of subscriptions, and the port of identity's metrics."""

    url: str
    token: str
    identity_port: int


class System:
    """A running system; made by `start`."""

    def __init__(
        self, folder: Path, supervisor: Supervisor, programs: Programs, registry: RegistryClient, api: Api
    ) -> None:
        self._folder = folder
        self._supervisor = supervisor
        self._programs = programs
        self._registry = registry
        self.api = api
        self.cameras: list[CameraChoice] = []

    async def run_cameras(self, cameras: Sequence[CameraChoice]) -> None:
        """Run exactly these cameras until all of them stream; those that stay go on unchanged."""
        for gone in [camera for camera in self.cameras if camera not in cameras]:
            await self._supervisor.remove(stream_name(gone.desired().key))
        added = [camera for camera in cameras if camera not in self.cameras]
        for camera in added:
            desired = camera.desired()
            await self._registry.put_camera(desired.resource)
            self._supervisor.add(self._programs.stream(desired))
        self.cameras = list(cameras)
        await self._supervisor.wait_ready([stream_name(camera.desired().key) for camera in added], READY_S)
        await wait_for(self._all_stream, READY_S, "every camera streams")

    async def enroll(self, name: str, photos: Sequence[Path]) -> None:
        """Enroll a Subject with photos; RuntimeError when no photo was accepted."""
        declared = [{"name": f"p{i}", "secretKeyRef": {"name": name, "key": f"p{i}"}} for i, _ in enumerate(photos)]
        spec = {"displayName": name, "consent": {"status": "Granted"}, "photos": declared}
        subject = Subject.model_validate({"metadata": {"name": name}, "spec": spec})
        uploads = {f"p{i}": photo.read_bytes() for i, photo in enumerate(photos)}
        report = await self._registry.put_subject(subject, uploads)
        if not report.enrolled:
            msg = f"{name} was not enrolled: {report.message}; {[photo.message for photo in report.photos]}"
            raise RuntimeError(msg)

    async def _all_stream(self) -> bool:
        seen = await asyncio.gather(*(self.camera_metrics(camera.name) for camera in self.cameras))
        return all(metrics.get("vigil_stream_frames_analysed_total", 0) > 0 for metrics in seen)

    async def camera_metrics(self, name: str) -> Metrics:
        """Return the metrics of one stream process; empty when it does not respond."""
        try:
            port = int((self._folder / "cameras" / f"{NAMESPACE}_{name}" / "state" / "http.port").read_text())
        except (OSError, ValueError):
            return {}
        return await asyncio.to_thread(scrape, port)

    def processes(self) -> dict[str, psutil.Process]:
        """Return every process of the system, servers' children included, by name."""
        found: dict[str, psutil.Process] = {}
        for name, status in self._supervisor.statuses.items():
            if status.pid is None:
                continue
            with contextlib.suppress(psutil.Error):
                process = psutil.Process(status.pid)
                found[name] = process
                for index, child in enumerate(process.children(recursive=True)):
                    found[f"{name}: {child.name()} {index + 1}"] = child
        return found

    async def snapshot(self) -> Snapshot:
        """Return all counters of this moment."""
        names = [camera.name for camera in self.cameras]
        metrics = await asyncio.gather(*(self.camera_metrics(name) for name in names))
        identity = await asyncio.to_thread(scrape, self.api.identity_port)
        used = {}
        for name, process in self.processes().items():
            with contextlib.suppress(psutil.Error):
                times = process.cpu_times()
                used[name] = times.user + times.system
        return Snapshot(time.monotonic(), dict(zip(names, metrics, strict=True)), identity, used, machine_cpu_s())


def machine_cpu_s() -> float:
    """Return the CPU seconds that the machine has been busy since its start."""
    times = psutil.cpu_times()
    return float(sum(times) - times.idle - getattr(times, "iowait", 0.0) - getattr(times, "guest", 0.0))


def scrape(port: int) -> Metrics:
    """Return a process's Prometheus metrics; empty when it does not respond within 2 s."""
    try:
        with urllib.request.urlopen(f"http://{LOOPBACK}:{port}/metrics", timeout=2) as response:
            return parse_metrics(response.read().decode())
    except OSError:
        return {}


async def wait_for(condition: Callable[[], Awaitable[bool]], timeout_s: float, what: str) -> None:
    """Check a condition every 100 ms; TimeoutError names it when it does not hold in time."""
    deadline = time.monotonic() + timeout_s
    while not await condition():
        if time.monotonic() > deadline:
            msg = f"not within {timeout_s:.0f} s: {what}"
            raise TimeoutError(msg)
        await asyncio.sleep(0.1)


@contextlib.asynccontextmanager
async def start(folder: Path, repository: Path) -> AsyncIterator[System]:
    """Run servers, identity and api as long as the context lasts; cameras are added by `run_cameras`."""
    state = StateFolder(folder)
    state.create()
    secrets, ports = state.secrets(), Ports(folder / "ports.json")
    triton_ports = TritonPorts(*(ports.get(f"triton {name}") for name in ("grpc", "http", "metrics")))
    at = Addresses(
        nats=ports.get("nats"),
        postgres_url=database_url(ports.get("postgres"), secrets.database),
        triton=(f"{LOOPBACK}:{triton_ports.grpc}",),
        identity=ports.get("identity"),
        api=ports.get("api"),
    )
    authority = state.bus_authority()
    programs = Programs(folder, SITE, at, secrets, authority)
    async with Supervisor(folder) as supervisor:
        database = await asyncio.to_thread(postgres, folder / "postgres", ports.get("postgres"), secrets.database)
        for server in (
            nats(folder / "nats", at.nats, authority.server_config(SITE), authority.jetstream_account),
            database,
            triton(folder / "triton", repository, triton_ports),
        ):
            supervisor.add(server)
        await supervisor.wait_ready(["nats", "postgres", "triton"], 120)
        await _migrate(programs)
        supervisor.add(programs.identity())
        supervisor.add(programs.api())
        await supervisor.wait_ready(["identity", "api"], READY_S)
        registry = RegistryClient(f"http://{LOOPBACK}:{at.identity}", secrets.registry)
        try:
            api = Api(f"ws://{LOOPBACK}:{at.api}/graphql", secrets.api, at.identity)
            yield System(folder, supervisor, programs, registry, api)
        finally:
            await registry.close()


async def _migrate(programs: Programs) -> None:
    spec = programs.migrate()
    process = await asyncio.create_subprocess_exec(
        *spec.argv,
        env={**os.environ, **spec.env},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    output, _ = await asyncio.wait_for(process.communicate(), READY_S)
    if process.returncode != 0:
        msg = f"vigil-gateway migrate failed: {output.decode(errors='replace')[-400:]}"
        raise RuntimeError(msg)
