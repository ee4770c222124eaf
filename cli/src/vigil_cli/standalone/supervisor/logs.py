"""What child processes write: one file for each, of bounded size."""

import contextlib
from collections import deque
from pathlib import Path

MAX_BYTES = 8 << 20
"""Of one file; with its predecessor a process takes at most twice this."""
MAX_LINE = 500
"""Bytes of a line that are kept for `last_line`; the file has all of it."""
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

    @property
    def last_line(self) -> str:
        """The last line that was not empty, up to 500 characters; the unfinished one if it is the last."""
        unfinished = self._rest.decode(errors="replace").strip()
        return unfinished or (self.tail[-1] if self.tail else "")

    def write(self, data: bytes) -> None:
        """Append raw output."""
        *lines, rest = (self._rest + data).split(b"\n")
        self._rest = rest[-MAX_LINE:]
        self.tail.extend(
            text for line in lines[-TAIL_LINES:] if (text := line[-MAX_LINE:].decode(errors="replace").strip())
        )
        with contextlib.suppress(OSError):
            if self.path.exists() and self.path.stat().st_size + len(data) > self._max_bytes:
                self.path.replace(self.path.with_name(f"{self.path.name}.1"))
            with self.path.open("ab") as file:
                file.write(data)
