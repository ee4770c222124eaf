"""Tracks: which object of this frame is which of the one before, from position and size alone.

At 5 frames per second a walking face moves by up to its own width, so boxes often do not overlap; a face is expected
where its speed would bring it, within a distance in units of its own size. Two people who cross, or one who stands
where another stood, can still be mistaken for each other: such an assignment is marked doubtful, and an analysis that
can tell them apart decides (`TrackShots.shows_same_person`).
"""

import math
from dataclasses import dataclass, field

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
DOUBTFUL_GAP_S = 0.7
"""An assignment that costs more, or comes after a longer gap, is doubtful."""

_SMOOTHING = 0.6
"""Share of the newest measurement in the speed."""


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
    doubtful
        The last assignment might have taken another person for this one.
    """

    track_id: int
    box: tuple[float, float, float, float]
    first_seen: float
    last_seen: float
    hits: int = 1
    doubtful: bool = False
    speed: tuple[float, float] = (0.0, 0.0)
    """Pixels per second."""

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
        self._updated_at = 0.0

    @property
    def tracks(self) -> tuple[Track, ...]:
        """The tracks that are followed."""
        return tuple(self._tracks)

    def update(self, boxes: list[tuple[float, float, float, float]], at: float) -> Update:
        """Take the detections of the next analysed frame.

        Parameters
        ----------
        boxes
            x1, y1, x2, y2 in source pixels, most confident first.
        at
            Seconds when the frame was captured; not before the last one.
        """
        chosen = self._match(boxes, at)
        self._updated_at = at
        assigned = []
        for index, box in enumerate(boxes):
            found = chosen.get(index)
            if found is None:
                assigned.append(self._start(box, at))
            else:
                track, cost = found
                _move(track, box, at, cost)
                assigned.append(track)
        lost = [track for track in self._tracks if at - track.last_seen > LOST_AFTER_S]
        self._tracks = [track for track in self._tracks if at - track.last_seen <= LOST_AFTER_S]
        return Update(assigned, lost)

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

    def split(self, track: Track) -> Track:
        """Replace a track that turned out to be another person by a new one in its place, and return that."""
        self._tracks.remove(track)
        return self._start(track.box, track.last_seen)

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

    def _start(self, box: tuple[float, float, float, float], at: float) -> Track:
        track = Track(self._next_id, box, at, at)
        self._next_id += 1
        self._tracks.append(track)
        return track

    def _match(self, boxes: list[tuple[float, float, float, float]], at: float) -> dict[int, tuple[Track, float]]:
        """Return the track and the cost of each paired detection.

        The cheapest pair comes first; that is greedy, because faces seldom lie so close that it matters.
        """
        pairs = []
        for track in self._tracks:
            for index, box in enumerate(boxes):
                cost = _cost(track, box, at)
                if cost is not None:
                    pairs.append((cost, track.track_id, index, track))
        pairs.sort(key=lambda pair: pair[:3])
        chosen: dict[int, tuple[Track, float]] = {}
        taken: set[int] = set()
        for cost, track_id, index, track in pairs:
            if index not in chosen and track_id not in taken:
                chosen[index] = (track, cost)
                taken.add(track_id)
        return chosen


def _size(box: tuple[float, float, float, float]) -> float:
    return math.sqrt(max(box[2] - box[0], 1e-3) * max(box[3] - box[1], 1e-3))


def _cost(track: Track, box: tuple[float, float, float, float], at: float) -> float | None:
    """Return the distance of a detection from the expected place of a track, in face sizes; None when it is too far."""
    size, new_size = track.size, _size(box)
    ratio = abs(math.log(new_size / size))
    if ratio > math.log(SIZE_RATIO):
        return None
    gap = at - track.last_seen
    x, y = track.centre
    # People do not keep a speed for long: it is trusted for half a second.
    ahead = min(gap, 0.5)
    dx = (box[0] + box[2]) / 2 - x - track.speed[0] * ahead
    dy = (box[1] + box[3]) / 2 - y - track.speed[1] * ahead
    distance = math.hypot(dx, dy) / ((size + new_size) / 2)
    reach = (REACH if track.hits > 1 else FIRST_REACH) + REACH_GROWTH * min(gap, LOST_AFTER_S)
    return distance + 0.5 * ratio if distance <= reach else None


def _move(track: Track, box: tuple[float, float, float, float], at: float, cost: float) -> None:
    gap = at - track.last_seen
    track.doubtful = track.doubtful or cost > DOUBTFUL_COST or gap > DOUBTFUL_GAP_S
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
