"""Real servers as fixtures. Session-scoped ones are shared: tests that kill a server ask for one of their own."""

import gc
import logging
from collections.abc import Callable, Iterator
from pathlib import Path

import hypothesis
import pytest
from tests.chart.installed import installed  # noqa: F401 - a fixture
from tests.support.kubernetes.fixtures import (  # noqa: F401 - fixtures, and a hook that builds what they need
    api_cluster,
    helm,
    kubeconform,
    kwok_cluster,
    node_cluster,
    own_api_cluster,
    own_node_cluster,
    pytest_collection_finish,
)
from tests.support.running import run_folder
from tests.support.servers import (
    ARCFACE_PACK,
    OPEN_PACK,
    NatsServer,
    PostgresServer,
    RtspServer,
    TritonServer,
    start_nats,
    start_postgres,
    start_rtsp,
    start_triton,
)

from vigil_cli.standalone.servers.go2rtc import Login

# How long an example takes says how busy the machine is.
hypothesis.settings.register_profile("vigil", deadline=None)
hypothesis.settings.load_profile("vigil")


@pytest.fixture(autouse=True)
def _logging_as_it_was() -> Iterator[None]:
    """Undo what a program sets up: it would else log all that comes after to a stream that is closed by then."""
    root = logging.getLogger()
    handlers, level = list(root.handlers), root.level
    yield
    root.handlers[:] = handlers
    root.setLevel(level)


@pytest.fixture(scope="module", autouse=True)
def _left_open_is_found_here() -> Iterator[None]:
    """Collect what a module left open, such as a socket: its warning would else fail a test of another module."""
    yield
    gc.collect()


@pytest.fixture(scope="session")
def servers_folder() -> Path:
    return run_folder()


@pytest.fixture(scope="session")
def shared_nats(servers_folder: Path) -> Iterator[NatsServer]:
    server = start_nats(servers_folder / "nats")
    yield server
    server.running.kill()


@pytest.fixture
def own_nats(tmp_path: Path) -> Iterator[NatsServer]:
    server = start_nats(tmp_path / "nats")
    yield server
    server.running.kill()


@pytest.fixture(scope="session")
def shared_postgres(servers_folder: Path) -> Iterator[PostgresServer]:
    server = start_postgres(servers_folder / "postgres")
    yield server
    server.running.stop()


@pytest.fixture
def own_postgres(tmp_path: Path) -> Iterator[PostgresServer]:
    server = start_postgres(tmp_path / "postgres")
    yield server
    server.running.stop()


@pytest.fixture(scope="session")
def open_triton(servers_folder: Path) -> Iterator[TritonServer]:
    """YuNet and SFace."""
    server = start_triton(servers_folder / "triton-open", OPEN_PACK)
    yield server
    server.running.discard()


@pytest.fixture(scope="session")
def arcface_triton(servers_folder: Path) -> Iterator[TritonServer]:
    """SCRFD-2.5G and MobileFaceNet; skipped by name without the shared material."""
    server = start_triton(servers_folder / "triton-arcface", ARCFACE_PACK)
    yield server
    server.running.discard()


@pytest.fixture
def own_triton(tmp_path: Path) -> Iterator[Callable[[str], TritonServer]]:
    started: list[TritonServer] = []

    def start(pack: str = OPEN_PACK) -> TritonServer:
        started.append(start_triton(tmp_path / f"triton-{len(started)}", pack))
        return started[-1]

    yield start
    for server in started:
        server.running.discard()


@pytest.fixture
def rtsp(tmp_path: Path) -> Iterator[Callable[..., RtspServer]]:
    """Start RTSP servers: `rtsp({"name": video})`, and with `login=Login(...)` one that asks for a password."""
    started: list[RtspServer] = []

    def start(videos: dict[str, Path], login: Login | None = None) -> RtspServer:
        started.append(start_rtsp(tmp_path / f"rtsp-{len(started)}", videos, login))
        return started[-1]

    yield start
    for server in started:
        server.running.kill()
