"""The state folder: the lock of the running `vigil up`, its secrets, and its address for other commands."""

import contextlib
import fcntl
import json
import os
import secrets
import shlex
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, fields
from pathlib import Path

import platformdirs
import psutil

from vigil_cli.errors import CommandError
from vigil_contracts.text import holds_refused, printable
from vigil_runtime.bus_authority import BusAuthority

MIN_FREE = 256 << 20
"""Bytes for the log of Postgres and the first hours of events. With less, Postgres stops while it works."""

LONGEST_PATH = 768
"""Bytes of the path of a folder: Postgres takes at most 1023, and has folders and files of its own below it."""

MANIFESTS = "manifests.json"
"""File with what is not applied and why, and with the Subjects that are declared."""
LOOKALIKES = "lookalikes.json"
"""File with the pairs of Subjects that look like one person."""


def default_folder() -> Path:
    """Return the state folder of this user."""
    return platformdirs.user_state_path("vigil")


def demo_folder() -> Path:
    """Return the state folder of the demo, which keeps its people and sightings apart from the user's own."""
    return platformdirs.user_state_path("vigil-demo")


@dataclass(frozen=True, slots=True)
class Secrets:
    """Tokens and passwords, made once for a state folder; only its owner can read them."""

    database: str
    registry: str
    api: str
    """Token of GraphQL clients."""


@dataclass(frozen=True, slots=True)
class Running:
    """The `vigil up` that uses a state folder.

    Attributes
    ----------
    started
        Creation time of the process in seconds since 1970; with the pid it identifies one process.
    api_url
        `http://host:port` of the GraphQL API.
    """

    pid: int
    started: float
    api_url: str
    site: str

    @property
    def alive(self) -> bool:
        """Whether this process still runs."""
        try:
            process = psutil.Process(self.pid)
            return process.create_time() == self.started and process.status() != psutil.STATUS_ZOMBIE
        except psutil.NoSuchProcess:
            return False


class StateFolder:
    """A folder on disk that is used by one run after another."""

    def __init__(self, root: Path) -> None:
        self.root = root

    @property
    def applied(self) -> Path:
        """The file that lists the contents of the registry from one run to the next."""
        return self.root / "applied.json"

    def create(self) -> None:
        """Make the folder and check that it can be written; raise CommandError."""
        make_usable(self.root, "state folder", "with --state")

    def disk_error(self) -> str:
        """Return an error when the disk is almost full; empty when there is room."""
        try:
            free = shutil.disk_usage(self.root).free
        except OSError as error:
            return f"The state folder {self.root} cannot be read ({error.strerror}); check whether its disk is mounted."
        if free >= MIN_FREE:
            return ""
        return (
            f"The disk of {self.root} has {free >> 20} MiB left: free {(MIN_FREE - free >> 20) + 1} MiB or more. "
            "Without room sightings are lost, and Postgres stops."
        )

    def command(self, name: str) -> str:
        """Return the command line of a command for this folder."""
        option = "" if self.root == default_folder() else f" --state {shlex.quote(str(self.root))}"
        return f"vigil {name}{option}"

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Lock this folder against any other `vigil up`; the kernel releases the lock even after SIGKILL.

        Raises
        ------
        CommandError
            Another one holds the lock.
        """
        with (self.root / "lock").open("a") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                running = self.running()
                process = f" (pid {running.pid})" if running else ""
                raise CommandError(
                    f"Vigil is already running{process} with the state folder {self.root}; "
                    f"end it with `{self.command('down')}`, or choose another folder with --state."
                ) from None
            lock.truncate(0)
            lock.write(json.dumps({"pid": os.getpid(), "started": psutil.Process().create_time()}))
            lock.flush()
            try:
                yield
            finally:
                self._run_file.unlink(missing_ok=True)

    @property
    def holder(self) -> Running | None:
        """The `vigil up` that holds the lock, also while it is starting and has no address yet."""
        if not self.is_locked:
            return None
        with contextlib.suppress(OSError, ValueError, TypeError):
            found = Running(**json.loads((self.root / "lock").read_text()), api_url="", site="")
            return found if found.alive else None
        return None

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
        """Return the secrets of this folder; make them the first time."""
        file = self.root / "secrets.json"
        with contextlib.suppress(OSError, ValueError, TypeError, KeyError):
            found = json.loads(file.read_text())
            return Secrets(**{field.name: found[field.name] for field in fields(Secrets)})
        made = Secrets(**{field.name: secrets.token_urlsafe(24) for field in fields(Secrets)})
        write_private(file, json.dumps(asdict(made)))
        return made

    def bus_authority(self) -> BusAuthority:
        """Return the keys that issue identities on the bus; make them the first time."""
        file = self.root / "bus-keys.json"
        with contextlib.suppress(OSError, ValueError):
            return BusAuthority.from_json(file.read_text())
        made = BusAuthority.new()
        write_private(file, made.to_json())
        return made

    @property
    def _run_file(self) -> Path:
        return self.root / "run.json"

    def announce(self, api_url: str, site: str) -> None:
        """Write the address of this process for other commands."""
        started = psutil.Process().create_time()
        write_private(self._run_file, json.dumps(asdict(Running(os.getpid(), started, api_url, site))))

    def running(self) -> Running | None:
        """Return the process that runs with this folder; None without one."""
        with contextlib.suppress(OSError, ValueError, TypeError):
            found = Running(**json.loads(self._run_file.read_text()))
            return found if found.alive else None
        return None

    @property
    def logs(self) -> Path:
        """Folder of the logs, one file for each process."""
        return self.root / "logs"


def make_usable(folder: Path, what: str, chosen: str) -> None:
    """Make a folder; check that it can be written and has room.

    Parameters
    ----------
    what
        Name of the folder for the message, such as `state folder`.
    chosen
        How another folder is chosen, such as `with --state`.

    Raises
    ------
    CommandError
        It cannot be made or written, or the disk is full.
    """
    check_path(folder, what, chosen)
    try:
        free = make_writable(folder, 0o700)
    except OSError as error:
        raise CommandError(
            f"The {what} {folder} cannot be written ({error.strerror}); free some space or choose another {chosen}."
        ) from None
    if free < MIN_FREE:
        raise CommandError(
            f"The disk of the {what} {folder} is full ({free >> 20} MiB free, {MIN_FREE >> 20} are needed); "
            f"free some space or choose another {chosen}."
        )


def check_path(folder: Path, what: str, chosen: str) -> None:
    """Raise CommandError when the path of a folder holds what programs do not take; as `make_usable`."""
    path = str(folder.absolute())
    if holds_refused(path):
        fault = "has a character in its path that is no text, such as a line break"
    elif len(path.encode()) > LONGEST_PATH:
        fault = f"has a path of {len(path.encode())} bytes, and {LONGEST_PATH} are possible"
    else:
        return
    raise CommandError(f"The {what} {printable(str(folder))} {fault}; choose another {chosen}.")


def make_writable(folder: Path, mode: int = 0o777) -> int:
    """Make a folder, write a probe into it, and return the free bytes of its disk; raise OSError."""
    folder.mkdir(parents=True, exist_ok=True, mode=mode)
    probe = folder / f".probe-{os.getpid()}"
    probe.write_bytes(b"0" * 4096)
    probe.unlink()
    return shutil.disk_usage(folder).free


def write_private(file: Path, content: str | bytes) -> None:
    """Write a file that only its owner can read; it appears whole or not at all."""
    file.parent.mkdir(parents=True, exist_ok=True)
    partial = file.with_name(f".{file.name}.{os.getpid()}")
    partial.unlink(missing_ok=True)
    descriptor = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "wb") as opened:
        opened.write(content.encode() if isinstance(content, str) else content)
    partial.replace(file)
