"""A real Triton with models from our own exporter, and real faces."""

import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from pathlib import Path

import pytest

from vigil_cli.standalone.servers.triton import TritonPorts, triton
from vigil_vision.triton import InferenceClient

ROOT = Path(__file__).parents[3]
SHARED = ROOT.parent / "shared"
BIN = Path(sys.executable).parent

PACKS = ("open", "scrfd-mobilefacenet-test")


def wait_until(condition: Callable[[], bool], what: str, deadline_s: float = 60.0) -> None:
    until = time.monotonic() + deadline_s
    pause = threading.Event()
    while not condition():
        assert time.monotonic() < until, f"not within {deadline_s} s: {what}"
        pause.wait(0.05)


def free_ports() -> TritonPorts:
    with ExitStack() as stack:
        sockets = [stack.enter_context(closing(socket.socket())) for _ in range(3)]
        for one in sockets:
            one.bind(("127.0.0.1", 0))
        grpc, http, metrics = (one.getsockname()[1] for one in sockets)
    return TritonPorts(grpc, http, metrics)


class TritonServer:
    """A Triton process that can be killed and started again on the same ports."""

    def __init__(self, models: Path, folder: Path) -> None:
        self.ports = free_ports()
        self.address = f"127.0.0.1:{self.ports.grpc}"
        self.log = folder / f"triton-{self.ports.grpc}.log"
        self._spec = triton(folder, models, self.ports)
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        if self._spec.before_start is not None:
            self._spec.before_start()
        # The python backend's stub finds the virtual environment by the first python on the PATH.
        path = {"PATH": f"{BIN}{os.pathsep}{os.environ.get('PATH', '')}"}
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                self._spec.argv,
                env={**os.environ, **self._spec.env, **path},
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        wait_until(self._is_up, f"Triton ready; its log is {self.log}")

    def kill(self) -> None:
        if self._process is not None:
            # The stubs of the python backend are in its session; without their parent they would linger.
            os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait(10)
            self._process = None
        if self._spec.before_start is not None:
            self._spec.before_start()

    def _is_up(self) -> bool:
        assert self._process is not None
        assert self._process.poll() is None, self.log.read_text(errors="replace")[-4000:]
        return self._spec.ready is not None and self._spec.ready()


@pytest.fixture(scope="session")
def faces() -> Path:
    folder = SHARED / "faces"
    if not folder.is_dir():
        pytest.skip("../shared/faces is not on this machine")
    return folder


@pytest.fixture(scope="session")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("triton")


@pytest.fixture(scope="session")
def repository(folder: Path) -> Callable[[str], Path]:
    """Export a pack once for the session; skips by name when its files are not here."""

    def export(pack: str) -> Path:
        out = folder / "models" / pack
        if out.is_dir():
            return out
        command = [str(BIN / "vigil-models"), "export", "--pack", pack, "--target", "cpu-python"]
        command += ["--accept-licence", "--out", str(out)]
        if pack != "open":
            if not (SHARED / "models").is_dir():
                pytest.skip("../shared/models is not on this machine")
            command += ["--source-dir", str(SHARED / "models")]
        done = subprocess.run(command, capture_output=True, text=True, timeout=240, check=False)
        if done.returncode and "vigil-models pull" in done.stdout + done.stderr:
            pytest.skip(f"the files of the pack {pack} are not on this machine")
        assert done.returncode == 0, done.stdout + done.stderr
        return out

    return export


@pytest.fixture(scope="session", params=PACKS)
def server(request: pytest.FixtureRequest, repository: Callable[[str], Path], folder: Path) -> Iterator[TritonServer]:
    running = TritonServer(repository(request.param), folder)
    try:
        running.start()
        yield running
    finally:
        running.kill()


@pytest.fixture
def client(server: TritonServer) -> Iterator[InferenceClient]:
    with InferenceClient([server.address], deadline_s=20) as made:
        yield made
