"""Show the dashboard as a live table in a terminal or as plain lines, and write its lines to a log file."""

import datetime as dt
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from rich.console import Console
from rich.live import Live

from vigil_cli.console import Line
from vigil_cli.dashboard import DashboardState
from vigil_cli.view.table import STYLES, DashboardView, draw
from vigil_contracts.text import printable

REFRESH_PER_S = 4
LEVELS = {"good": "info", "dim": "info"}
"""Levels of styles that are no levels themselves."""
MAX_LOG_BYTES = 8 << 20


@contextmanager
def screen(console: Console, log: Path, *, plain: bool, is_stored: bool = False) -> Iterator[DashboardState]:
    """Show a dashboard while inside.

    Parameters
    ----------
    console
        A live table is drawn when it is a terminal and `plain` is false; its last state stays on the screen.
    log
        File for all lines, with keys of Subjects for names; moved aside when it is larger than 8 MiB.
    is_stored
        The output of the console is stored in a file, too.
    """
    log.parent.mkdir(parents=True, exist_ok=True)
    if log.exists() and log.stat().st_size > MAX_LOG_BYTES:
        log.replace(log.with_suffix(".log.1"))
    live = console.is_terminal and not plain
    with log.open("a", buffering=1) as file:

        def emit(style: str, line: str) -> None:
            emit_person(style, line, line)

        def emit_person(style: str, line: str, stored: str) -> None:
            now = dt.datetime.now().astimezone()
            try:
                file.write(f"{now.isoformat(timespec='seconds')} {LEVELS.get(style, style)} {printable(stored)}\n")
            except OSError:
                return  # a full disk loses lines of the log, nothing else
            finally:
                if not live:
                    shown = stored if is_stored else line
                    console.print(Line(f"{now:%H:%M:%S} ", "dim").append(shown, STYLES[style]), soft_wrap=True)

        dashboard = DashboardState(emit=emit, emit_person=emit_person)
        if not live:
            yield dashboard
            return
        with Live(DashboardView(dashboard), console=console, screen=True, refresh_per_second=REFRESH_PER_S):
            yield dashboard
        dashboard.api_url = ""
        console.print(draw(dashboard, console, *console.size, dt.datetime.now(dt.UTC)))
