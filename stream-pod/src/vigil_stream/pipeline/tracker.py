"""Tracks: which object of this frame is which of the one before, from position, size and appearance.

At 5 frames per second a walking face moves by up to its own width, so boxes often do not overlap; a face is expected
where its speed would bring it, within a distance in units of its own size. Two people who cross, or one who stands
where another stood, can still be mistaken for each other. So every assignment that could be such a mistake (a gap, a
jump, a change of size or appearance, a rival nearby) raises a doubt about the track, and an analysis that can
distinguish people decides (`analyses.faces.people`).

Patches are small images of what is in each box. They cost microseconds; between two frames one face keeps its patch,
and another face in the same place changes it.
"""

import math
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

LOST_AFTER_S = 1.5
"""Seconds without the face, in frames that were analysed, after which a track has left: a turned head, or a person
passing in front, takes less."""

STALE_AFTER_S = 30.0
"""Seconds without any analysed frame after which a track has left: a wait for inference that long hides what
happened."""

REACH = 0.9
"""Distance in face sizes, from where the face is expected, within which it is taken for the same."""

FIRST_REACH = 1.3
"""The same while its speed is not known."""

REACH_GROWTH = 0.8
"""Added per second without the face."""

SIZE_RATIO = 1.8
"""Largest change of size from one analysed frame to the next."""

DOUBTFUL_COST = 0.75
"""Cost above which an assignment raises a doubt, in face sizes."""

DOUBTFUL_GAP_S = 0.7
"""Time between two frames above which an assignment raises a doubt, also when no frame is missing between them."""

DOUBTFUL_RATIO = 1.35
"""Change of size above which an assignment raises a doubt, as the larger size over the smaller one."""

RIVAL_MARGIN = 0.45
"""An assignment raises a doubt when another pairing of its track or box costs less than this more, in face sizes."""

SAME_PATCH = 0.65
"""Correlation of the patches below which an assignment raises a doubt.

Measured at 5 frames per second: two people in one place correlate by 0.34 in the median, 19 in 20 pairs by less than
0.69; one painted face that walks, turns and changes its light by at least 0.79. Filmed performers who turn their heads
fall below 0.82 in every fourth frame, below 0.7 in every eighth, and each time costs an embedding. Another
person who stays above the limit is found by the next shot that verifies.
"""

PATCH_WEIGHT = 0.6
"""Cost of a pairing whose patches do not correlate at all, in face sizes."""

_SMOOTHING = 0.6
"""Share of the newest measurement in the speed."""

_Pairing = tuple[float, int, int]
"""Cost, number of the track, number of the box."""


@dataclass(slots=True, eq=False)
class Track:
    """One face over time.

    Attributes
    ----------
    track_id
        Unique within the process.
    box
        x1, y1, x2, y2 in source pixels, where it was seen last.
    first_seen, last_seen
        Seconds on a clock that only goes forward.
    hits
        Frames in which it was found.
    doubts
        How often an assignment might have taken another person for this one.
    patch
        [d] float32 of unit length, when it was seen last; None where the analysis makes none.
    """

    track_id: int
    box: tuple[float, float, float, float]
    first_seen: float
    last_seen: float
    hits: int = 1
    doubts: int = 0
    speed: tuple[float, float] = (0.0, 0.0)
    """Pixels per second."""
    patch: NDArray[np.float32] | None = None

    @property
    def centre(self) -> tuple[float, float]:
        """Centre of the box in pixels."""
        x1, y1, x2, y2 = self.box
        return (x1 + x2) / 2, (y1 + y2) / 2

    @property
    def size(self) -> float:
        """Geometric mean of the box's sides in pixels."""
        return _size(self.box)


@dataclass(frozen=True, slots=True)
class Update:
    """The change of the tracks by one frame.

    Attributes
    ----------
    assigned
        For each detection, in order, its track, new or known.
    lost
        Tracks that have left.
    """

    assigned: list[Track]
    lost: list[Track] = field(default_factory=list)


class Tracker:
    """Follows the faces of one camera."""

    def __init__(self) -> None:
        self._tracks: list[Track] = []
        self._next_id = 1
        self._updated_at = float("-inf")

    @property
    def tracks(self) -> tuple[Track, ...]:
        """The tracks that are followed."""
        return tuple(self._tracks)

    def update(
        self,
        boxes: list[tuple[float, float, float, float]],
        at: float,
        patches: NDArray[np.float32] | None = None,
    ) -> Update:
        """Take the detections of the next analysed frame.

        Parameters
        ----------
        boxes
            x1, y1, x2, y2 in source pixels, most confident first.
        at
            Seconds when the frame was captured; not before the last one.
        patches
            [n,d] float32, rows of unit length: small images of what is in the boxes.
        """
        costs = self._costs(boxes, at, patches)
        chosen = _cheapest(costs)
        before, self._updated_at = self._updated_at, at
        known = list(self._tracks)
        assigned = []
        for index, box in enumerate(boxes):
            number = chosen.get(index)
            patch = patches[index] if patches is not None else None
            if number is None:
                assigned.append(self._start(box, at, patch))
                continue
            track = known[number]
            if _is_doubtful(track, box, patch, at, before) or _has_rival(costs, number, index):
                track.doubts += 1
            _move(track, box, at)
            track.patch = patch
            assigned.append(track)
        lost = [track for track in self._tracks if at - track.last_seen > LOST_AFTER_S]
        self._tracks = [track for track in self._tracks if at - track.last_seen <= LOST_AFTER_S]
        return Update(assigned, lost)

    def followed(self, boxes: NDArray[np.float32]) -> NDArray[np.bool_]:
        """Return for each box [n,4] of the next frame whether it is the best one for a track."""
        found = np.zeros(len(boxes), np.bool_)
        corners = [(b[0], b[1], b[2], b[3]) for b in boxes.tolist()]
        found[list(_cheapest(self._costs(corners, self._updated_at, None)))] = True
        return found

    def keep_still(self, at: float) -> None:
        """Take a frame without motion: what was found in the frame before is still there."""
        for track in self._tracks:
            if track.last_seen >= self._updated_at:
                track.last_seen = at
                track.speed = (0.0, 0.0)
        self._updated_at = at

    def take_stale(self, at: float) -> list[Track]:
        """Remove and return the tracks that were not seen for too long; for when no frame is analysed."""
        gone = [track for track in self._tracks if at - track.last_seen > STALE_AFTER_S]
        self._tracks = [track for track in self._tracks if at - track.last_seen <= STALE_AFTER_S]
        return gone

    def clear(self) -> list[Track]:
        """Remove and return all tracks."""
        ended, self._tracks = self._tracks, []
        return ended

    def rescale(self, x: float, y: float) -> None:
        """Follow a change of the frame's size: new pixels per old one, horizontally and vertically."""
        for track in self._tracks:
            x1, y1, x2, y2 = track.box
            track.box = (x1 * x, y1 * y, x2 * x, y2 * y)
            track.speed = (track.speed[0] * x, track.speed[1] * y)

    def _start(self, box: tuple[float, float, float, float], at: float, patch: NDArray[np.float32] | None) -> Track:
        track = Track(self._next_id, box, at, at, patch=patch)
        self._next_id += 1
        self._tracks.append(track)
        return track

    def _costs(
        self, boxes: list[tuple[float, float, float, float]], at: float, patches: NDArray[np.float32] | None
    ) -> list[_Pairing]:
        """Return the possible pairings, cheapest first."""
        pairings: list[_Pairing] = []
        for number, track in enumerate(self._tracks):
            for index, box in enumerate(boxes):
                cost = _cost(track, box, at)
                if cost is None:
                    continue
                if patches is not None and track.patch is not None:
                    cost += PATCH_WEIGHT * max(1 - float(patches[index] @ track.patch), 0.0)
                pairings.append((cost, number, index))
        pairings.sort()
        return pairings


def _cheapest(pairings: list[_Pairing]) -> dict[int, int]:
    """Return the number of the track of each paired box.

    The cheapest pair comes first; that is greedy, because faces seldom lie so close that it matters, and where they do
    a doubt is raised.
    """
    chosen: dict[int, int] = {}
    taken: set[int] = set()
    for _, number, index in pairings:
        if index not in chosen and number not in taken:
            chosen[index] = number
            taken.add(number)
    return chosen


def _has_rival(pairings: list[_Pairing], number: int, index: int) -> bool:
    """Return whether another pairing of this track or this box is nearly as good."""
    own = next(cost for cost, track, box in pairings if (track, box) == (number, index))
    return any(((track == number) != (box == index)) and cost < own + RIVAL_MARGIN for cost, track, box in pairings)


def _is_doubtful(
    track: Track,
    box: tuple[float, float, float, float],
    patch: NDArray[np.float32] | None,
    at: float,
    updated_at: float,
) -> bool:
    """Return whether the box may hold another person than the track did.

    Parameters
    ----------
    updated_at
        When the frame before was analysed.
    """
    if track.last_seen < updated_at or at - track.last_seen > DOUBTFUL_GAP_S:
        return True
    if abs(math.log(_size(box) / track.size)) > math.log(DOUBTFUL_RATIO):
        return True
    cost = _cost(track, box, at)
    if cost is None or cost > DOUBTFUL_COST:
        return True
    return patch is not None and track.patch is not None and float(patch @ track.patch) < SAME_PATCH


def _size(box: tuple[float, float, float, float]) -> float:
    return math.sqrt(max(box[2] - box[0], 1e-3) * max(box[3] - box[1], 1e-3))


def _cost(track: Track, box: tuple[float, float, float, float], at: float) -> float | None:
    """Return the distance of a detection from the expected place of a track, in face sizes; None when it is too far."""
    size, new_size = track.size, _size(box)
    gap = at - track.last_seen
    x, y = track.centre
    # People do not keep a speed for long: it is trusted for half a second.
    ahead = min(gap, 0.5)
    dx = (box[0] + box[2]) / 2 - x - track.speed[0] * ahead
    dy = (box[1] + box[3]) / 2 - y - track.speed[1] * ahead
    distance = math.hypot(dx, dy) / ((size + new_size) / 2)
    reach = (REACH if track.hits > 1 else FIRST_REACH) + REACH_GROWTH * min(gap, LOST_AFTER_S)
    if distance > reach:
        return None
    ratio = abs(math.log(new_size / size))
    return distance + 0.5 * ratio if ratio <= math.log(SIZE_RATIO) else None


def _move(track: Track, box: tuple[float, float, float, float], at: float) -> None:
    gap = at - track.last_seen
    if gap > 0:
        x, y = track.centre
        measured = ((box[0] + box[2]) / 2 - x) / gap, ((box[1] + box[3]) / 2 - y) / gap
        share = _SMOOTHING if track.hits > 1 else 1.0
        track.speed = (
            track.speed[0] + share * (measured[0] - track.speed[0]),
            track.speed[1] + share * (measured[1] - track.speed[1]),
        )
    track.box, track.last_seen = box, at
    track.hits += 1
