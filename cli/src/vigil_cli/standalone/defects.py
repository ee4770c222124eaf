"""Unforeseen errors, recorded with their tracebacks; the screen shows one sentence only."""

import datetime as dt
import json
import traceback
from pathlib import Path

from vigil_cli.supervisor.logs import ProcessLog

MAX_TRACE = 32 << 10
"""Characters of one traceback, its end when it is longer."""


class Defects:
    """Records tracebacks in a log of bounded size, as lines of JSON like those of the programs.

    Parameters
    ----------
    log
        File that `vigil logs` shows by its name.
    shown_by
        Command that shows the log.
    """

    def __init__(self, log: Path, shown_by: str) -> None:
        self._log = ProcessLog(log)
        self._shown_by = shown_by

    def describe(self, error: Exception) -> str:
        """Return the error in one sentence, with the command that shows its traceback."""
        return f"{type(error).__name__}: {error} (`{self._shown_by}` shows the traceback)"

    def record(self, what: str, error: Exception) -> None:
        """Record an error with its traceback; a full disk loses it."""
        line = {
            "timestamp": dt.datetime.now(dt.UTC).isoformat(),
            "level": "error",
            "event": what,
            "exception": "".join(traceback.format_exception(error))[-MAX_TRACE:],
        }
        self._log.write(json.dumps(line).encode() + b"\n")
