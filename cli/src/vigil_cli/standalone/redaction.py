"""Names of erased people in the logs of the state folder: overwritten in place, while programs append."""

import asyncio
import json
import mmap
import re
import time
from collections.abc import Iterable
from pathlib import Path

from vigil_contracts.ids import ResourceKey

LEAST_LETTERS = 3
"""A shorter name by itself is a part of too many other words."""
PASSES_S = 2.0
"""Between two passes over the logs."""
LATE_S = 30.0
"""For which lines about an erasure may still arrive from the programs."""


def names_of(key: ResourceKey, display_name: str = "") -> set[str]:
    """Return the texts by which logs may name a Subject."""
    alone = {name for name in (key.name, display_name) if len(name) >= LEAST_LETTERS}
    return {str(key), key.token, *alone}


def redact(logs: Path, names: Iterable[str]) -> None:
    """Overwrite names in all files of a folder with asterisks; what was appended meanwhile stays as it is.

    Parameters
    ----------
    names
        Replaced where they stand as words of their own, also as JSON escapes them.
    """
    needles = {form.encode() for name in names for form in (name, json.dumps(name)[1:-1])}
    if not needles:
        return
    longest_first = sorted(needles, key=len, reverse=True)
    words = re.compile(rb"(?<![\w-])(?:" + b"|".join(map(re.escape, longest_first)) + rb")(?![\w-])")
    for file in logs.iterdir():
        if file.is_file() and file.stat().st_size:
            with file.open("r+b") as opened, mmap.mmap(opened.fileno(), 0) as content:
                for start, end in [found.span() for found in words.finditer(content)]:
                    content[start:end] = b"*" * (end - start)


class LogRedactor:
    """Overwrites the names of erased people, again for a while after the erasure.

    Parameters
    ----------
    logs
        Folder of the logs.
    """

    def __init__(self, logs: Path) -> None:
        self._logs = logs
        self._until: dict[str, float] = {}
        self._wake = asyncio.Event()

    def add(self, names: Iterable[str]) -> None:
        """Overwrite these names from now on, for 30 s."""
        self._until |= dict.fromkeys(names, time.monotonic() + LATE_S)
        self._wake.set()

    async def run(self) -> None:
        """Work until cancelled."""
        while True:
            await self._wake.wait()
            names = list(self._until)
            await asyncio.to_thread(redact, self._logs, names)
            now = time.monotonic()
            self._until = {name: until for name, until in self._until.items() if until > now or name not in names}
            if not self._until:
                self._wake.clear()
            await asyncio.sleep(PASSES_S)

    async def finish(self) -> None:
        """Overwrite the names once more, after the last line was written."""
        await asyncio.to_thread(redact, self._logs, list(self._until))
