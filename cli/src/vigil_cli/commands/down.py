"""`vigil down`."""

import os
import signal
import time
from pathlib import Path

from vigil_cli.console import err, out
from vigil_cli.errors import CommandError
from vigil_cli.standalone.state import StateFolder

TIMEOUT_S = 90
"""Postgres has 30 s for its last checkpoint, and the others stop before it."""


def run(state: Path) -> None:
    """End the Vigil that runs, or starts, with the state folder, and wait until it has ended.

    Raises
    ------
    CommandError
        It does not end.
    """
    folder = StateFolder(state)
    found = folder.running() or folder.holder
    if found is None:
        out.print(f"No Vigil runs with the state folder {state}.")
        return
    os.kill(found.pid, signal.SIGTERM)
    deadline = time.monotonic() + TIMEOUT_S
    with err.status("Stopping"):
        while found.alive:
            if time.monotonic() > deadline:
                raise CommandError(f"Vigil (pid {found.pid}) has not ended within {TIMEOUT_S} s; `kill -9` ends it.")
            time.sleep(0.1)
    out.print("Stopped; the state folder can be used again.")
