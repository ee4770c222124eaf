"""Log files of child processes, one for each, of bounded size."""

import contextlib
import json
from collections import deque
from pathlib import Path

MAX_BYTES = 8 << 20
"""Of one file. With the file before it, a process takes at most twice this."""
MAX_LINE = 500
"""Characters of a line in `last_line` and `tail`; the file has the whole line."""
MAX_READ = 64 << 10
"""Bytes of a line that are parsed: enough for a line of JSON with a whole traceback in it."""
TAIL_LINES = 20


class ProcessLog:
    """Appends to a file and moves it aside when it is full; a full disk loses lines, never the process.

    Attributes
    ----------
    tail
        The last lines, oldest first.
    """

    def __init__(self, path: Path, max_bytes: int = MAX_BYTES) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self.path = path
        self.tail: deque[str] = deque(maxlen=TAIL_LINES)
        self._max_bytes = max_bytes
        self._rest = b""
        self._last = ""

    @property
    def last_line(self) -> str:
        """The last line that is not empty, as `readable` returns it; an unfinished one counts too."""
        unfinished = self._rest.decode(errors="replace").strip()
        return readable(unfinished or self._last)

    def write(self, data: bytes) -> None:
        """Append raw output."""
        *lines, rest = (self._rest + data).split(b"\n")
        self._rest = rest[-MAX_READ:]
        for line in lines[-TAIL_LINES:]:
            if text := line[-MAX_READ:].decode(errors="replace").strip():
                self._last = text
                self.tail.append(text[-MAX_LINE:])
        with contextlib.suppress(OSError):
            if self.path.exists() and self.path.stat().st_size + len(data) > self._max_bytes:
                self.path.replace(self.path.with_name(f"{self.path.name}.1"))
            with self.path.open("ab") as file:
                file.write(data)


def readable(line: str) -> str:
    """Return a line of a log for a person, up to 500 characters: the message and its cause of a line of JSON.

    Any other line is returned unchanged, or its end when it is too long.
    """
    try:
        fields = json.loads(line) if line.startswith("{") else None
    except ValueError:
        fields = None
    if not isinstance(fields, dict) or not isinstance(fields.get("event"), str):
        return line[-MAX_LINE:]
    causes = [str(fields[name]) for name in ("reason", "error") if fields.get(name)]
    if isinstance(fields.get("exception"), str):
        causes += fields["exception"].strip().splitlines()[-1:]
    return ": ".join([fields["event"], *causes])[:MAX_LINE]
