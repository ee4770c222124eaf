"""Parts of the bench: what each promises to measure, and how a part that fails is told instead of hidden."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from bench.figures import Promise, Row

if TYPE_CHECKING:
    from bench.context import Bench


class SkippedError(Exception):
    """A part cannot be measured on this machine; the text says what is missing and how to get it."""


@dataclass(frozen=True, slots=True)
class Part:
    """A part of the bench.

    Attributes
    ----------
    name
        For `--only`.
    about
        How it is measured, in sentences for the page.
    promises
        The rows that it must give; those that are missing afterwards appear as failed.
    measure
        Gives rows; whatever it raises becomes failed rows.
    """

    name: str
    title: str
    about: str
    promises: tuple[Promise, ...]
    measure: Callable[["Bench"], Iterable[Row]]


def run_part(part: Part, bench: "Bench") -> Iterator[Row]:
    """Measure a part: its rows as they come, then a failed row for each promise that was not kept."""
    given: set[str] = set()
    failure = "the part gave no such figure"
    try:
        for row in part.measure(bench):
            given.add(row.name)
            yield row
    except Exception as error:  # noqa: BLE001 - whatever goes wrong in one part is told in its rows; the others go on
        failure = f"{type(error).__name__}: {error}".strip().replace("\n", " ")
        bench.tell_failure(part.name, error)
    for promise in part.promises:
        if promise.name not in given:
            yield Row(part.name, promise.name, None, promise.unit, promise.goal, failure, failed=True)


def promised(part: str, promise: Promise, value: float | None, note: str = "") -> Row:
    """Keep a promise: its row with the value."""
    return Row(part, promise.name, value, promise.unit, promise.goal, note, failed=value is None)


QUIET_CORES = 0.15
"""What the bench itself and an idle system use beside what is measured."""


def spoilt(others_cores: float) -> str:
    """Say in a note that other programs used the machine while it was measured; empty when they did not."""
    if others_cores <= QUIET_CORES:
        return ""
    told = f"other programs used up to {others_cores:.2f} cores meanwhile"
    return f"; NOT RELIABLE: {told}; measure again on a quiet machine"
