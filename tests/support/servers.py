"""Real NATS, Postgres, Triton and RTSP for tests."""

import hashlib
import os
import shutil
import socket
from dataclasses import dataclass
from pathlib import Path
from uuid import uuid4

import asyncpg
import filelock
import imageio_ffmpeg
from tests.support.running import Running
from tests.support.shared import missing, shared

import vigil_models
from vigil_cli.standalone.servers.go2rtc import ANYWHERE, Login, ffmpeg_loop, go2rtc
from vigil_cli.standalone.servers.nats import nats, token_for_all
from vigil_cli.standalone.servers.ports import LOOPBACK, free_port
from vigil_cli.standalone.servers.postgres import postgres, url
from vigil_cli.standalone.servers.triton import TritonPorts, triton
from vigil_cli.supervisor.spec import StartError
from vigil_models.api import cache_dir, ensure_pack, export_pack, pack
from vigil_models.fetch.store import models_dir
from vigil_runtime.bus_address import BusAddress, BusCredentials

PASSWORD = "for-tests"
TOKEN = "for-tests"


@dataclass(frozen=True)
class NatsServer:
    """A NATS server with JetStream."""

    running: Running
    url: str
    token: str

    def address(self, site: str) -> BusAddress:
        """Return its address with its token."""
        return BusAddress(self.url, BusCredentials(token=self.token), site)


def start_nats(folder: Path) -> NatsServer:
    """Start a server with one token, which may do everything."""
    port = free_port()
    return NatsServer(
        Running(nats(folder, port, token_for_all(TOKEN)), folder).start(), f"nats://{LOOPBACK}:{port}", TOKEN
    )


@dataclass(frozen=True)
class PostgresServer:
    """A Postgres server."""

    running: Running
    port: int

    @property
    def admin_url(self) -> str:
        return url(self.port, PASSWORD)

    def url(self, database: str) -> str:
        return url(self.port, PASSWORD, database)

    async def new_database(self, template: str = "template1") -> str:
        """Make an empty database, or a copy of another, and return its address."""
        name = f"test_{uuid4().hex[:12]}"
        connection = await asyncpg.connect(self.admin_url)
        try:
            await connection.execute(f"CREATE DATABASE {name} TEMPLATE {template}")
        finally:
            await connection.close()
        return self.url(name)


def start_postgres(folder: Path) -> PostgresServer:
    port = free_port()
    return PostgresServer(Running(postgres(folder, port, PASSWORD), folder).start(), port)


@dataclass(frozen=True)
class TritonServer:
    """A Triton server with a model pack."""

    running: Running
    address: str
    pack: str


ARCFACE_PACK = "scrfd-mobilefacenet-test"
"""SCRFD-2.5G and MobileFaceNet, from the shared material."""
OPEN_PACK = "open"


def model_repository(name: str) -> Path:
    """Export a pack once for this version of the exporter, and keep it in the cache."""
    target = cache_dir() / "test-repositories" / f"{name}-{_exporter_version()}"
    target.parent.mkdir(parents=True, exist_ok=True)
    with filelock.FileLock(target.with_suffix(".lock")):
        if not (target / "manifest.json").exists():
            export_pack(name, _sources(name), "cpu-python", target)
    return target


def _sources(name: str) -> Path:
    if name == OPEN_PACK:
        return ensure_pack(name, accept_licence=True)
    return shared("models")


def provide_pack(name: str) -> None:
    """Put a pack's files where programs look for them, as a user does with files of one's own."""
    if name == OPEN_PACK:
        return
    target = models_dir(cache_dir())
    target.mkdir(parents=True, exist_ok=True)
    for model in pack(name).models:
        if not (target / model.file).exists():
            shutil.copy2(shared("models") / model.file, target / model.file)


def _exporter_version() -> str:
    digest = hashlib.sha256()
    for path in sorted(Path(vigil_models.__file__).parent.rglob("*")):
        if path.suffix in {".py", ".yaml", ".json"}:
            digest.update(path.read_bytes())
    return digest.hexdigest()[:12]


def start_triton(folder: Path, name: str) -> TritonServer:
    ports = TritonPorts(free_port(), free_port(), free_port())
    spec = triton(folder, model_repository(name), ports)
    return TritonServer(Running(spec, folder).start(), f"{LOOPBACK}:{ports.grpc}", name)


@dataclass(frozen=True)
class RtspServer:
    """A go2rtc server."""

    running: Running
    port: int
    host: str = LOOPBACK

    def url(self, name: str) -> str:
        return f"rtsp://{self.host}:{self.port}/{name}"


def ffmpeg() -> Path:
    """Find the ffmpeg that comes with imageio-ffmpeg."""
    return Path(imageio_ffmpeg.get_ffmpeg_exe())


def start_rtsp(folder: Path, videos: dict[str, Path], login: Login | None = None) -> RtspServer:
    """Serve video files again and again in real time; skips by name where go2rtc is not to be had.

    With a login the address is one of the machine's own on its network: go2rtc asks nobody on loopback.
    """
    port = free_port(ANYWHERE if login else LOOPBACK)
    try:
        sources = {name: ffmpeg_loop(ffmpeg(), video) for name, video in videos.items()}
        spec = go2rtc(folder, port, sources, login)
    except StartError as error:
        missing(f"go2rtc ({error})")
    return RtspServer(Running(spec, folder).start(), port, own_address() if login else LOOPBACK)


def own_address() -> str:
    """Return this machine's address on its network; skips where it has none."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("192.0.2.1", 9))  # sends nothing: it only asks for the way
        except OSError:
            missing("a network address other than loopback")
        address: str = probe.getsockname()[0]
    return address


def environment() -> dict[str, str]:
    """Return the environment of a test's child programs: this one without any VIGIL_ setting but the cache."""
    return {
        name: value for name, value in os.environ.items() if not name.startswith("VIGIL_") or name == "VIGIL_CACHE_DIR"
    }
