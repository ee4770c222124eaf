"""Stretches of tracks, and the people to whom they belong; `people` decides which is whose."""

import datetime as dt
from dataclasses import dataclass, field, replace
from typing import Final

from vigil_contracts.events import Box, CloseReason
from vigil_stream.analyses.faces.same_person import Limits, PersonComparison, compare
from vigil_stream.analyses.faces.shots import BETWEEN_DOUBTS_S, PersonShots
from vigil_stream.analyses.faces.stillness import AT_PLACE, Observation, StillPlace
from vigil_stream.pipeline.tracker import Track

BRIEF_S: Final = 0.6
"""Length below which a stretch that nothing decided is nobody's, as in a meeting; after a doubt `BETWEEN_DOUBTS_S`."""

COVERED_S: Final = 0.4
"""How long the shot of a covered face is put off."""

MOVED_S: Final = 2.0
"""How long a still face must be seen away from its place to count as moved."""

STILL_SHOT_S: Final = 300.0
"""Seconds between the shots of a still face, whose place and appearance verify it in every frame."""


@dataclass(frozen=True, slots=True)
class Seen:
    """Where and when a person was seen last.

    Attributes
    ----------
    at
        Seconds on a clock that only goes forward.
    moment
        The same by the wall clock, timezone-aware.
    frames
        Analysed frames in which the person was found, so far.
    """

    at: float
    moment: dt.datetime
    box: Box
    frames: int


@dataclass(slots=True, eq=False)
class Person:
    """The owner of one sighting.

    Attributes
    ----------
    key
        The key of the sighting in `SightingTracker`.
    seen
        Where and when the person was seen last, in a stretch that is the person's.
    verified
        Where and when a shot verified the person last; of a still face, where its place did.
    opened_at
        When the sighting opened, in seconds on a clock that only goes forward.
    """

    key: int
    shots: PersonShots
    seen: Seen
    verified: Seen
    opened_at: float
    stretch: "Stretch | None" = None
    hidden: bool = False
    """Another face was seen in the person's place since."""
    place: StillPlace | None = None
    """Of a still face; None of a living person."""
    away_since: float | None = None
    """When the track of a still face was first seen elsewhere, since it was at its place."""

    def has_moved(self, stretch: "Stretch") -> bool:
        """Return whether a still face was seen away from its place for so long that it lives; its place verifies it."""
        if self.place is None:
            return False
        if stretch.place is self.place:
            self.verified, self.away_since = self.seen, None
        elif self.away_since is None:
            self.away_since = stretch.seen.at
        return self.away_since is not None and stretch.seen.at - self.away_since >= MOVED_S

    def stays(self, reason: CloseReason) -> bool:
        """Return whether the sighting outlasts such an end: a still face is there when the video comes back."""
        return self.place is not None and reason is not CloseReason.SHUTDOWN


@dataclass(slots=True, eq=False)
class Stretch:
    """A part of a track without a doubt in it.

    Attributes
    ----------
    undecided_since
        When the track was doubted first, without a decision since.
    contested
        Somebody near could be this person; a shot must decide.
    covered
        Another face is so near in the last frame that this one may be half hidden.
    earlier
        The undecided stretch of the same track before this one; its shots count too if they show the same person.
    ended
        The track has left, or goes on with another stretch.
    face
        In the last frame.
    place
        The still place where that face hangs; None: nowhere, as far as is known.
    """

    track: Track
    doubts: int
    first: Seen
    seen: Seen
    undecided_since: float
    shots: PersonShots = field(default_factory=PersonShots)
    person: Person | None = None
    limits: Limits | None = None
    contested: bool = False
    covered: bool = False
    earlier: "Stretch | None" = None
    ended: bool = False
    face: Observation | None = None
    place: StillPlace | None = None

    @property
    def brief(self) -> bool:
        """Whether it is too short to be somebody by itself."""
        return self.seen.at - self.first.at < (BETWEEN_DOUBTS_S if self.doubts else BRIEF_S)

    def waits_uncovered(self, at: float) -> bool:
        """Return whether to put off a shot because the face may soon be whole."""
        return self.covered and at - max(self.undecided_since, self.shots.taken_at) < COVERED_S

    def anew(self) -> "Stretch":
        """Return a stretch of the same track that begins in the last frame."""
        now = replace(self.seen, frames=1)
        return Stretch(self.track, self.doubts, now, now, now.at, face=self.face, place=self.place)

    def compare(self, person: Person, limits: Limits) -> PersonComparison:
        """Compare shots; a face that looks like a still one belongs to its sighting only where that hangs."""
        compared = compare(self.shots.kept, person.shots.kept, limits)
        away = person.place is not None and (self.face is None or person.place.distance(self.face) > AT_PLACE)
        return PersonComparison.UNDECIDED if away and compared is PersonComparison.SAME else compared

    def rests(self, at: float) -> bool:
        """Return whether a still face needs no new shot yet."""
        still = self.place is not None and self.person is not None and self.person.place is self.place
        return still and bool(self.shots.kept) and at - self.shots.taken_at < STILL_SHOT_S
