"""Measurements: rows with goals, percentiles, and the search for the largest load that holds. Pure."""

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from statistics import median
from typing import Literal

Better = Literal["at least", "at most"]


@dataclass(frozen=True, slots=True)
class Goal:
    """The goal of a figure: `at least` or `at most` a value, in the row's unit."""

    better: Better
    value: float

    def met(self, value: float | None) -> bool:
        """Return whether a figure meets the goal; a missing figure or NaN does not."""
        if value is None or math.isnan(value):
            return False
        return value >= self.value if self.better == "at least" else value <= self.value

    def __str__(self) -> str:
        return f"{'≥' if self.better == 'at least' else '≤'} {self.value:g}"


@dataclass(frozen=True, slots=True)
class Row:
    """One figure.

    Attributes
    ----------
    part
        The part of the bench that measured it.
    value
        None when it could not be measured; `note` then has the reason.
    note
        How it was measured, or what failed.
    failed
        It should have been measured and was not.
    """

    part: str
    name: str
    value: float | None
    unit: str
    goal: Goal | None = None
    note: str = ""
    failed: bool = False

    @property
    def ok(self) -> bool | None:
        """True or False against the goal; False when the measurement failed; None without a goal."""
        if self.failed:
            return False
        return None if self.goal is None else self.goal.met(self.value)


@dataclass(frozen=True, slots=True)
class ExpectedRow:
    """A row that a part must yield; it appears as failed when it is missing."""

    name: str
    unit: str
    goal: Goal | None = None


@dataclass(frozen=True, slots=True)
class Percentiles:
    """p50, p95 and p99 of `count` values, in their unit."""

    p50: float
    p95: float
    p99: float
    count: int


def percentile(values: Sequence[float], share: float) -> float:
    """Return a percentile, linearly interpolated between the two nearest ranks (NumPy's default).

    Parameters
    ----------
    values
        At least one, any order.
    share
        0 to 100.
    """
    if not values:
        msg = "a percentile of no values does not exist"
        raise ValueError(msg)
    ordered = sorted(values)
    rank = (len(ordered) - 1) * share / 100
    low = math.floor(rank)
    high = min(low + 1, len(ordered) - 1)
    return ordered[low] + (ordered[high] - ordered[low]) * (rank - low)


def percentiles(values: Sequence[float]) -> Percentiles:
    """Return the three percentiles that the tables show."""
    return Percentiles(percentile(values, 50), percentile(values, 95), percentile(values, 99), len(values))


def ratio_of_medians(numerators: Iterable[float], denominators: Iterable[float]) -> float:
    """Return the ratio of the medians of two kinds of run that were taken in turns; NaN when the lower one is 0."""
    below = median(denominators)
    return median(numerators) / below if below else math.nan


@dataclass(slots=True)
class Capacity:
    """Result of a search: the largest load that held, and every load tried with its outcome."""

    largest: int
    tried: dict[int, bool] = field(default_factory=dict)
    limited: bool = False
    """The largest load allowed still held: the true figure may be higher."""


def find_capacity(holds: Callable[[int], bool], *, start: int = 1, limit: int = 64, tries: int = 2) -> Capacity:
    """Return the largest whole load that holds: doubling until one does not, then bisecting in between.

    A load that fails is tried again before it counts as failed, because other programs easily
    disturb a short window; a load that holds counts at once.

    Parameters
    ----------
    holds
        Tries a load.
    start
        First load tried, at least 1.
    limit
        Largest load tried.
    tries
        Number of attempts before a load counts as failed.
    """
    result = Capacity(0)

    def attempt(load: int) -> bool:
        result.tried[load] = any(holds(load) for _ in range(tries))
        return result.tried[load]

    low, high = 0, None
    load = min(start, limit)
    while high is None:
        if attempt(load):
            low = load
            if load == limit:
                break
            load = min(load * 2, limit)
        else:
            high = load
    while high is not None and high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if attempt(middle) else (low, middle)
    result.largest = low
    result.limited = high is None
    return result
