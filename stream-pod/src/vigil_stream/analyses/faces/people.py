"""People: which parts of tracks belong to one person, and so to one sighting.

A track follows a face by position and can slip from one person to another. Whenever that may have happened the tracker
raises a doubt, and here the track's *stretch* ends and a new one begins. A stretch is short enough to be of one person.
It belongs to nobody until its shots are compared with those of the people who were near: the same person's sighting
goes on, another person's begins. Nothing of an undecided stretch reaches a sighting, neither its time nor its shots.

While a person stays, a shot now and then verifies the stretch. One that does not fit takes back all that came after
the last one that did.
"""

import datetime as dt
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Final

from vigil_contracts.events import Box, CloseReason, Sighting, Trace
from vigil_stream.analyses.faces.same_person import Limits, PersonComparison, compare, is_certain, similarity
from vigil_stream.analyses.faces.shots import PersonShots, Shot
from vigil_stream.analyses.faces.sightings import SightingTracker
from vigil_stream.pipeline import geometry
from vigil_stream.pipeline.tracker import LOST_AFTER_S, STALE_AFTER_S, Track
from vigil_stream.scene import Scene

WAIT_FOR_SHOT_S: Final = 1.5
"""How long the first revision of a sighting waits for the embedding of a shot; then it is emitted without."""

UNDECIDED_S: Final = 3.0
"""How long a stretch stays undecided; then it is another person's, because a split harms less than a wrong name."""

NEAR: Final = 1.5
NEAR_GROWTH: Final = 2.0
"""Distance, in face sizes and per second unseen, within which a person may have become the face of a new stretch."""

BRIEF_S: Final = 0.6
"""Length below which a stretch that nothing decided belongs to nobody: it is the flicker of a meeting."""

COVERS: Final = 1.1
"""Distance of two faces, in their size, within which one may be half hidden by the other."""


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
        Where and when a shot verified the person last.
    """

    key: int
    shots: PersonShots
    seen: Seen
    verified: Seen
    stretch: "Stretch | None" = None


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
    ended
        The track has left, or goes on with another stretch.
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
    ended: bool = False

    @property
    def brief(self) -> bool:
        """Whether it is too short to be somebody by itself."""
        return self.seen.at - self.first.at < BRIEF_S


class People:
    """The people in front of one camera.

    Parameters
    ----------
    sightings
        Makes their revisions.
    emit
        Takes the revisions, in their order.
    identify
        Whether shots are embedded. Without embeddings nothing can decide a doubt, and nobody is named: a track then is
        one person.
    """

    def __init__(
        self, sightings: SightingTracker, emit: Callable[[list[Sighting]], None], *, identify: bool = True
    ) -> None:
        self._sightings = sightings
        self._emit = emit
        self._identify = identify
        self._stretches: dict[int, Stretch] = {}
        self._people: list[Person] = []
        self._next_key = 1
        self._epoch = 0.0
        """Seconds since the epoch at 0 of the monotonic clock."""

    def see(self, tracks: Sequence[Track], scene: Scene) -> list[Stretch]:
        """Return the stretch of each track of an analysed frame."""
        self._epoch = scene.captured_at - scene.at
        stretches = [self._see(track, scene) for track in tracks]
        for stretch in stretches:
            undecided = self._identify and stretch.person is None
            stretch.contested = undecided and any(True for _ in self._candidates(stretch))
            stretch.covered = any(
                one is not stretch and _distance(one.seen.box, stretch.seen.box) < COVERS for one in stretches
            )
        return stretches

    def _see(self, track: Track, scene: Scene) -> Stretch:
        """Return the stretch of a track, extended by this frame; after a doubt, a new one."""
        box = geometry.share_box(track.box, scene.width, scene.height)
        now = Seen(scene.at, geometry.moment(scene.captured_at), box, 1)
        stretch = self._stretches.get(track.track_id)
        if stretch is not None and (stretch.doubts == track.doubts or not self._identify):
            stretch.seen = replace(now, frames=stretch.seen.frames + 1)
            if stretch.person is not None:
                self._extend(stretch.person, replace(now, frames=stretch.person.seen.frames + 1))
            return stretch
        since = scene.at
        if stretch is not None:
            since = stretch.undecided_since if stretch.person is None else since
            self._finish(stretch)
        made = Stretch(track, track.doubts, now, now, since)
        if stretch is not None:
            made.shots.taken_at = stretch.shots.taken_at
        self._stretches[track.track_id] = made
        return made

    def open_overdue(self, stretches: Sequence[Stretch], trace: Trace, at: float) -> None:
        """Open the sightings of stretches that no shot is to be waited for.

        One detection alone, not good enough to embed, does not make a sighting.
        """
        for stretch in stretches:
            if stretch.person is not None:
                continue
            shots, waited = stretch.shots, at - stretch.undecided_since
            if stretch.contested:
                waits = waited < UNDECIDED_S
            else:
                waits = (shots.pending or shots.postponed) and waited < WAIT_FOR_SHOT_S
            if stretch.seen.frames >= 2 and not waits:
                self._open(stretch, trace)
        self.expire(at)

    def take(self, stretch: Stretch, shot: Shot, at: float, limits: Limits | None, trace: Trace) -> None:
        """Take a shot of a stretch, which may have ended meanwhile.

        Parameters
        ----------
        at
            When it was captured, in seconds on a clock that only goes forward.
        limits
            The thresholds of the model that embedded it; None without an embedding.
        """
        person = stretch.person
        if person is None:
            self._take_undecided(stretch, shot, at, limits, trace)
            return
        if limits is None or _fits(shot, person.shots.kept, limits):
            person.shots.keep(shot, at)
            if person.stretch is stretch:
                person.verified = person.seen
            self._revise(person, trace)
            return
        if not stretch.ended and is_certain(shot):
            self._take_undecided(self._take_back(stretch, person), shot, at, limits, trace)

    def _take_back(self, stretch: Stretch, person: Person) -> Stretch:
        """Take from a person what followed the last verified shot, and return it as an undecided stretch."""
        track, seen, verified = stretch.track, stretch.seen, person.verified
        taken = replace(seen, frames=max(person.seen.frames - verified.frames, 1))
        self._leave(stretch)
        person.seen = verified
        self._sightings.take_back(person.key, verified.moment, verified.box, verified.frames)
        made = Stretch(track, track.doubts, verified, taken, seen.at)
        self._stretches[track.track_id] = made
        return made

    def _take_undecided(self, stretch: Stretch, shot: Shot, at: float, limits: Limits | None, trace: Trace) -> None:
        """Take a shot of a stretch without a person; join or open a sighting as soon as the shots decide."""
        if limits is not None and not stretch.ended and self._is_another(shot, stretch.shots, limits):
            stretch = self._begin_anew(stretch)
        stretch.limits = limits
        stretch.shots.keep(shot, at)
        person = None
        if limits is not None:
            comparisons = [
                (compare(stretch.shots.kept, one.shots.kept, limits), one) for one in self._candidates(stretch)
            ]
            person = next((one for compared, one in comparisons if compared is PersonComparison.SAME), None)
            undecided = person is None and any(compared is PersonComparison.UNDECIDED for compared, _ in comparisons)
            if undecided and (not stretch.ended or stretch.brief):
                return
        if person is not None:
            self._join(stretch, person, trace)
        else:
            self._open(stretch, trace)

    @staticmethod
    def _is_another(shot: Shot, shots: PersonShots, limits: Limits) -> bool:
        cosine = similarity([shot], shots.kept)
        return cosine is not None and cosine < limits.other and is_certain(shot)

    def _begin_anew(self, stretch: Stretch) -> Stretch:
        """End a stretch whose shots contradict each other, and return a new one from the newest shot on."""
        track, now = stretch.track, replace(stretch.seen, frames=1)
        stretch.seen = replace(stretch.seen, frames=max(stretch.seen.frames - 1, 1))
        self._finish(stretch)
        made = Stretch(track, track.doubts, now, now, stretch.undecided_since, contested=True)
        self._stretches[track.track_id] = made
        return made

    def _candidates(self, stretch: Stretch) -> Iterator[Person]:
        """Yield the people who are not seen elsewhere and were near where the stretch began, most recent first."""
        for person in sorted(self._people, key=lambda one: -one.seen.at):
            unseen = stretch.first.at - person.seen.at
            elsewhere = person.stretch is not None and person.stretch.seen.at >= stretch.seen.at
            if not elsewhere and _distance(person.seen.box, stretch.first.box) <= NEAR + NEAR_GROWTH * max(unseen, 0.0):
                yield person

    def _open(self, stretch: Stretch, trace: Trace) -> None:
        """Open the sighting of somebody new, with the shots that agree with the best one."""
        kept, limits = stretch.shots.kept, stretch.limits
        if limits is not None:
            stretch.shots.kept = [one for one in kept if one is kept[0] or _fits(one, kept[:1], limits)]
        person = Person(self._next_key, stretch.shots, stretch.seen, stretch.seen, None if stretch.ended else stretch)
        self._next_key += 1
        stretch.person = person
        self._people.append(person)
        seen = stretch.seen
        self._sightings.see(person.key, seen.moment, seen.box, since=stretch.first.moment, frames=seen.frames)
        self._revise(person, trace)

    def _join(self, stretch: Stretch, person: Person, trace: Trace) -> None:
        """Continue the sighting of a person with a stretch."""
        if person.stretch is not None:
            self._leave(person.stretch)
        stretch.person = person
        person.stretch = None if stretch.ended else stretch
        # Pooled, one shot can outweigh another that is somebody else's.
        limits, before = stretch.limits, list(person.shots.kept)
        for shot in stretch.shots.kept:
            if limits is None or _fits(shot, before, limits):
                person.shots.keep(shot, stretch.seen.at)
        stretch.shots = person.shots
        self._extend(person, replace(stretch.seen, frames=person.seen.frames + stretch.seen.frames))
        person.verified = person.seen
        self._revise(person, trace)

    def _leave(self, stretch: Stretch) -> None:
        """End a stretch; its person waits to be seen again."""
        stretch.ended = True
        if self._stretches.get(stretch.track.track_id) is stretch:
            del self._stretches[stretch.track.track_id]
        if stretch.person is not None and stretch.person.stretch is stretch:
            stretch.person.stretch = None

    def _finish(self, stretch: Stretch) -> None:
        """End a stretch; what no shot decided is somebody new, unless a shot is still under way or it was brief."""
        self._leave(stretch)
        undecided = stretch.person is None and not stretch.shots.pending
        if undecided and stretch.shots.kept and not stretch.brief:
            self._open(stretch, Trace(captured_at=stretch.seen.moment))

    def _extend(self, person: Person, seen: Seen) -> None:
        person.seen = seen
        self._sightings.see(person.key, seen.moment, seen.box, since=seen.moment, frames=seen.frames)

    def _revise(self, person: Person, trace: Trace) -> None:
        best = [kept.best_shot for kept in person.shots.kept]
        self._emit([self._sightings.revise(person.key, best, trace)])

    def keep_still(self, tracks: Sequence[Track], at: float, captured_at: float) -> None:
        """Extend the sightings of tracks that did not move."""
        self._epoch = captured_at - at
        for track in tracks:
            stretch = self._stretches.get(track.track_id)
            if stretch is None:
                continue
            moment = geometry.moment(captured_at)
            stretch.seen = replace(stretch.seen, at=at, moment=moment)
            if stretch.person is not None:
                self._extend(stretch.person, replace(stretch.person.seen, at=at, moment=moment))

    def expire(self, at: float) -> None:
        """Close the sightings of people who were not seen for too long, unless a stretch may still be theirs."""
        for person in list(self._people):
            if person.stretch is None and at - person.seen.at > LOST_AFTER_S and not self._is_awaited(person):
                self._close(person, at, CloseReason.LEFT)

    def _is_awaited(self, person: Person) -> bool:
        """Return whether an undecided stretch may be this person's."""
        undecided = (one for one in self._stretches.values() if one.person is None and one.contested)
        return any(person in self._candidates(stretch) for stretch in undecided)

    def end(self, tracks: Sequence[Track], captured_at: float, reason: CloseReason) -> None:
        """End tracks; those that have left may still be recognised in another one for a moment.

        Parameters
        ----------
        captured_at
            Seconds since the epoch.
        """
        at = captured_at - self._epoch
        left = []
        for track in tracks:
            stretch = self._stretches.get(track.track_id)
            if stretch is None:
                continue
            undecided = stretch.person is None and not stretch.shots.pending
            self._leave(stretch)
            if undecided and stretch.seen.frames >= 2 and not (stretch.contested and stretch.brief):
                self._open(stretch, Trace(captured_at=stretch.seen.moment))
            left.append(stretch.person)
        if reason is not CloseReason.LEFT and tracks:
            left = list(self._people)
        # While no frame is analysed, those who wait to be seen again go stale like tracks.
        left += [one for one in self._people if one.stretch is None and at - one.seen.at > STALE_AFTER_S]
        for person in left:
            if person in self._people and (reason is not CloseReason.LEFT or not self._is_awaited(person)):
                self._close(person, at, reason)

    def end_all(self, captured_at: float, reason: CloseReason) -> None:
        """Close all sightings."""
        self.end([stretch.track for stretch in self._stretches.values()], captured_at, reason)
        at = captured_at - self._epoch
        for person in list(self._people):
            self._close(person, at, reason)

    def pending(self, tracks: Sequence[Track]) -> bool:
        """Return whether a shot of one of these tracks is being embedded."""
        found = (self._stretches.get(track.track_id) for track in tracks)
        return any(stretch is not None and stretch.shots.pending for stretch in found)

    def _close(self, person: Person, at: float, reason: CloseReason) -> None:
        self._people.remove(person)
        if person.stretch is not None:
            self._leave(person.stretch)
        self._emit(self._sightings.close(person.key, geometry.moment(self._epoch + at), reason))


def _fits(shot: Shot, others: Sequence[Shot], limits: Limits) -> bool:
    """Return whether a shot verifies a person; one that cannot be compared, as after a change of models, does."""
    cosine = similarity([shot], others)
    return cosine is None or cosine >= limits.same


def _distance(before: Box, now: Box) -> float:
    """Return the distance of two boxes in their mean size."""
    width, height = (before.width + now.width) / 2, (before.height + now.height) / 2
    dx = (now.x + now.width / 2 - before.x - before.width / 2) / max(width, 1e-6)
    dy = (now.y + now.height / 2 - before.y - before.height / 2) / max(height, 1e-6)
    return float((dx * dx + dy * dy) ** 0.5)
