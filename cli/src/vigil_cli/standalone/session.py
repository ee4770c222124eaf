"""One run of the whole system: servers, programs, cameras and Subjects."""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from watchfiles import awatch

from vigil_cli.client import Api, ApiRefusedError
from vigil_cli.dashboard import DashboardState
from vigil_cli.errors import CommandError
from vigil_cli.manifests import Finding, ManifestError, Manifests, load
from vigil_cli.manifests.partial import applicable
from vigil_cli.standalone.applier import Applier, Listener
from vigil_cli.standalone.background import background_tasks
from vigil_cli.standalone.defects import Defects
from vigil_cli.standalone.desired import Desired, desired, needs_restart
from vigil_cli.standalone.disk import watch_disk
from vigil_cli.standalone.enrolment import Enroller
from vigil_cli.standalone.models import Models
from vigil_cli.standalone.programs import Addresses, Programs
from vigil_cli.standalone.record import Record
from vigil_cli.standalone.redaction import LogRedactor, names_of
from vigil_cli.standalone.servers.nats import nats
from vigil_cli.standalone.servers.ports import EVERYWHERE, LOOPBACK, Ports, in_url, own_addresses
from vigil_cli.standalone.servers.postgres import postgres, url
from vigil_cli.standalone.servers.triton import TritonPorts, triton
from vigil_cli.standalone.state import LOOKALIKES, Secrets, StateFolder, write_private
from vigil_cli.supervisor import ProcessSpec, Supervisor
from vigil_cli.supervisor.completion import run_to_completion
from vigil_contracts.ids import ResourceKey
from vigil_contracts.registry import EnrolmentReport, ErasureReceipt
from vigil_contracts.resources import Camera
from vigil_runtime.photos import Downloader
from vigil_runtime.registry.client import RegistryClient
from vigil_runtime.settings import IpNetwork

SERVERS_TIMEOUT_S = 180
"""Postgres may replay its log, and Triton loads its models on a busy machine."""
MIGRATE_TIMEOUT_S = 120
ENROLL_TIMEOUT_S = 60


@dataclass(frozen=True, slots=True)
class Options:
    """The options of a session.

    Attributes
    ----------
    paths
        Files and folders of manifests; watched for changes.
    extra_cameras
        Cameras without a manifest.
    extra_processes
        Started before the cameras, such as the video servers of the demo.
    port
        Port of the GraphQL API; None: the one of last time, or a free one.
    photo_networks
        Private networks from which photos may be downloaded.
    """

    paths: Sequence[Path]
    extra_cameras: tuple[Camera, ...] = ()
    extra_processes: tuple[ProcessSpec, ...] = ()
    port: int | None = None
    host: str = LOOPBACK
    photo_networks: Sequence[IpNetwork] = ()


class Session:
    """Everything of one run.

    Parameters
    ----------
    state
        Locked by the caller.
    dashboard
        Receives every change.
    """

    def __init__(self, state: StateFolder, models: Models, options: Options, dashboard: DashboardState) -> None:
        self._state = state
        self._models = models
        self._options = options
        self._dashboard = dashboard
        self._secrets: Secrets = state.secrets()
        self._authority = state.bus_authority()
        self._defects = Defects(state.logs / "defects.log", state.command("logs defects"))
        self.api = Api("http://unset", "")
        self._record = Record(state.root)
        self._redactor = LogRedactor(state.logs)
        self._display_names: dict[ResourceKey, str] = {}
        dashboard.on_change = self._write_processes

    @asynccontextmanager
    async def running(self, manifests: Manifests) -> AsyncIterator["Session"]:
        """Start everything in order; leaving stops everything in the reverse order.

        Raises
        ------
        CommandError, StartError
            A part cannot be started; the parts that were started are stopped.
        """
        goal = desired(manifests, self._models.embedder_id, self._options.extra_cameras)
        async with AsyncExitStack() as stack:
            stack.push_async_callback(self._redactor.finish)
            stack.callback(self._set_phase, "Stopped")
            supervisor = await stack.enter_async_context(Supervisor(self._state.root, self._dashboard.process))
            stack.callback(self._set_phase, "Stopping")
            addresses = await self._start_servers(supervisor, goal)
            programs = Programs(self._state.root, goal.site, addresses, self._secrets, self._authority)
            await self._start_programs(supervisor, programs)
            registry = RegistryClient(f"http://{LOOPBACK}:{addresses.identity}", self._secrets.registry)
            stack.push_async_callback(registry.close)
            downloader = Downloader(self._options.photo_networks)
            stack.push_async_callback(downloader.close)
            applier = self._applier(registry, downloader, supervisor, programs)
            await self._announce(addresses, goal.site)
            tasks: dict[str, Callable[[], Awaitable[None]]] = {
                "applying manifests": applier.run,
                "following the model": applier.follow_model,
                "removing names from logs": self._redactor.run,
                "watching manifests": lambda: self._follow_manifests(applier, manifests, goal),
                "listening to sightings": self._sightings,
                "listening to cameras": self._heartbeats,
                "watching the disk": lambda: watch_disk(
                    self._state, self._dashboard, partial(supervisor.restart, "nats")
                ),
            }
            await stack.enter_async_context(background_tasks(self._dashboard, self._defects, tasks))
            await self._begin(applier, manifests, goal)
            yield self

    def _write_processes(self) -> None:
        """Write the states of the processes to a file for `vigil status`."""
        rows = [
            {"name": one.name, "state": str(one.state), "pid": one.pid, "starts": one.starts}
            for one in self._dashboard.processes.values()
        ]
        with contextlib.suppress(OSError):
            write_private(self._state.root / "processes.json", json.dumps(rows))

    def _set_phase(self, phase: str) -> None:
        self._dashboard.phase = phase
        self._dashboard.emit("info", phase)

    async def _start_servers(self, supervisor: Supervisor, goal: Desired) -> Addresses:
        self._set_phase("Starting NATS, Postgres and Triton")
        root = self._state.root
        ports = Ports(root / "ports.json")
        triton_ports = TritonPorts(ports.get("triton-grpc"), ports.get("triton-http"), ports.get("triton-metrics"))
        bus, database = ports.get("nats"), ports.get("postgres")
        api = ports.get("api", self._options.port, self._options.host)  # fails before anything starts
        try:
            clients, account = self._authority.server_config(goal.site), self._authority.jetstream_account
            supervisor.add(nats(root / "nats", bus, clients, account))
            supervisor.add(await asyncio.to_thread(triton, root / "triton", self._models.folder, triton_ports))
            supervisor.add(await asyncio.to_thread(postgres, root / "postgres", database, self._secrets.database))
        except OSError as error:
            msg = (
                f"The state folder {root} cannot be used ({error.strerror}: {error.filename}); correct its permissions "
                "or choose another with --state."
            )
            raise CommandError(msg) from None
        for spec in self._options.extra_processes:
            supervisor.add(spec)
        await supervisor.wait_ready(["nats", "triton", "postgres"], SERVERS_TIMEOUT_S)
        return Addresses(
            nats=bus,
            postgres_url=url(database, self._secrets.database),
            triton=(*goal.inference, f"{LOOPBACK}:{triton_ports.grpc}"),
            identity=ports.get("identity"),
            api=api,
            api_host=self._options.host,
        )

    async def _start_programs(self, supervisor: Supervisor, programs: Programs) -> None:
        self._set_phase("Preparing the database")
        await run_to_completion(programs.migrate(), MIGRATE_TIMEOUT_S)
        self._set_phase("Starting identity and the API")
        supervisor.add(programs.identity())
        supervisor.add(programs.api())
        await supervisor.wait_ready(["identity", "api"], SERVERS_TIMEOUT_S)

    async def _announce(self, addresses: Addresses, site: str) -> None:
        self._dashboard.watch_command = self._state.command("watch")
        self._dashboard.api_url = f"http://{in_url(addresses.api_host)}:{addresses.api}"
        self._dashboard.token = self._secrets.api
        self.api = Api(self._dashboard.api_url, self._secrets.api)
        self._state.announce(self._dashboard.api_url, site)
        self._dashboard.emit("info", f"GraphQL: {self._dashboard.api_url}/graphql#token={self._secrets.api}")
        if addresses.api_host in EVERYWHERE and (own := own_addresses()):
            line = f"From other machines the address is http://{own[0]}:{addresses.api}, with the same token"
            self._dashboard.notices["address"] = ("info", line)
            self._dashboard.emit("info", line)

    def _applier(
        self, registry: RegistryClient, downloader: Downloader, supervisor: Supervisor, programs: Programs
    ) -> Applier:
        listener = Listener(
            enrolled=self._enrolled,
            undeclared=self._undeclared,
            erased=self._erased,
            problem=self._report_problem,
            process_removed=self._dashboard.forget_process,
        )
        enroller = Enroller(registry, downloader)
        return Applier(registry, enroller, supervisor, programs, self._state.applied, listener, self._defects)

    def _erased(self, key: ResourceKey, receipt: ErasureReceipt) -> None:
        """Remove the person from all that this program keeps; the log names the receipt only."""
        self._record.forget(key)
        self._dashboard.forget_person(key)
        self._write_lookalikes()
        self._redactor.add(names_of(key, self._display_names.pop(key, "")))
        self._dashboard.emit("info", f"Everything about Subject {receipt.subject_id} is erased")

    def _undeclared(self, key: ResourceKey, seconds: float) -> None:
        self._dashboard.emit("warning", f"{key} has no manifest any more; it is erased in {seconds:g} s")

    def _enrolled(self, key: ResourceKey, report: EnrolmentReport) -> None:
        """Show the result of an enrolment, and record it for `vigil status`."""
        self._dashboard.enrolled(key, report)
        self._record.set_assessed(key, report)
        self._record.set_problem("subject", key, "")
        self._write_lookalikes()

    def _write_lookalikes(self) -> None:
        rows = [
            {"subject": first._asdict(), "other": second._asdict(), "similarity": similarity}
            for first, second, similarity in self._dashboard.lookalikes()
        ]
        with contextlib.suppress(OSError):  # a full disk is reported by itself
            write_private(self._state.root / LOOKALIKES, json.dumps(rows))

    def _report_problem(self, kind: str, key: ResourceKey, problem: str) -> None:
        self._record.set_problem(kind, key, problem)
        if kind == "subject":
            self._dashboard.subject_problem(key, problem)
        else:
            self._dashboard.problem(f"{kind} {key}", problem)

    async def _begin(self, applier: Applier, manifests: Manifests, goal: Desired) -> None:
        self._declare(manifests)
        applier.set_desired(goal)
        if manifests.subjects:
            self._set_phase(f"Enrolling {len(manifests.subjects)} Subjects")
            await applier.settle(ENROLL_TIMEOUT_S)
        applier.start_streams()
        self._set_phase("Running")

    def _declare(self, manifests: Manifests, findings: Sequence[Finding] = ()) -> None:
        self._record.set_manifests(manifests, findings)
        self._display_names |= {key: one.resource.spec.display_name for key, one in manifests.subjects.items()}
        cameras = {key: declared.resource for key, declared in manifests.cameras.items()}
        cameras |= {camera.metadata.key: camera for camera in self._options.extra_cameras}
        self._dashboard.declare(cameras, {key: declared.resource for key, declared in manifests.subjects.items()})

    async def _follow_manifests(self, applier: Applier, before: Manifests, running: Desired) -> None:
        """Apply every change of a manifest or of a file that it names; of faulty ones the part that is right."""
        if not self._options.paths:
            return
        taken = {camera.metadata.key for camera in self._options.extra_cameras}
        async for _ in awatch(*self._watched(), recursive=False, step=200):
            try:
                manifests = await asyncio.to_thread(load, self._options.paths, before, taken, self._record.is_assessed)
            except ManifestError as error:
                manifests, findings = applicable(before, error.readable), error.findings
                self._show_findings(error)
            else:
                findings = []
                self._dashboard.findings = []
                self._dashboard.notices.pop("manifests", None)
                self._dashboard.emit("info", "Manifests read; changes are applied")
            goal = desired(manifests, self._models.embedder_id, self._options.extra_cameras)
            self._dashboard.problem("Site", needs_restart(running, goal))
            before = manifests
            self._declare(manifests, findings)
            applier.set_desired(replace(goal, site=running.site))

    def _show_findings(self, error: ManifestError) -> None:
        line = f"{error}; for what they concern the previous state goes on, everything else is applied"
        self._dashboard.findings = error.findings
        self._dashboard.notices["manifests"] = ("error", line)
        self._dashboard.emit("error", line)
        for finding in error.findings:
            self._dashboard.emit("error", str(finding))

    def _watched(self) -> list[Path]:
        """Return the folders to watch; a file cannot be watched itself, because editors replace it."""
        return list({path if path.is_dir() else path.resolve().parent for path in self._options.paths})

    async def _sightings(self) -> None:
        with contextlib.suppress(ApiRefusedError):
            async for event in self.api.sightings():
                self._dashboard.sighting(event)

    async def _heartbeats(self) -> None:
        with contextlib.suppress(ApiRefusedError):
            async for event in self.api.cameras():
                self._dashboard.heartbeat(event)
