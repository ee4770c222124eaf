"""Processes of a supervisor that was killed: known by pid and start time, so that no other process is touched."""

import contextlib
import json
import os
import signal
from pathlib import Path

import psutil

WAIT_S = 5.0


def record(folder: Path, name: str, pid: int) -> None:
    """Note a child process, so that a later supervisor can recognise it."""
    folder.mkdir(parents=True, exist_ok=True)
    with contextlib.suppress(psutil.NoSuchProcess):
        started = psutil.Process(pid).create_time()
        (folder / f"{name}.json").write_text(json.dumps({"pid": pid, "started": started}))


def forget(folder: Path, name: str) -> None:
    """Take a note back once the process is gone."""
    (folder / f"{name}.json").unlink(missing_ok=True)


def recorded(folder: Path) -> dict[str, list[psutil.Process]]:
    """Find what is still running of the noted processes: themselves, and what they started in their session."""
    running = list(psutil.process_iter())
    found: dict[str, list[psutil.Process]] = {}
    for note in sorted(folder.glob("*.json")):
        with contextlib.suppress(ValueError, KeyError, TypeError):
            told = json.loads(note.read_text())
            members = _session(running, int(told["pid"]), float(told["started"]))
            if members:
                found[note.stem] = members
    return found


def _session(running: list[psutil.Process], leader: int, started: float) -> list[psutil.Process]:
    """List a session's processes, unless its number has meanwhile been given to another leader."""
    members = []
    for process in running:
        with contextlib.suppress(psutil.NoSuchProcess, ProcessLookupError):
            if os.getsid(process.pid) != leader or process.status() == psutil.STATUS_ZOMBIE:
                continue
            if process.pid == leader and process.create_time() != started:
                return []
            members.append(process)
    return members


def end_strays(folder: Path) -> list[str]:
    """End what a killed supervisor left running, with all children; returns the names.

    Parameters
    ----------
    folder
        Where that supervisor noted its processes.
    """
    strays = recorded(folder)
    doomed = [process for members in strays.values() for process in members]
    for process in doomed:
        with contextlib.suppress(psutil.NoSuchProcess):
            process.kill()
    psutil.wait_procs(doomed, timeout=WAIT_S)
    for note in folder.glob("*.json"):
        note.unlink(missing_ok=True)
    return list(strays)


def kill_group(pid: int, number: int = signal.SIGKILL) -> None:
    """Signal a child and all of its process group; it may be gone already."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(pid, number)
