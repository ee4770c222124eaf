"""A real `vigil-stream` process, with what the bus and its probes report."""

import json
import os
import signal
import subprocess
import sys
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

import nats
from tests.support.servers import NatsServer, environment
from tests.support.waiting import wait_until

from vigil_contracts import bus
from vigil_contracts.events import CameraHeartbeat, Sighting, decode
from vigil_contracts.ids import ResourceKey
from vigil_runtime.bus import ensure_streams

SITE = "lab"


class StreamProcess:
    """One camera's process; started and killed at will on the same state folder."""

    def __init__(self, folder: Path, name: str, nats_url: str, token: str, triton: str, **spec: Any) -> None:
        self.key = ResourceKey("default", name)
        self._file = folder / f"{name}.json"
        manifest = {"apiVersion": "vigil.dev/v1alpha1", "kind": "Camera", "metadata": {"name": name}, "spec": spec}
        self._file.write_text(json.dumps(manifest))
        self.state = folder / f"state-{name}"
        self.log = folder / f"{name}.log"
        self.settings = {
            "VIGIL_SITE": SITE,
            "VIGIL_NATS_URL": nats_url,
            "VIGIL_NATS_TOKEN": token,
            "VIGIL_TRITON_URLS": triton,
            "VIGIL_STATE_DIR": str(self.state),
        }
        self.within: tuple[str, ...] = ()
        """The command that starts the process, such as one that gives it namespaces of its own."""
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> "StreamProcess":
        (self.state / "http.port").unlink(missing_ok=True)
        command = [*self.within, sys.executable, "-m", "vigil_stream", "run", "--camera", str(self._file)]
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                command, env={**environment(), **self.settings}, stdout=log, stderr=subprocess.STDOUT
            )
        return self

    @property
    def process(self) -> "subprocess.Popen[bytes]":
        assert self._process is not None
        return self._process

    def kill(self) -> None:
        self.process.send_signal(signal.SIGKILL)
        self.process.wait(10)

    def end(self) -> int:
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(20)

    def get(self, path: str) -> tuple[int, str]:
        port_file = self.state / "http.port"
        wait_until(port_file.exists, 20, "the HTTP port is known")
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{int(port_file.read_text())}{path}", timeout=5) as response:
                return response.status, response.read().decode()
        except urllib.error.HTTPError as error:
            return error.code, error.read().decode()
        except OSError as error:
            return 0, str(error)

    def memory_mib(self) -> float:
        for line in Path(f"/proc/{self.process.pid}/status").read_text().splitlines():
            if line.startswith("VmRSS"):
                return int(line.split()[1]) / 1024
        raise AssertionError("no VmRSS")


class Bus:
    """A client that makes the streams, as identity does, and reads back what is stored."""

    def __init__(self, server: NatsServer) -> None:
        self._server = server
        self.client: Any = None

    async def __aenter__(self) -> "Bus":
        self.client = await nats.connect(self._server.url, token=self._server.token, max_reconnect_attempts=-1)
        await ensure_streams(self.client.jetstream(), SITE)
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.client.close()

    async def sightings(self, key: ResourceKey) -> list[Sighting]:
        """Return all stored sighting events of a camera, in order."""
        stream, subject = bus.sighting_stream(SITE).name, bus.bus_subject(SITE, bus.MessageKind.SIGHTING, key)
        jetstream = self.client.jetstream()
        try:
            info = await jetstream.stream_info(stream)
        except nats.js.errors.NotFoundError:
            return []
        found, seq = [], info.state.first_seq
        while seq <= info.state.last_seq:
            try:
                message = await jetstream.get_msg(stream, seq, subject=subject, next=True)
            except nats.js.errors.NotFoundError:
                break
            found.append(decode(message.data, Sighting))
            seq = message.seq + 1
        return found

    async def heartbeat(self, key: ResourceKey) -> CameraHeartbeat | None:
        """Return the last stored heartbeat of a camera."""
        stream, subject = bus.camera_stream(SITE).name, bus.bus_subject(SITE, bus.MessageKind.CAMERA, key)
        try:
            message = await self.client.jetstream().get_last_msg(stream, subject)
        except (nats.js.errors.NotFoundError, nats.errors.TimeoutError):
            return None
        return decode(message.data, CameraHeartbeat)


def alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True
