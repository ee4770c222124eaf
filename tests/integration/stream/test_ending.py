"""A process that gets SIGTERM while it starts ends, also as a container's first process without a network."""

import os
import shutil
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.integration.stream.clips import write_video
from tests.integration.stream.processes import StreamProcess
from tests.support.shared import missing
from tests.support.waiting import wait_until

from vigil_stream import runner

pytestmark = pytest.mark.integration

SOON_S = 6
"""It takes 2 s at most on an idle machine; what held it up took 13 s and more."""

SILENT = "192.0.2.9"
"""Packets to it are lost: they are neither refused nor answered."""
RESOLVER = "192.0.2.53"

NOWHERE = """
ip link add nowhere type veth peer name void && ip link set nowhere arp off up && ip link set void up &&
ip link set lo up && ip addr add 192.0.2.1/24 dev nowhere && mount --bind "$0" /etc/resolv.conf && exec "$@"
"""
SYN_SENT, UDP_CONNECTED = "02", "01"


class Lonely(StreamProcess):
    """The first process of its own namespace, as in a container, on a network where nothing answers."""

    def __init__(self, folder: Path, *, nats: str = SILENT, **spec: Any) -> None:
        super().__init__(folder, "c", f"nats://{nats}:4222", "t", f"{SILENT}:8001", **spec)
        resolver = folder / "resolv.conf"
        resolver.write_text(f"nameserver {RESOLVER}\nsearch a.invalid b.invalid\noptions ndots:5\n")
        namespaces = ("unshare", "--net", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc")
        self.settings["VIGIL_LOG_LEVEL"] = "debug"
        self.within = (*namespaces, "sh", "-c", NOWHERE, str(resolver))

    @property
    def pid(self) -> int:
        """Of the process itself, as it is seen from here; 0 while it is not yet there, or in exec."""
        outer = self.process.pid
        assert self.process.poll() is None, self.log.read_text()
        children = Path(f"/proc/{outer}/task/{outer}/children").read_text().split()
        if not children or "vigil_stream" not in Path(f"/proc/{children[0]}/cmdline").read_text():
            return 0
        return int(children[0])

    def read(self, name: str) -> str:
        pid = self.pid
        return Path(f"/proc/{pid}/{name}").read_text() if pid else ""

    def listens_to(self, number: signal.Signals) -> bool:
        caught = [line.split()[1] for line in self.read("status").splitlines() if line.startswith("SigCgt")]
        return bool(caught) and bool(int(caught[0], 16) >> (number - 1) & 1)

    def waits_for(self, protocol: str, address: str, port: int) -> bool:
        """Whether it has asked something of an address and has no answer."""
        there = bytes(reversed([int(part) for part in address.split(".")])).hex().upper() + f":{port:04X}"
        state = SYN_SENT if protocol == "tcp" else UDP_CONNECTED
        # gRPC has sockets of IPv6 for addresses of IPv4; they end alike.
        rows = [line.split() for net in (protocol, f"{protocol}6") for line in self.read(f"net/{net}").splitlines()[1:]]
        return any(row[2].endswith(there) and row[3] == state for row in rows)

    def ends_on_sigterm(self) -> None:
        pid = self.pid
        assert pid, "0 would be this test itself"
        os.kill(pid, signal.SIGTERM)
        assert self.process.wait(SOON_S) == runner.EXIT_OK
        logged = self.log.read_text()
        assert "Traceback" not in logged
        assert "destroyed" not in logged


Start = Callable[..., Lonely]


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    if os.geteuid() != 0:
        missing("root, for namespaces of its own")
    for program in ("unshare", "ip"):
        if shutil.which(program) is None:
            missing(program)
    started: list[Lonely] = []

    def run(**settings: Any) -> Lonely:
        process = Lonely(tmp_path, **settings)
        started.append(process)
        process.start()
        return process

    yield run
    for process in started:
        if process.process.poll() is None:
            process.kill()


RTSP = {"type": "RTSP", "url": f"rtsp://{SILENT}:554/cam"}


def test_it_ends_while_it_is_still_being_loaded(start: Start) -> None:
    process = start(source=RTSP)
    wait_until(lambda: process.listens_to(signal.SIGTERM), 20, "it handles SIGTERM")
    assert "libav" not in process.read("maps"), "SIGTERM was handled only after all was loaded"
    process.ends_on_sigterm()


def test_it_ends_while_a_name_is_being_resolved(start: Start) -> None:
    process = start(nats="vigil-nats.vigil", source=RTSP)
    wait_until(lambda: process.waits_for("udp", RESOLVER, 53), 20, "it asks for the address of the bus")
    process.ends_on_sigterm()


def test_it_ends_while_bus_and_camera_do_not_answer(start: Start) -> None:
    process = start(source=RTSP)
    wait_until(lambda: process.waits_for("tcp", SILENT, 4222), 20, "it connects to the bus")
    wait_until(lambda: process.waits_for("tcp", SILENT, 554), 20, "it connects to the camera")
    process.ends_on_sigterm()


def test_it_ends_while_inference_does_not_answer(start: Start, tmp_path: Path) -> None:
    clip = write_video(tmp_path / "clip.mp4", 320, 192, 50)
    process = start(source={"type": "File", "url": f"file://{clip}", "loop": True})
    wait_until(lambda: process.waits_for("tcp", SILENT, 8001), 20, "it connects to inference")
    process.ends_on_sigterm()
    abandoned = [line for line in process.log.read_text().splitlines() if "frame abandoned at the end" in line]
    assert not any("no answer" in line for line in abandoned), "it waited for the answer"
