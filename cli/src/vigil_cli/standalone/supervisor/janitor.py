"""The process that cleans up after a supervisor that was killed."""

import contextlib
import os
import secrets
import subprocess
import sys
from pathlib import Path

from vigil_cli.standalone.supervisor import strays

CLOSE_TIMEOUT_S = strays.WAIT_S + 5


class Janitor:
    """A small process (9 MB) that outlives its supervisor for a moment, however that ends; see `strays`.

    Parameters
    ----------
    notes
        Where the supervisor notes its children.
    """

    def __init__(self, notes: Path) -> None:
        notes.mkdir(parents=True, exist_ok=True)
        self.notes = notes
        self.word = secrets.token_hex(16)
        environment = {name: value for name, value in os.environ.items() if name != strays.MARK}
        self._process = subprocess.Popen(  # noqa: S603 - our own script
            [sys.executable, "-I", "-S", strays.__file__, str(notes), self.word],
            stdin=subprocess.PIPE,  # held by nobody but this process: it ends when this process does
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            env=environment,
            start_new_session=True,  # a Ctrl-C in the terminal is not for it
        )

    def mark(self, name: str) -> str:
        """Give the mark of a child."""
        return f"{self.word}:{name}"

    def record(self, name: str, pid: int) -> None:
        """Note a child that was started with its mark."""
        strays.record(self.notes, name, pid, self.mark(name))

    def forget(self, name: str) -> None:
        """Once the child is gone, end what it left and take its note back."""
        strays.end_marked(self.mark(name))
        strays.forget(self.notes, name)

    def close(self) -> None:
        """Let it end what is still noted, and itself."""
        if self._process.stdin is not None:
            self._process.stdin.close()
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(CLOSE_TIMEOUT_S)
