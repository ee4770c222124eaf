"""Processes of a supervisor that is gone, and how they are distinguished from all others.

Every child is started with a mark in its environment that no other process has, and recorded with its pid, the moment
of its start and the boot it belongs to. Once the supervisor is gone, a process is an orphan if it bears the mark, is
exactly the recorded process, or is in its session; no other process ever is, whatever its pid.

Run as a script (`orphans.py RECORDS MARK`, standard library only) it is the reaper of one supervisor: it waits until
its standard input ends, which the kernel ensures however the supervisor ends, and then ends that supervisor's children
with all that they started.
"""

import contextlib
import json
import os
import signal
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

MARK = "VIGIL_SUPERVISED"
"""Environment variable of every child: `<random id of the supervisor>:<name of the child>`."""
WAIT_S = 5.0
POLL_S = 0.02


@dataclass(frozen=True, slots=True)
class ProcessInstance:
    """A running process.

    Attributes
    ----------
    started
        Clock ticks from the boot of the machine to its start (proc(5), `starttime`): with the pid it names one process.
    """

    pid: int
    session: int
    started: int


@dataclass(frozen=True, slots=True)
class ChildRecord:
    """The record that a supervisor keeps of a child."""

    pid: int
    started: int
    boot: str
    mark: str


def find_process(pid: int) -> ProcessInstance | None:
    """Return a running process, None when it has ended (a zombie has)."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_bytes().rpartition(b")")[2].split()
    except OSError:
        return None
    return None if fields[0] in {b"Z", b"X"} else ProcessInstance(pid, session=int(fields[3]), started=int(fields[19]))


def boot_id() -> str:
    """Return the id of this boot of the machine; pids and ticks start again with the next."""
    return Path("/proc/sys/kernel/random/boot_id").read_text().strip()


def record(folder: Path, name: str, pid: int, mark: str) -> None:
    """Record a child, so that the reaper and the next supervisor recognise it."""
    found = find_process(pid)
    if found is not None:
        folder.mkdir(parents=True, exist_ok=True)
        child = ChildRecord(pid, found.started, boot_id(), mark)
        (folder / f"{name}.json").write_text(json.dumps(asdict(child)))


def forget(folder: Path, name: str) -> None:
    """Remove the record of a child that is gone."""
    (folder / f"{name}.json").unlink(missing_ok=True)


def end_orphans(folder: Path, supervisor: str = "") -> list[str]:
    """End the children that a supervisor left running, with all that they started; return their names.

    Parameters
    ----------
    folder
        Where the supervisor recorded its children.
    supervisor
        Id of the supervisor whose processes are ended; all by default, so make sure that none is alive.
    """
    children = {file: child for file in sorted(folder.glob("*.json")) if (child := _read(file, supervisor))}
    marks = {child.mark for child in children.values()}

    def owner(process: ProcessInstance, running: set[ProcessInstance]) -> str:
        for child in children.values():
            leader = ProcessInstance(child.pid, child.pid, child.started)
            if process == leader or (process.session == child.pid and leader in running):
                return child.mark
        mark = _mark(process.pid)
        return mark if mark in marks or (supervisor and mark.startswith(f"{supervisor}:")) else ""

    ended = _end_all(owner)
    for file in children:
        file.unlink(missing_ok=True)
    return sorted({mark.rpartition(":")[2] for mark in ended})


def end_marked(mark: str) -> None:
    """End every process that bears a mark: a child's descendants, also those that left its process group."""
    _end_all(lambda process, _: mark if _mark(process.pid) == mark else "")


def _end_all(owner: Callable[[ProcessInstance, set[ProcessInstance]], str]) -> set[str]:
    """Kill the processes for which `owner` returns a mark, and those that they start meanwhile; return the marks."""
    ended: set[str] = set()
    deadline = time.monotonic() + WAIT_S
    while time.monotonic() < deadline:
        running = {
            seen
            for entry in Path("/proc").iterdir()
            if entry.name.isdigit() and (seen := find_process(int(entry.name)))
        }
        found = {one: mark for one in running if one.pid != os.getpid() and (mark := owner(one, running))}
        if not found:
            break
        ended.update(found.values())
        for process in found:
            _kill(process)
        time.sleep(POLL_S)
    return ended


def _read(file: Path, supervisor: str) -> ChildRecord | None:
    """Read a record; one that is damaged, of another boot or of another supervisor names no process."""
    try:
        child = ChildRecord(**json.loads(file.read_text()))
        ours = child.mark.startswith(supervisor) and child.boot == boot_id() and child.pid > 1
    except (OSError, ValueError, TypeError, AttributeError):
        ours = False
    return child if ours else None


def _mark(pid: int) -> str:
    try:
        environment = Path(f"/proc/{pid}/environ").read_bytes()
    except OSError:  # it has ended, or is another user's
        return ""
    wanted = f"{MARK}=".encode()
    return next((part[len(wanted) :].decode() for part in environment.split(b"\0") if part.startswith(wanted)), "")


def _kill(process: ProcessInstance) -> None:
    """Kill exactly this process: the handle cannot come to mean another while its start is compared."""
    with contextlib.suppress(OSError):
        handle = os.pidfd_open(process.pid)
        try:
            if find_process(process.pid) == process:
                signal.pidfd_send_signal(handle, signal.SIGKILL)
        finally:
            os.close(handle)


def kill_group(pid: int, number: int = signal.SIGKILL) -> None:
    """Signal a child and all of its process group; it may be gone already."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(pid, number)


def main(arguments: list[str]) -> int:
    """Wait for the end of the supervisor and clean up after it."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    while sys.stdin.buffer.read(4096):
        pass
    end_orphans(Path(arguments[0]), arguments[1])
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
