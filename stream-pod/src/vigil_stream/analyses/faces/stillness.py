"""Still faces: photos and posters in view, recognised because they stay where they are as no living person does.

The landmarks of a face are noted once a second or so, by their place in the frame and not by track, so that a poster
that the detector misses now and then is one place. A place is still when the landmarks stayed within a few hundredths
of the face's size, and the aligned face kept its appearance. Measured on photos in H.264 video (faces of 32 to 150
pixels, sensor noise of 2 to 9 grey levels, crf 23 to 38): landmarks move by at most 0.06 of the face's width, also
while the light changes by a third within a second, in the median by 0.001 to 0.03; patches correlate by at least 0.85.
Filmed people move by 0.12 to 0.5 within two seconds. Somebody who stands quietly is assumed, not measured, to sway by
7 mm (standard deviation), 0.047 of a face's width, and further with each look around.
"""

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final

import numpy as np
from numpy.typing import NDArray

MOVES_MOSTLY: Final = 0.03
"""Displacement of the landmarks, in face widths, that 8 of 10 observations of a still face do not exceed."""

MOVES_AT_MOST: Final = 0.06
"""The same for 19 of 20: the others may be half hidden by somebody who passes."""

SAME_APPEARANCE: Final = 0.8
"""Correlation of a still face's patches with their mean that 8 of 10 observations reach."""

AT_PLACE: Final = 0.15
"""Displacement of the landmarks, in face widths, within which a face may be that of a still place."""

LOOKS_ALIKE: Final = 0.7
"""Correlation of patches from which a face there is the still one: 19 of 20 other people's are below 0.69."""

REACH: Final = 0.25
"""Displacement in face widths within which observations count for one place: one who sways is to be seen swaying."""

SLOTS: Final = 60
"""Observations that decide, evenly spaced over the time that the Camera states."""

ENOUGH: Final = 12
"""Least number of them: the detector may miss a face most of the time."""

GAPS: Final = 10
"""How many times as long as the stated time observations count, for such a face."""

SEVERAL: Final = 3
"""Observations from which a place is remembered that long."""

LOOKS: Final = 4
"""Appearances of one still face that are kept: by day, by lamps, in infrared."""

MAX_PLACES: Final = 64
"""Places observed at a time; the least observed ones go first."""


@dataclass(frozen=True, slots=True, eq=False)
class Observation:
    """A face in one frame.

    Attributes
    ----------
    points
        Landmarks [5,2] float32 in pixels of the source.
    width
        Of the face in pixels.
    patch
        [64] float32 of unit length.
    at
        Seconds on a clock that only goes forward.
    """

    points: NDArray[np.float32]
    width: float
    patch: NDArray[np.float32]
    at: float


@dataclass(slots=True, eq=False)
class StillPlace:
    """A place where a face was observed; `still` once it is decided that it does not live."""

    points: NDArray[np.float32]
    width: float
    seen_at: float
    looks: deque[NDArray[np.float32]]
    still: bool = False
    observations: deque[Observation] = field(default_factory=lambda: deque(maxlen=SLOTS))

    def distance(self, face: Observation) -> float:
        """Return the largest displacement of a landmark in face widths."""
        return float(np.abs(face.points - self.points).max()) / self.width

    def likeness(self, face: Observation) -> float:
        """Return the correlation with the most similar appearance."""
        return max(float(look @ face.patch) for look in self.looks)

    def holds(self, face: Observation) -> bool:
        """Return whether a face is the one of this place."""
        return self.distance(face) <= AT_PLACE and self.likeness(face) >= LOOKS_ALIKE

    def add_look(self, face: Observation) -> None:
        """Keep another appearance, as in another light, of a face that was verified otherwise."""
        self.looks.append(face.patch)


class StillPlaces:
    """The places in one camera's view that hold still faces, and those that may.

    Parameters
    ----------
    after_s
        Seconds without motion that make a face still.
    keep_s
        Seconds after which a place without its face is forgotten.
    """

    def __init__(self, after_s: float, keep_s: float) -> None:
        self._after_s, self._keep_s = after_s, keep_s
        self._places: list[StillPlace] = []

    def observe(self, face: Observation) -> StillPlace | None:
        """Take a face of a frame; return its place if that is still and the face is the one that hangs there."""
        self._forget(face.at)
        near = list(self._near(face))
        held = next((place for place in near if place.still and place.holds(face)), None)
        if held is not None:
            held.seen_at = face.at
            return held
        place = next((one for one in near if not one.still and one.distance(face) <= REACH), None)
        if place is None:
            self._places.append(_new(face))
            return None
        self._note(place, face)
        return place if place.still else None

    def _near(self, face: Observation) -> Iterator[StillPlace]:
        x, y = float(face.points[0, 0]), float(face.points[0, 1])
        for place in self._places:
            # The first landmark alone excludes most places at a tenth of the cost.
            reach = REACH * place.width
            if abs(float(place.points[0, 0]) - x) <= reach and abs(float(place.points[0, 1]) - y) <= reach:
                yield place

    def _note(self, place: StillPlace, face: Observation) -> None:
        place.seen_at = face.at
        if face.at - place.observations[-1].at < self._after_s / SLOTS:
            return
        place.observations.append(face)
        while face.at - place.observations[0].at > GAPS * self._after_s:
            place.observations.popleft()
        noted = place.observations
        if len(noted) >= ENOUGH and face.at - noted[0].at >= self._after_s * (1 - 2 / SLOTS):
            _decide(place)

    def _forget(self, at: float) -> None:
        """Forget places whose face went, and where there are too many, those observed least."""
        self._places = [one for one in self._places if at - one.seen_at <= self._kept_s(one)]
        if len(self._places) > MAX_PLACES:
            self._places.sort(key=lambda one: (not one.still, -len(one.observations), -one.seen_at))
            del self._places[MAX_PLACES:]

    def _kept_s(self, place: StillPlace) -> float:
        """Return how long a place is kept without its face; most were passed by once."""
        if place.still:
            return self._keep_s
        return self._after_s * (1 if len(place.observations) < SEVERAL else GAPS)

    def drop(self, place: StillPlace) -> None:
        """Forget a place whose face moved after all."""
        if place in self._places:
            self._places.remove(place)

    def rescale(self, x: float, y: float) -> None:
        """Follow a change of the frame's size: new pixels per old one, horizontally and vertically."""
        factors = np.array([x, y], np.float32)
        for place in self._places:
            place.points, place.width = place.points * factors, place.width * x
            if not place.still:
                place.observations.clear()
        self._places = [one for one in self._places if one.still]


def _new(face: Observation) -> StillPlace:
    place = StillPlace(face.points, face.width, face.at, deque([face.patch], LOOKS))
    place.observations.append(face)
    return place


def _decide(place: StillPlace) -> None:
    """Set whether a place is still, by its observations; keep their median as its landmarks."""
    points = np.stack([one.points for one in place.observations])
    width = float(np.median([one.width for one in place.observations]))
    median = np.median(points, axis=0).astype(np.float32)
    moved = np.abs(points - median).max(axis=(1, 2)) / width
    patches = np.stack([one.patch for one in place.observations])
    look = np.median(patches, axis=0)
    look /= max(float(np.linalg.norm(look)), 1e-6)
    alike = patches @ look
    place.points, place.width = median, width
    place.looks[0] = look
    mostly, nearly_all = np.quantile(moved, (0.8, 0.95))
    place.still = bool(
        mostly <= MOVES_MOSTLY and nearly_all <= MOVES_AT_MOST and np.quantile(alike, 0.2) >= SAME_APPEARANCE
    )
    if place.still:
        place.observations.clear()
