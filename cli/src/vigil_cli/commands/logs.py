"""`vigil logs`."""

import datetime as dt
import json
import os
import re
import time
from collections import deque
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO

from vigil_cli.console import KEPT, Line, out
from vigil_cli.errors import CommandError
from vigil_cli.standalone.state import StateFolder

COLOURS = ("cyan", "magenta", "green", "blue", "yellow", "red")
POLL_S = 0.3
MAX_READ = 4 << 20
LEVELS = {"debug": "dim", "warning": "yellow", "error": "red", "critical": "bold red"}
PLACED = {"timestamp", "level", "event", "exception", "logger"}
"""Fields that have their own place in a line, and the module that wrote it."""
_COLOUR = re.compile(r"\x1b\[[0-9;]*m")
"""What programs write to colour their lines."""


def run(state: Path, process: str | None, *, follow: bool, lines: int) -> None:
    """Print the last lines of one process or of all, and follow them.

    Raises
    ------
    CommandError
        There are no logs, or none of this process.
    """
    files = {file.stem: file for file in sorted(StateFolder(state).logs.glob("*.log"))}
    if not files:
        raise CommandError(f"There are no logs in {StateFolder(state).logs}; choose another with --state.")
    if process is not None:
        chosen = {name: file for name, file in files.items() if process in {name, name.removeprefix("stream-default_")}}
        if not chosen:
            raise CommandError(f"There is no process {process!r}; there are: {', '.join(files)}.")
        files = chosen
    tails = [_Tail(name, file, COLOURS[number % len(COLOURS)]) for number, (name, file) in enumerate(files.items())]
    for tail in tails:
        tail.show(deque(tail.new_lines(), maxlen=lines), named=len(tails) > 1)
    while follow:
        time.sleep(POLL_S)
        for tail in tails:
            tail.show(tail.new_lines(), named=len(tails) > 1)


class _Tail:
    """Reads new lines of a file, also after it was moved aside."""

    def __init__(self, name: str, path: Path, colour: str) -> None:
        self._name = name
        self._path = path
        self._colour = colour
        self._file: BinaryIO | None = None
        self._rest = b""

    def new_lines(self) -> Iterator[str]:
        if self._file is None:
            self._open()
        while self._file is not None and (data := self._file.read(MAX_READ)):
            *lines, self._rest = (self._rest + data).split(b"\n")
            yield from (line.decode(errors="replace") for line in lines)
        if self._moved():
            self._open()

    def _open(self) -> None:
        if self._file is not None:
            self._file.close()
        try:
            self._file = self._path.open("rb")
        except OSError:
            self._file = None

    def _moved(self) -> bool:
        try:
            return self._file is None or self._path.stat().st_ino != os.fstat(self._file.fileno()).st_ino
        except OSError:
            return False

    def show(self, lines: Iterator[str] | deque[str], *, named: bool) -> None:
        for line in lines:
            prefix = Line(f"{self._name} │ ", self._colour) if named else Line()
            out.print(prefix + for_people(line, self._name))


def for_people(line: str, process: str = "") -> Line:
    """Return a line of JSON as time, level, message and other fields; any other line as it is written.

    Parameters
    ----------
    process
        Name of the process; fields that only repeat it are left out.
    """
    try:
        fields: Any = json.loads(line) if line.startswith("{") else None
        event, level = str(fields["event"]), str(fields["level"])
        moment = dt.datetime.fromisoformat(fields["timestamp"]).astimezone()
    except (ValueError, TypeError, KeyError):
        return Line(_COLOUR.sub("", line.rstrip("\r")), keep="\t")
    text = Line.of((f"{moment:%H:%M:%S} ", "dim"), (f"{level:<8}", LEVELS.get(level, "")), event)
    for name, value in fields.items():
        if name not in PLACED and not _is_repeated(name, value, process):
            text.append(f" {name}={value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)}", "dim")
    if fields.get("exception"):
        text.append(Line(f"\n{fields['exception']}", "dim", keep=KEPT))
    return text


def _is_repeated(name: str, value: object, process: str) -> bool:
    if name == "program":
        return value in {process, process.partition("-")[0]}
    return name == "camera" and process == f"stream-{str(value).replace('/', '_')}"
