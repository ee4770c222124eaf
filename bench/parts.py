"""Parts of the bench: the rows that each must yield, and the rows of a part that fails."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from bench.figures import ExpectedRow, Row

if TYPE_CHECKING:
    from bench.context import Bench


class SkippedError(Exception):
    """A part cannot be measured on this machine; the text names what is missing and how to get it."""


@dataclass(frozen=True, slots=True)
class Part:
    """A part of the bench.

    Attributes
    ----------
    name
        For `--only`.
    about
        How it is measured, in sentences for the page.
    expected
        The rows that it must yield; those that are missing afterwards appear as failed.
    measure
        Yields rows; an error becomes failed rows.
    """

    name: str
    title: str
    about: str
    expected: tuple[ExpectedRow, ...]
    measure: Callable[["Bench"], Iterable[Row]]


def run_part(part: Part, bench: "Bench") -> Iterator[Row]:
    """Measure a part: yield its rows as they come, then a failed row for each expected row that is missing."""
    yielded: set[str] = set()
    failure = "the part yielded no such figure"
    try:
        for row in part.measure(bench):
            yielded.add(row.name)
            yield row
    except Exception as error:  # noqa: BLE001 - an error of one part is reported in its rows; the others go on
        failure = f"{type(error).__name__}: {error}".strip().replace("\n", " ")
        bench.report_failure(part.name, error)
    for expected in part.expected:
        if expected.name not in yielded:
            yield Row(part.name, expected.name, None, expected.unit, expected.goal, failure, failed=True)


def measured_row(part: str, expected: ExpectedRow, value: float | None, note: str = "") -> Row:
    """Return the row of an expected row with its value."""
    return Row(part, expected.name, value, expected.unit, expected.goal, note, failed=value is None)


QUIET_CORES = 0.15
"""Cores that the bench itself and an idle system use beside the measured programs."""


def spoilt(others_cores: float) -> str:
    """Return the part of a note on other programs that used the machine meanwhile; empty when they did not."""
    if others_cores <= QUIET_CORES:
        return ""
    use = f"other programs used up to {others_cores:.2f} cores meanwhile"
    return f"; NOT RELIABLE: {use}; measure again on a quiet machine"
