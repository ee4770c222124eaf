"""Print the evaluation."""

from rich.console import Console
from rich.table import Table

from vigil_cli.console import Line
from vigil_cli.demo.evaluation import Evaluation, PersonResult


def print_evaluation(console: Console, evaluation: Evaluation, *, preparing_s: float) -> None:
    """Print the recognitions of each enrolled person.

    Parameters
    ----------
    preparing_s
        Seconds from the command to the start of the cameras.
    """
    table = Table("enrolled", "recognised on", "not on", "similarity", "first after", title="Who was recognised")
    table.columns[3].justify = table.columns[4].justify = "right"
    for column in table.columns:
        column.no_wrap = True
    for row in evaluation.rows:
        table.add_row(*_cells(row))
    console.print(table)
    unknown = ", ".join(f"{count} on {camera}" for camera, count in sorted(evaluation.unknown.items())) or "none"
    console.print(f"Sightings of people who are not enrolled, or were never clear enough: {unknown}")
    if evaluation.first_s is not None:
        whole = preparing_s + evaluation.first_s
        console.print(
            f"First recognition {evaluation.first_s:.1f} s after the cameras' start, {whole:.1f} s after the command"
        )


def _cells(row: PersonResult) -> list[Line | str]:
    return [
        row.name,
        Line(", ".join(sorted(row.recognised_on)), "green") if row.recognised_on else Line("nowhere", "bold red"),
        Line(", ".join(sorted(row.shown_on - row.recognised_on)), "yellow"),
        "" if row.best is None else f"{row.best:.2f}",
        "" if row.first_s is None else f"{row.first_s:.1f} s",
    ]
