"""Tables of rows for the terminal and in Markdown."""

import math
from collections.abc import Iterable, Sequence

from rich.table import Table

from bench.figures import Row

MET = {True: "yes", False: "**no**", None: ""}


def number(value: float | None) -> str:
    """Return a figure with about three significant digits."""
    if value is None or math.isnan(value):
        return "—"
    size = abs(value)
    if size >= 100 or value == int(value):
        return f"{value:,.0f}"
    return f"{value:.1f}" if size >= 10 else f"{value:.2f}"


def terminal_table(title: str, rows: Sequence[Row]) -> Table:
    """Return the table of one part for the terminal."""
    table = Table(title=title, title_justify="left", title_style="bold")
    table.add_column("figure")
    table.add_column("value", justify="right")
    table.add_column("unit")
    table.add_column("goal", justify="right")
    table.add_column("ok")
    table.add_column("note", overflow="fold", style="dim")
    for row in rows:
        met = {True: "[green]yes", False: "[red]no", None: ""}[row.ok]
        value = "[red]failed" if row.failed else number(row.value)
        table.add_row(row.name, value, row.unit, str(row.goal or ""), met, row.note)
    return table


def markdown_table(header: Sequence[str], lines: Iterable[Sequence[str]]) -> str:
    """Return a Markdown table; `|` inside a cell is escaped."""
    shown = ["| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |" for line in lines]
    return "\n".join(["| " + " | ".join(header) + " |", "|" + " --- |" * len(header), *shown])
