"""The state folder: one running `vigil up` at a time, its secrets, and what others must know to talk with it."""

import contextlib
import fcntl
import json
import os
import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, fields
from pathlib import Path

import platformdirs
import psutil

from vigil_cli.errors import CommandError

LEAST_FREE = 256 << 20
"""Bytes: Postgres' log and the first hours of events. With less, Postgres stops in the middle of its work."""


def default_folder() -> Path:
    """Return the state folder of this user."""
    return platformdirs.user_state_path("vigil")


def demo_folder() -> Path:
    """Return the demo's state folder: its people and sightings stay apart from a user's own."""
    return platformdirs.user_state_path("vigil-demo")


@dataclass(frozen=True, slots=True)
class Secrets:
    """Made once for a state folder; readable by its owner only."""

    nats: str
    database: str
    registry: str
    api: str
    """What GraphQL clients show."""


@dataclass(frozen=True, slots=True)
class Running:
    """What is known of the `vigil up` that uses a state folder.

    Attributes
    ----------
    started
        Creation time of the process in seconds since 1970; with the pid it names one process for ever.
    api_url
        `http://host:port` of the GraphQL API.
    """

    pid: int
    started: float
    api_url: str
    site: str

    @property
    def alive(self) -> bool:
        """Whether that very process still runs."""
        try:
            process = psutil.Process(self.pid)
            return process.create_time() == self.started and process.status() != psutil.STATUS_ZOMBIE
        except psutil.NoSuchProcess:
            return False


class StateFolder:
    """A folder on disk that outlives runs."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def create(self) -> None:
        """Make the folder, and see to it that it can be written; raises CommandError."""
        make_usable(self.root, "state folder", "with --state")

    def disk_error(self) -> str:
        """Say that the disk is about to be full, while Vigil runs; empty when there is room."""
        try:
            free = shutil.disk_usage(self.root).free
        except OSError as error:
            return f"The state folder {self.root} cannot be looked at ({error.strerror}); is its disk still there?"
        if free >= LEAST_FREE:
            return ""
        return (
            f"The disk of {self.root} has {free >> 20} MiB left: free {(LEAST_FREE - free >> 20) + 1} MiB or more. "
            "Without room sightings are not kept, and Postgres stops."
        )

    def command(self, name: str) -> str:
        """Say how a command reaches what runs with this folder."""
        return f"vigil {name}" if self.root == default_folder() else f"vigil {name} --state {self.root}"

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Keep every other `vigil up` away from this folder; the kernel gives the lock back even after kill -9.

        Raises
        ------
        CommandError
            Another one is using it.
        """
        with (self.root / "lock").open("a") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                running = self.running()
                told = f" (pid {running.pid})" if running else ""
                raise CommandError(
                    f"Vigil is already running{told} with the state folder {self.root}; "
                    f"end it with `{self.command('down')}`, or choose another folder with --state."
                ) from None
            try:
                yield
            finally:
                self._run_file.unlink(missing_ok=True)

    @property
    def is_locked(self) -> bool:
        """Whether a `vigil up` uses this folder now."""
        try:
            with (self.root / "lock").open("r") as lock:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except FileNotFoundError:
            return False
        except OSError:
            return True
        return False

    def secrets(self) -> Secrets:
        """Give the secrets of this folder, made at the first time."""
        file = self.root / "secrets.json"
        with contextlib.suppress(OSError, ValueError, TypeError):
            return Secrets(**json.loads(file.read_text()))
        made = Secrets(**{field.name: secrets.token_urlsafe(24) for field in fields(Secrets)})
        write_private(file, json.dumps(asdict(made)))
        return made

    @property
    def _run_file(self) -> Path:
        return self.root / "run.json"

    def announce(self, api_url: str, site: str) -> None:
        """Tell other commands where to find what runs."""
        started = psutil.Process().create_time()
        write_private(self._run_file, json.dumps(asdict(Running(os.getpid(), started, api_url, site))))

    def running(self) -> Running | None:
        """Give what runs with this folder; None when nothing does."""
        with contextlib.suppress(OSError, ValueError, TypeError):
            found = Running(**json.loads(self._run_file.read_text()))
            return found if found.alive else None
        return None

    @property
    def logs(self) -> Path:
        """Folder of the logs, one file for each process."""
        return self.root / "logs"


def make_usable(folder: Path, what: str, chosen: str) -> None:
    """Make a folder, and see to it that it can be written and has room.

    Parameters
    ----------
    what
        Whose folder it is, for the sentence: `state folder`.
    chosen
        How another one is chosen: `with --state`.

    Raises
    ------
    CommandError
        It cannot be made or written, or the disk is full.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        probe = folder / f".probe-{os.getpid()}"
        probe.write_bytes(b"0" * 4096)
        probe.unlink()
    except OSError as error:
        raise CommandError(
            f"The {what} {folder} cannot be written ({error.strerror}); free some space or choose another {chosen}."
        ) from None
    free = shutil.disk_usage(folder).free
    if free < LEAST_FREE:
        raise CommandError(
            f"The disk of the {what} {folder} is full ({free >> 20} MiB free, {LEAST_FREE >> 20} are needed); "
            f"free some space or choose another {chosen}."
        )


def write_private(file: Path, content: str | bytes) -> None:
    """Write a file that only its owner can read; it appears whole or not at all."""
    file.parent.mkdir(parents=True, exist_ok=True)
    partial = file.with_name(f".{file.name}.{os.getpid()}")
    partial.unlink(missing_ok=True)
    descriptor = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "wb") as opened:
        opened.write(content.encode() if isinstance(content, str) else content)
    partial.replace(file)
