"""Processes of a supervisor that is gone, and how they are told from all others.

Every child is started with a mark in its environment that no other process has, and noted with its pid, the moment of
its start and the boot it belongs to. What bears the mark, or is exactly the noted process or in its session, is a stray
once the supervisor is gone; nothing else ever is, whatever its pid.

Run as a script (`strays.py NOTES MARK`, standard library only) it is the janitor of one supervisor: it waits until its
standard input ends, which the kernel sees to however the supervisor dies, and then ends that supervisor's children with
all that they started.
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
"""Environment variable of every child: `<supervisor's own random word>:<child's name>`."""
WAIT_S = 5.0
POLL_S = 0.02


@dataclass(frozen=True, slots=True)
class Seen:
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
class Note:
    """What a supervisor writes down about a child."""

    pid: int
    started: int
    boot: str
    mark: str


def look_at(pid: int) -> Seen | None:
    """See a process, unless it has ended (a zombie has)."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_bytes().rpartition(b")")[2].split()
    except OSError:
        return None
    return None if fields[0] in {b"Z", b"X"} else Seen(pid, session=int(fields[3]), started=int(fields[19]))


def boot_id() -> str:
    """Name this boot of the machine; pids and ticks start again with the next."""
    return Path("/proc/sys/kernel/random/boot_id").read_text().strip()


def record(folder: Path, name: str, pid: int, mark: str) -> None:
    """Note a child, so that the janitor and the next supervisor recognise it."""
    seen = look_at(pid)
    if seen is not None:
        folder.mkdir(parents=True, exist_ok=True)
        note = Note(pid, seen.started, boot_id(), mark)
        (folder / f"{name}.json").write_text(json.dumps(asdict(note)))


def forget(folder: Path, name: str) -> None:
    """Take a note back once the process is gone."""
    (folder / f"{name}.json").unlink(missing_ok=True)


def end_strays(folder: Path, supervisor: str = "") -> list[str]:
    """End what a supervisor left running, with all that it started; returns the names.

    Parameters
    ----------
    folder
        Where the supervisor noted its processes.
    supervisor
        Only processes of the supervisor with this word; all by default, so make sure that none is alive.
    """
    notes = {file: note for file in sorted(folder.glob("*.json")) if (note := _read(file, supervisor))}
    marks = {note.mark for note in notes.values()}

    def owner(process: Seen, running: set[Seen]) -> str:
        for note in notes.values():
            leader = Seen(note.pid, note.pid, note.started)
            if process == leader or (process.session == note.pid and leader in running):
                return note.mark
        mark = _mark(process.pid)
        return mark if mark in marks or (supervisor and mark.startswith(f"{supervisor}:")) else ""

    ended = _end_all(owner)
    for file in notes:
        file.unlink(missing_ok=True)
    return sorted({mark.rpartition(":")[2] for mark in ended})


def end_marked(mark: str) -> None:
    """End every process that bears a mark: a child's family, also where it left the child's process group."""
    _end_all(lambda process, _: mark if _mark(process.pid) == mark else "")


def _end_all(owner: Callable[[Seen, set[Seen]], str]) -> set[str]:
    """Kill the processes for which `owner` gives a mark, and those that they start meanwhile; returns the marks."""
    ended: set[str] = set()
    deadline = time.monotonic() + WAIT_S
    while time.monotonic() < deadline:
        running = {
            seen for entry in Path("/proc").iterdir() if entry.name.isdigit() and (seen := look_at(int(entry.name)))
        }
        found = {seen: mark for seen in running if seen.pid != os.getpid() and (mark := owner(seen, running))}
        if not found:
            break
        ended.update(found.values())
        for process in found:
            _kill(process)
        time.sleep(POLL_S)
    return ended


def _read(file: Path, supervisor: str) -> Note | None:
    """Read a note; one that is damaged, of another boot or of another supervisor names no process."""
    try:
        note = Note(**json.loads(file.read_text()))
        ours = note.mark.startswith(supervisor) and note.boot == boot_id() and note.pid > 1
    except (OSError, ValueError, TypeError, AttributeError):
        ours = False
    return note if ours else None


def _mark(pid: int) -> str:
    try:
        environment = Path(f"/proc/{pid}/environ").read_bytes()
    except OSError:  # it has ended, or is another user's
        return ""
    wanted = f"{MARK}=".encode()
    return next((part[len(wanted) :].decode() for part in environment.split(b"\0") if part.startswith(wanted)), "")


def _kill(process: Seen) -> None:
    """Kill exactly this process: the handle cannot come to mean another while its start is compared."""
    with contextlib.suppress(OSError):
        handle = os.pidfd_open(process.pid)
        try:
            if look_at(process.pid) == process:
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
    end_strays(Path(arguments[0]), arguments[1])
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
