"""Show the preparation of models and photos."""

from collections.abc import Iterator
from contextlib import contextmanager

import typer
from rich.progress import BarColumn, DownloadColumn, Progress, TaskID, TextColumn, TransferSpeedColumn

from vigil_cli.console import err
from vigil_cli.preparation import PreparationObserver
from vigil_models.api import Pack


@contextmanager
def show_preparation(*, accept_licence: bool = False) -> Iterator[PreparationObserver]:
    """Show steps as lines and downloads as bars; ask about licences that forbid commercial use."""
    columns = (TextColumn("  {task.description}"), BarColumn(), DownloadColumn(), TransferSpeedColumn())
    bars = Progress(*columns, console=err, transient=True)
    tasks: dict[str, TaskID] = {}

    def progress(file: str, done: int, total: int | None) -> None:
        if file not in tasks:
            bars.start()
            tasks[file] = bars.add_task(file, total=total)
        bars.update(tasks[file], completed=done, total=total)

    def accept(_: Pack) -> bool:
        if accept_licence:
            return True
        try:
            return typer.confirm("Do you accept these licences?", err=True)
        except typer.Abort:
            return False  # no terminal to answer on

    try:
        yield PreparationObserver(step=bars.console.print, progress=progress, accept=accept)
    finally:
        if tasks:
            bars.stop()
