"""Admission by measured budget: the Cameras of a Site for which its inference has capacity; pure.

The unit is the *reference detection*: one frame of 640 x 384 pixels through the detector that is served. A Camera costs
what its analyses cost for frames of its size (`cost`); the capacity of a Site is what it declares, or follows from
Triton's instances and the catalogue's measured milliseconds. Everything is counted in thousandths and whole numbers, so
that the sums are exact.

A Camera that runs keeps its capacity, whatever else is declared: no recognition stops because another manifest was
applied. Waiting Cameras enter by priority, then age, then name. One that does not fit is not overtaken by smaller ones
behind it, or it would wait for ever, unless it could not fit even into an empty Site.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import NamedTuple


class QueuePosition(NamedTuple):
    """The position of a Camera among those that wait; priority is negated, so that the higher comes first."""

    priority: int
    created: str
    namespace: str
    name: str


@dataclass(frozen=True, slots=True)
class Demand:
    """Demand of one Camera on its Site.

    Attributes
    ----------
    cost
        Thousandths of a reference detection per second.
    runs
        Whether it is admitted already.
    """

    position: QueuePosition
    cost: int
    runs: bool


@dataclass(frozen=True, slots=True)
class BudgetResult:
    """Whether a Camera is admitted, with the numbers that explain it.

    Attributes
    ----------
    cost, used, capacity
        Thousandths of a reference detection per second; used: by the Cameras that are admitted.
    ahead
        How many wait before it.
    """

    admitted: bool
    cost: int
    used: int
    capacity: int | None
    running: int
    ahead: int = 0

    def __str__(self) -> str:
        capacity = 0 if self.capacity is None else self.capacity
        line = f"; {self.ahead} wait before it" if self.ahead else ""
        return (
            f"it needs {_text(self.cost)} reference detections per second, and of the Site's {_text(capacity)} "
            f"{_text(self.used)} are taken by {self.running} Camera(s){line}"
        )


def admit(demands: Iterable[Demand], capacity: int | None) -> dict[QueuePosition, BudgetResult]:
    """Decide which of a Site's Cameras are admitted.

    Parameters
    ----------
    capacity
        Thousandths of a reference detection per second; None: without limit.
    """
    line = sorted(demands, key=lambda demand: demand.position)
    inside = [demand for demand in line if demand.runs]
    used, running, ahead = sum(demand.cost for demand in inside), len(inside), 0
    waiting: list[tuple[Demand, int]] = []
    for demand in (one for one in line if not one.runs):
        if capacity is None or (ahead == 0 and used + demand.cost <= capacity):
            inside.append(demand)
            used, running = used + demand.cost, running + 1
            continue
        waiting.append((demand, ahead))
        if demand.cost <= capacity:
            ahead += 1
    admitted = {one.position: BudgetResult(True, one.cost, used, capacity, running) for one in inside}
    return admitted | {
        one.position: BudgetResult(False, one.cost, used, capacity, running, before) for one, before in waiting
    }


def _text(thousandths: int) -> str:
    return f"{thousandths / 1000:.2f}".rstrip("0").rstrip(".")
