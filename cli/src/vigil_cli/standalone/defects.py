"""What nobody foresaw, kept with where it came from: whoever mends it needs more than the sentence that is shown."""

import datetime as dt
import json
import traceback
from pathlib import Path

from vigil_cli.supervisor.logs import ProcessLog

MAX_TRACE = 32 << 10
"""Characters of one traceback, its end when it is longer."""


class Defects:
    """Keeps tracebacks in a log of bounded size, as lines of JSON like those of the programs.

    Parameters
    ----------
    log
        File; `vigil logs` shows it by its name.
    shown_by
        Command that shows it.
    """

    def __init__(self, log: Path, shown_by: str) -> None:
        self._log = ProcessLog(log)
        self._shown_by = shown_by

    def told(self, error: Exception) -> str:
        """Say in a sentence what went wrong, and how to see the rest."""
        return f"{type(error).__name__}: {error} (`{self._shown_by}` shows where it comes from)"

    def keep(self, what: str, error: Exception) -> None:
        """Write down an error with its traceback; a full disk loses it."""
        line = {
            "timestamp": dt.datetime.now(dt.UTC).isoformat(),
            "level": "error",
            "event": what,
            "exception": "".join(traceback.format_exception(error))[-MAX_TRACE:],
        }
        self._log.write(json.dumps(line).encode() + b"\n")
