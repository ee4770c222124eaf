"""Sightings: opened once, updated when it matters, closed once. Every revision is complete in itself."""

import datetime as dt
import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from vigil_contracts.events import BestShot, Box, CameraRef, CloseReason, Sighting, SightingState, Trace
from vigil_contracts.ids import new_sighting_id

KEEP_ALIVE_S = 10.0
"""A revision of a sighting that goes on is emitted at least so often, so that `last_seen_at` stays fresh."""

STILL_KEEP_ALIVE_S = 60.0
"""The same for a still face, which may stay for days."""


@dataclass(slots=True, eq=False)
class _Open:
    sighting_id: uuid.UUID
    last_seen: dt.datetime
    box: Box
    frames: int
    shots: Sequence[BestShot] = field(default_factory=list)
    revision: int = 0
    emitted: dt.datetime | None = None
    """When the face was last seen, as of the last revision."""
    still: bool = False

    @property
    def keep_alive(self) -> dt.timedelta:
        """The longest time between two revisions."""
        return dt.timedelta(seconds=STILL_KEEP_ALIVE_S if self.still else KEEP_ALIVE_S)


class SightingTracker:
    """The open sightings of one camera by the keys of their people; makes each next revision.

    Revisions of a sighting count 1, 2, 3, …; the first is Opened, the last and only the last is Closed.

    Parameters
    ----------
    site, camera, session_id
        Go into every revision.
    make_id
        Returns a UUIDv7 of a moment; for tests.
    """

    def __init__(
        self,
        site: str,
        camera: CameraRef,
        session_id: str,
        make_id: Callable[[dt.datetime], uuid.UUID] = new_sighting_id,
    ) -> None:
        self._site = site
        self._camera = camera
        self._session_id = session_id
        self._make_id = make_id
        self._open: dict[int, _Open] = {}

    def __len__(self) -> int:
        return len(self._open)

    def __contains__(self, key: int) -> bool:
        return key in self._open

    def see(self, key: int, at: dt.datetime, box: Box, *, since: dt.datetime, frames: int) -> None:
        """Record a face of a person; begins the sighting, whose first revision is made by `revise`.

        Parameters
        ----------
        at
            When it was seen, timezone-aware; never goes back.
        since
            When the person was first seen; becomes the sighting's time.
        frames
            Analysed frames in which it was found, so far.
        """
        entry = self._open.get(key)
        if entry is None:
            self._open[key] = _Open(self._make_id(since), at, box, frames)
        else:
            entry.last_seen, entry.box, entry.frames = max(at, entry.last_seen), box, frames

    def take_back(self, key: int, at: dt.datetime, box: Box, frames: int) -> None:
        """Set a sighting back to what was verified: what followed was another person."""
        entry = self._open[key]
        entry.last_seen, entry.box, entry.frames = at, box, frames

    def mark(self, key: int, *, still: bool) -> None:
        """Record whether a face is still; stated from the next revision on."""
        self._open[key].still = still

    def revise(self, key: int, shots: Sequence[BestShot], trace: Trace | None) -> Sighting:
        """Return the next revision of a person's sighting, with its shots as they are now, best first."""
        entry = self._open[key]
        entry.shots = list(shots)
        state = SightingState.UPDATED if entry.revision else SightingState.OPENED
        return self._revision(entry, state, trace)

    def keep_alive(self) -> list[Sighting]:
        """Return a revision of each sighting that went on for `KEEP_ALIVE_S` (`STILL_KEEP_ALIVE_S`) without one."""
        due = [
            entry
            for entry in self._open.values()
            if entry.emitted is not None and entry.last_seen - entry.emitted >= entry.keep_alive
        ]
        return [self._revision(entry, SightingState.UPDATED, None) for entry in due]

    def close(self, key: int, at: dt.datetime, reason: CloseReason) -> list[Sighting]:
        """Close the sighting of a person and return its last revision, after its first where that is missing."""
        entry = self._open.pop(key, None)
        if entry is None:
            return []
        opened = [] if entry.revision else [self._revision(entry, SightingState.OPENED, None)]
        return [
            *opened,
            self._revision(entry, SightingState.CLOSED, None, closed_at=max(at, entry.last_seen), reason=reason),
        ]

    def _revision(
        self,
        entry: _Open,
        state: SightingState,
        trace: Trace | None,
        *,
        closed_at: dt.datetime | None = None,
        reason: CloseReason | None = None,
    ) -> Sighting:
        entry.revision += 1
        entry.emitted = entry.last_seen
        return Sighting(
            sighting_id=entry.sighting_id,
            revision=entry.revision,
            state=state,
            site=self._site,
            camera=self._camera,
            session_id=self._session_id,
            last_seen_at=entry.last_seen,
            closed_at=closed_at,
            close_reason=reason,
            frames=entry.frames,
            box=entry.box,
            still=entry.still,
            shots=list(entry.shots),
            trace=trace,
        )


def closed_after_restart(last: Sighting, at: dt.datetime) -> Sighting:
    """Return the last revision of a sighting whose process died: its newest revision, closed.

    Parameters
    ----------
    last
        The newest revision in the journal.
    at
        Now.
    """
    update = {
        "revision": last.revision + 1,
        "state": SightingState.CLOSED,
        "closed_at": max(at, last.last_seen_at),
        "close_reason": CloseReason.RESTARTED,
        "trace": None,
    }
    return last.model_copy(update=update)
