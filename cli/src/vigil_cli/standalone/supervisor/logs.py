"""What child processes write: one file for each, of bounded size."""

import asyncio
import contextlib
from pathlib import Path

MAX_BYTES = 8 << 20
"""Of one file; with its predecessor a process takes at most twice this."""


MAX_LINE = 500


class ProcessLog:
    """Appends to a file and moves it aside when it is full; a full disk loses lines, never the process."""

    def __init__(self, path: Path, max_bytes: int = MAX_BYTES) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._path = path
        self._max_bytes = max_bytes
        self._rest = b""
        self.last_line = ""

    def write(self, data: bytes) -> None:
        """Append raw output."""
        lines = (self._rest + data)[-MAX_LINE:].decode(errors="replace").splitlines()
        self.last_line = next((line.strip() for line in reversed(lines) if line.strip()), self.last_line)[-MAX_LINE:]
        self._rest = b"" if data.endswith(b"\n") else (self._rest + data).rpartition(b"\n")[2][-MAX_LINE:]
        with contextlib.suppress(OSError):
            if self._path.exists() and self._path.stat().st_size + len(data) > self._max_bytes:
                self._path.replace(self._path.with_suffix(".log.1"))
            with self._path.open("ab") as file:
                file.write(data)

    async def pump(self, stream: asyncio.StreamReader) -> None:
        """Write all that comes, until the stream ends."""
        while data := await stream.read(65536):
            self.write(data)
