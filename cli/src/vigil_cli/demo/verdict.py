"""What the judge says, for the terminal."""

from rich.console import Console
from rich.table import Table
from rich.text import Text

from vigil_cli.demo.judge import Row, Verdict


def show_verdict(console: Console, verdict: Verdict, *, preparing_s: float) -> None:
    """Print the verdict.

    Parameters
    ----------
    preparing_s
        From the command to the start of the cameras.
    """
    table = Table("enrolled", "recognised on", "not on", "similarity", "first after", title="Who was recognised")
    table.columns[3].justify = table.columns[4].justify = "right"
    for column in table.columns:
        column.no_wrap = True
    for row in verdict.rows:
        table.add_row(*_cells(row))
    console.print(table)
    unknown = ", ".join(f"{count} on {camera}" for camera, count in sorted(verdict.unknown.items())) or "none"
    console.print(f"Sightings of people who are not enrolled, or were never clear enough: {unknown}")
    if verdict.first_s is not None:
        whole = preparing_s + verdict.first_s
        console.print(
            f"First recognition {verdict.first_s:.1f} s after the cameras' start, {whole:.1f} s after the command"
        )


def _cells(row: Row) -> list[Text | str]:
    return [
        row.name,
        Text(", ".join(sorted(row.recognised_on)), "green") if row.recognised_on else Text("nowhere", "bold red"),
        Text(", ".join(sorted(row.shown_on - row.recognised_on)), "yellow"),
        "" if row.best is None else f"{row.best:.2f}",
        "" if row.first_s is None else f"{row.first_s:.1f} s",
    ]
