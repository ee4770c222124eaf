"""The process that cleans up after a supervisor that was killed."""

import contextlib
import os
import secrets
import subprocess
import sys
from pathlib import Path

from vigil_cli.supervisor import orphans

CLOSE_TIMEOUT_S = orphans.WAIT_S + 5


class Reaper:
    """A small process (9 MB) that outlives its supervisor for a moment, however that ends; see `orphans`.

    Parameters
    ----------
    records
        Where the supervisor records its children.
    """

    def __init__(self, records: Path) -> None:
        records.mkdir(parents=True, exist_ok=True)
        self.records = records
        self.supervisor_id = secrets.token_hex(16)
        environment = {name: value for name, value in os.environ.items() if name != orphans.MARK}
        self._process = subprocess.Popen(  # noqa: S603 - our own script
            [sys.executable, "-I", "-S", orphans.__file__, str(records), self.supervisor_id],
            stdin=subprocess.PIPE,  # only this process holds it: it ends when this process does
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            env=environment,
            start_new_session=True,  # a Ctrl-C in the terminal does not reach it
        )

    def mark(self, name: str) -> str:
        """Return the mark of a child."""
        return f"{self.supervisor_id}:{name}"

    def record(self, name: str, pid: int) -> None:
        """Record a child that was started with its mark."""
        orphans.record(self.records, name, pid, self.mark(name))

    def forget(self, name: str) -> None:
        """End what a child left behind and remove its record, once the child is gone."""
        orphans.end_marked(self.mark(name))
        orphans.forget(self.records, name)

    def close(self) -> None:
        """Make it end the children that are still recorded, and then itself."""
        if self._process.stdin is not None:
            self._process.stdin.close()
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(CLOSE_TIMEOUT_S)
