"""People: which parts of tracks belong to one person, and so to one sighting.

A track follows a face by position and can slip from one person to another. Whenever that may have happened the tracker
raises a doubt, and here the track's *stretch* ends and a new one begins. A stretch is short enough to be of one person.
It belongs to nobody until its shots are compared with those of the people who were near: the same person's sighting
goes on, another person's begins. Nothing of an undecided stretch reaches a sighting, neither its time nor its shots.

While a person stays, a shot now and then verifies the stretch. One that does not fit takes back all that came after
the last one that did.

A still face, a photo or a poster, is known by its place and its look instead of its shots (`still_faces`): whatever is
found there and looks like it belongs to its sighting, and nothing else does. The sighting outlasts passers-by, gaps and
reconnections; it closes after the hours that the Camera states, or with the process.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import Final

from vigil_contracts.events import CloseReason, Sighting, Trace
from vigil_stream.analyses.faces.covering import covers
from vigil_stream.analyses.faces.same_person import Limits, PersonComparison, fits, is_another, is_certain
from vigil_stream.analyses.faces.shots import Shot
from vigil_stream.analyses.faces.sightings import SightingTracker
from vigil_stream.analyses.faces.still_faces import StillFaces
from vigil_stream.analyses.faces.stillness import StillPlace
from vigil_stream.analyses.faces.stretches import Person, Seen, Stretch
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

NEAR_STILL: Final = 0.5
"""Distance within which a face may be a still one that is half hidden: alone such a moment opens no sighting."""

HIDDEN_S: Final = 4.0
"""How long a person is waited for in whose place another face was seen meanwhile: hidden people come back."""


class People:
    """The people in front of one camera.

    Parameters
    ----------
    sightings
        Makes their revisions.
    emit
        Takes the revisions, in their order.
    still
        Recognises still faces.
    identify
        Whether shots are embedded. Without embeddings nothing can decide a doubt, and nobody is named: a track then is
        one person.
    """

    def __init__(
        self,
        sightings: SightingTracker,
        emit: Callable[[list[Sighting]], None],
        still: StillFaces,
        *,
        identify: bool = True,
    ) -> None:
        self._sightings = sightings
        self._emit = emit
        self._still = still
        self._identify = identify
        self._stretches: dict[int, Stretch] = {}
        self._people: list[Person] = []
        self._next_key = 1
        self._epoch = 0.0
        """Seconds since the epoch at 0 of the monotonic clock."""

    def see(self, tracks: Sequence[Track], scene: Scene) -> list[Stretch]:
        """Return the stretch of each track of an analysed frame."""
        self._epoch = scene.captured_at - scene.at
        self._still.observe(scene)
        stretches = [self._place(self._see(track, scene), index) for index, track in enumerate(tracks)]
        for stretch in stretches:
            undecided = self._identify and stretch.person is None
            stretch.contested = undecided and any(True for _ in self._candidates(stretch))
            stretch.covered = covers((one.seen.box for one in stretches if one is not stretch), stretch.seen.box)
        for person in self._people:
            hidden = person.hidden or covers((one.seen.box for one in stretches), person.seen.box)
            person.hidden = hidden and person.stretch not in stretches
        return stretches

    def _see(self, track: Track, scene: Scene) -> Stretch:
        """Return the stretch of a track, extended by this frame; after a doubt, a new one."""
        box = geometry.share_box(track.box, scene.width, scene.height)
        now = Seen(scene.at, geometry.moment(scene.captured_at), box, 1)
        stretch = self._stretches.get(track.track_id)
        if stretch is not None and (stretch.doubts == track.doubts or self._follows_by_place(stretch)):
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
            if stretch.person is None:
                made.earlier = stretch if stretch.shots.kept else stretch.earlier
        self._stretches[track.track_id] = made
        return made

    def _follows_by_place(self, stretch: Stretch) -> bool:
        """Return whether a doubt changes nothing: without embeddings no shot can decide it."""
        return not self._identify and (stretch.person is None or stretch.person.place is None)

    def _place(self, stretch: Stretch, index: int) -> Stretch:
        """Return the stretch of a face, as its still place decides where it has one."""
        stretch.face, stretch.place = self._still.faces[index], self._still.places[index]
        owner, person = self._owner(stretch.place), stretch.person
        if owner is not None and owner is not person:
            if person is not None:
                # The track slipped from somebody to the still face.
                self._leave(stretch)
                stretch = stretch.anew()
                self._stretches[stretch.track.track_id] = stretch
            self._join(stretch, owner, Trace(captured_at=stretch.seen.moment))
        elif person is not None and owner is None and stretch.place is not None:
            self._mark(person, stretch.place)
        elif person is not None and person.has_moved(stretch):
            self._mark(person, None)
        return stretch

    def _owner(self, place: StillPlace | None) -> Person | None:
        """Return the still face of a place; None when it has no sighting yet."""
        return next((one for one in self._people if place is not None and one.place is place), None)

    def _mark(self, person: Person, place: StillPlace | None) -> None:
        """Mark a sighting as of a still face at a place, or of none; subscribers get the revision."""
        if person.place is not None:
            self._still.drop(person.place)
        person.place, person.away_since = place, None
        self._sightings.mark(person.key, still=place is not None)
        self._revise(person, Trace(captured_at=person.seen.moment))

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
        """Take a shot of a stretch, which may have ended meanwhile, and its sighting too.

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
        if person not in self._people:
            return
        if limits is None or fits(shot, person.shots.kept, limits):
            person.shots.keep(shot, at)
            if person.stretch is stretch:
                person.verified = person.seen
            self._revise(person, trace)
            return
        if person.place is not None and stretch.place is person.place:
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
        made = Stretch(track, track.doubts, verified, taken, seen.at, face=stretch.face)
        self._stretches[track.track_id] = made
        return made

    def _take_undecided(self, stretch: Stretch, shot: Shot, at: float, limits: Limits | None, trace: Trace) -> None:
        """Take a shot of a stretch without a person; join or open a sighting as soon as the shots decide."""
        if limits is not None and not stretch.ended and is_another(shot, stretch.shots.kept, limits):
            stretch = self._begin_anew(stretch)
        stretch.limits = limits
        if limits is not None:
            self._add_earlier(stretch, shot, limits)
        stretch.shots.keep(shot, at)
        person = None
        if limits is not None:
            comparisons = [(stretch.compare(one, limits), one) for one in self._candidates(stretch)]
            person = next((one for compared, one in comparisons if compared is PersonComparison.SAME), None)
            undecided = person is None and any(compared is PersonComparison.UNDECIDED for compared, _ in comparisons)
            if undecided and (not stretch.ended or stretch.brief):
                return
        if person is not None:
            self._join(stretch, person, trace)
        else:
            self._open(stretch, trace)

    @staticmethod
    def _add_earlier(stretch: Stretch, shot: Shot, limits: Limits) -> None:
        """Extend a stretch by the one before it, when that is undecided too and a shot shows the same person."""
        earlier, stretch.earlier = stretch.earlier, None
        if earlier is not None and earlier.person is None and fits(shot, earlier.shots.kept, limits):
            stretch.first = earlier.first
            stretch.seen = replace(stretch.seen, frames=stretch.seen.frames + earlier.seen.frames)
            stretch.shots.kept = [*earlier.shots.kept, *stretch.shots.kept]

    def _begin_anew(self, stretch: Stretch) -> Stretch:
        """End a stretch whose shots contradict each other, and return a new one from the newest shot on."""
        track, now = stretch.track, replace(stretch.seen, frames=1)
        stretch.seen = replace(stretch.seen, frames=max(stretch.seen.frames - 1, 1))
        self._finish(stretch)
        made = Stretch(track, track.doubts, now, now, stretch.undecided_since, contested=True, face=stretch.face)
        self._stretches[track.track_id] = made
        return made

    def _candidates(self, stretch: Stretch) -> Iterator[Person]:
        """Yield the people who are not seen elsewhere and were near where the stretch began, most recent first."""
        for person in sorted(self._people, key=lambda one: -one.seen.at):
            reach = NEAR + NEAR_GROWTH * max(stretch.first.at - person.seen.at, 0.0)
            if person.place is not None:
                reach = NEAR_STILL
            elsewhere = person.stretch is not None and person.stretch.seen.at >= stretch.seen.at
            if not elsewhere and geometry.distance(person.seen.box, stretch.first.box) <= reach:
                yield person

    def _open(self, stretch: Stretch, trace: Trace) -> None:
        """Open the sighting of somebody new, with the shots that agree with the best one."""
        kept, limits = stretch.shots.kept, stretch.limits
        if limits is not None:
            stretch.shots.kept = [one for one in kept if one is kept[0] or fits(one, kept[:1], limits)]
        seen, first = stretch.seen, stretch.first
        person = Person(self._next_key, stretch.shots, seen, seen, first.at, None if stretch.ended else stretch)
        self._next_key += 1
        stretch.person = person
        place = stretch.place if self._owner(stretch.place) is None else None
        self._people.append(person)
        self._sightings.see(person.key, seen.moment, seen.box, since=first.moment, frames=seen.frames)
        if place is not None:
            person.place = place
            self._sightings.mark(person.key, still=True)
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
            if limits is None or fits(shot, before, limits):
                person.shots.keep(shot, stretch.seen.at)
        stretch.shots = person.shots
        if person.place is not None and stretch.place is None and stretch.face is not None:
            person.place.add_look(stretch.face)
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
            unseen = person.stretch is None and at - person.seen.at > LOST_AFTER_S
            if unseen and person.place is None and not self._is_awaited(person, at):
                self._close(person, at, CloseReason.LEFT)
        self._end_long_ones(at)

    def _end_long_ones(self, at: float) -> None:
        """Close the sightings of still faces that have lasted as long as the Camera states."""
        for person in list(self._people):
            if person.place is not None and at - person.opened_at >= self._still.sighting_s:
                self._close(person, at, CloseReason.LEFT)

    def _is_awaited(self, person: Person, at: float) -> bool:
        """Return whether the person may be hidden, or an undecided stretch may be this person's."""
        hidden = self._identify and person.hidden and at - person.seen.at <= HIDDEN_S
        undecided = (one for one in self._stretches.values() if one.person is None and one.contested)
        return hidden or any(person in self._candidates(stretch) for stretch in undecided)

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
            if person is None or person not in self._people or person.stays(reason):
                continue
            if reason is not CloseReason.LEFT or not self._is_awaited(person, at):
                self._close(person, at, reason)
        self._end_long_ones(at)

    def end_all(self, captured_at: float, reason: CloseReason) -> None:
        """Close all sightings."""
        self.end([stretch.track for stretch in self._stretches.values()], captured_at, reason)
        at = captured_at - self._epoch
        for person in list(self._people):
            if not person.stays(reason):
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
