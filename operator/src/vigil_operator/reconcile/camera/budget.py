"""Admission by measured budget: which Cameras of a Site its inference has room for.

The unit is the *reference detection*: one picture of 640 x 384 pixels through the detector that is served. A Camera
costs its pictures per second times the share of that picture which the detector really gets of it; a Site can do so
many per second as it declares or as Triton's instances and the catalogue's measured milliseconds say. Everything is
counted in thousandths and whole numbers, so that the sums are exact.

A Camera that runs keeps its place, whatever else is wished for: nobody's recognition stops because somebody applied
another manifest. Those that wait enter by priority, then age, then name; one that does not fit is not overtaken by
smaller ones behind it, or it would wait for ever, unless it could not fit even into an empty Site.
"""

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final, NamedTuple

REFERENCE_PIXELS: Final = 640 * 384
DETECTOR_SIDE: Final = 640
"""Longest side of the detector's input; a larger picture is scaled down to it."""
STRIDE: Final = 32
"""The detector's input is padded to multiples of it."""
LEAST: Final = 250
"""Thousandths of a reference detection that the smallest picture costs: the way there and back."""


class Place(NamedTuple):
    """Who stands where in the line: priority (negated: higher first), age, namespace and name."""

    priority: int
    created: str
    namespace: str
    name: str


@dataclass(frozen=True, slots=True)
class Demand:
    """What one Camera asks of its Site.

    Attributes
    ----------
    cost
        Thousandths of a reference detection per second.
    runs
        Whether it has its place already.
    """

    place: Place
    cost: int
    runs: bool


@dataclass(frozen=True, slots=True)
class Verdict:
    """Whether a Camera has a place, with the numbers for whoever asks why not.

    Attributes
    ----------
    cost, used, capacity
        Thousandths of a reference detection per second; used: by those that have a place.
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
            f"it needs {_told(self.cost)} reference detections per second, and of the Site's {_told(capacity)} "
            f"{_told(self.used)} are taken by {self.running} Camera(s){line}"
        )


def camera_cost(fps: int, width: int | None, height: int | None) -> int:
    """Give what a Camera costs.

    Parameters
    ----------
    fps
        Pictures analysed per second, at most.
    width, height
        Of its pictures in pixels; None while nobody has seen one, which counts as the reference picture.

    Returns
    -------
    Thousandths of a reference detection per second, at least a quarter of one per picture.
    """
    if not width or not height:
        return fps * 1000
    scale = min(1.0, DETECTOR_SIDE / max(width, height))
    pixels = _padded(width * scale) * _padded(height * scale)
    return fps * max(LEAST, math.ceil(1000 * pixels / REFERENCE_PIXELS))


def admit(demands: Iterable[Demand], capacity: int | None) -> dict[Place, Verdict]:
    """Decide who of a Site's Cameras has a place.

    Parameters
    ----------
    capacity
        Thousandths of a reference detection per second; None: without limit.
    """
    line = sorted(demands, key=lambda demand: demand.place)
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
    admitted = {one.place: Verdict(True, one.cost, used, capacity, running) for one in inside}
    return admitted | {one.place: Verdict(False, one.cost, used, capacity, running, before) for one, before in waiting}


def _padded(side: float) -> int:
    return max(1, math.ceil(round(side) / STRIDE)) * STRIDE


def _told(thousandths: int) -> str:
    return f"{thousandths / 1000:.2f}".rstrip("0").rstrip(".")
