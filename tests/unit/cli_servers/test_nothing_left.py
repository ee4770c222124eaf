"""However a supervisor ends, nothing that it started stays; and nothing else is ever touched."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.support.waiting import wait_until

from vigil_cli.supervisor import end_orphans, orphans

PROGRAM = Path(__file__).with_name("program.py")


class Up:
    """A supervisor in a program of its own, with a child, its grandchild, and a polite child."""

    def __init__(self, state: Path) -> None:
        self.state = state
        self.process = subprocess.Popen(
            [sys.executable, str(PROGRAM), str(state)], stdout=subprocess.PIPE, text=True, start_new_session=True
        )
        wait_until(lambda: (state / "ready").exists() and (state / "ready").read_text(), 40, "everything is ready")
        self.pids = [int(pid) for pid in (state / "ready").read_text().split()]

    def reaper(self) -> int:
        children = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text().split()
        return next(int(pid) for pid in children if b"orphans.py" in Path(f"/proc/{pid}/cmdline").read_bytes())

    def alive(self) -> list[int]:
        return [pid for pid in self.pids if orphans.find_process(pid)]


@pytest.fixture
def up(tmp_path: Path) -> Iterator[Up]:
    running = Up(tmp_path)
    yield running
    running.process.kill()
    running.process.communicate(timeout=10)
    wait_until(lambda: not running.alive(), 15, "cleaned up")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_an_interrupted_supervisor_stops_everything_in_order(up: Up, number: signal.Signals) -> None:
    reaper = up.reaper()
    up.process.send_signal(number)
    output, _ = up.process.communicate(timeout=30)
    assert (up.process.returncode, output) == (0, "interrupted True\n")
    assert (up.state / "ended-politely").exists()
    assert up.alive() == []
    assert orphans.find_process(reaper) is None


def test_kill_9_of_the_supervisor_leaves_nothing(up: Up) -> None:
    reaper = up.reaper()
    assert len(up.alive()) == 3
    up.process.kill()
    wait_until(lambda: not up.alive(), 15, "children and grandchild have ended")
    wait_until(lambda: orphans.find_process(reaper) is None, 15, "the reaper has ended")


def test_the_next_supervisor_ends_orphans_of_a_killed_reaper(up: Up) -> None:
    os.kill(up.reaper(), signal.SIGKILL)
    up.process.kill()
    grandchild = up.pids[2]
    wait_until(lambda: up.alive() == [grandchild], 15, "the kernel has ended the children, not the grandchild")
    assert end_orphans(up.state / "run") == ["family"]
    assert up.alive() == []


def a_stranger() -> subprocess.Popen[bytes]:
    return subprocess.Popen([sys.executable, "-S", "-c", "import time; time.sleep(600)"], start_new_session=True)


@pytest.mark.parametrize(
    "change",
    [
        {"started": 1},
        {"boot": "another"},
        {"pid": "many"},
        {"started": None, "boot": None, "mark": None},
    ],
    ids=["pid of another process now", "from before a reboot", "not a number", "nothing"],
)
def test_a_note_that_names_another_process_harms_nobody(tmp_path: Path, change: dict[str, object]) -> None:
    stranger = a_stranger()
    try:
        orphans.record(tmp_path, "a", stranger.pid, "word:a")
        note = tmp_path / "a.json"
        note.write_text(json.dumps({**json.loads(note.read_text()), **change}))
        assert end_orphans(tmp_path) == []
        assert stranger.poll() is None
    finally:
        stranger.kill()
        stranger.wait(10)


def test_a_noted_process_is_ended(tmp_path: Path) -> None:
    child = a_stranger()
    orphans.record(tmp_path, "a", child.pid, "word:a")
    assert end_orphans(tmp_path, "another word") == []
    assert child.poll() is None
    assert end_orphans(tmp_path) == ["a"]
    assert child.wait(10) == -signal.SIGKILL
    assert list(tmp_path.glob("*.json")) == []


def test_a_damaged_note_is_passed_over(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text('{"pid": 1')
    (tmp_path / "b.json").write_text("[]")
    assert end_orphans(tmp_path) == []
