"""From the analyses to the journal: revisions are encoded and written."""

import datetime as dt
import logging
import time

from vigil_contracts.events import Sighting, SightingState, encode_sighting
from vigil_stream.counters import Counters
from vigil_stream.observer import StreamObserver
from vigil_stream.publish.journal import Journal, JournalError

log = logging.getLogger(__name__)


RETRY_S = 1.0
MAX_UNCLOSED = 1000
"""Last revisions that wait for the disk; those of more sightings are written after the next start."""


class Sink:
    """Writes revisions to the journal. The last revision of a sighting that the disk refuses is kept and tried again.

    Parameters
    ----------
    journal
        Keeps them until the bus has them.
    counters
        Count what the journal could not take.
    observer
        Takes the error of the outbox, and the seconds that encoding and writing took.
    retry_s
        Seconds between attempts to write refused revisions while no new ones come.
    """

    def __init__(
        self,
        journal: Journal,
        counters: Counters,
        observer: StreamObserver,
        retry_s: float = RETRY_S,
    ) -> None:
        self._journal = journal
        self._counters = counters
        self._observer = observer
        self._retry_s = retry_s
        self._unclosed: list[Sighting] = []
        self._refused_at = float("-inf")

    def write(self, sightings: list[Sighting]) -> None:
        """Write revisions, in order, all or none; an empty list only retries those that were refused."""
        if not sightings and not (self._unclosed and time.monotonic() - self._refused_at >= self._retry_s):
            return
        started = time.perf_counter()
        now = dt.datetime.now(dt.UTC)
        sightings = [*self._unclosed, *sightings]
        events = [(sighting, encode_sighting(_stamped(sighting, now), now)) for sighting in sightings]
        opened = sum(sighting.state is SightingState.OPENED for sighting in sightings)
        try:
            dropped = self._journal.record(events, counts={"sightings_opened": opened})
        except JournalError as error:
            self._refused(sightings, error)
            return
        self._unclosed = []
        self._report_dropped(dropped)
        self._observer.observe_duration("journal", time.perf_counter() - started)
        self._observer.events_recorded()

    def _refused(self, sightings: list[Sighting], error: JournalError) -> None:
        """Keep the last revisions, or a sighting would stay open for ever; the others are lost and counted."""
        before = len(self._unclosed)
        closed = [sighting for sighting in sightings if sighting.state is SightingState.CLOSED]
        self._unclosed = closed[:MAX_UNCLOSED]
        self._refused_at = time.monotonic()
        lost = len(sightings) - len(self._unclosed)
        self._counters.add("events_created", lost)
        self._counters.add("events_dropped", lost)
        self._observer.set_error("outbox", str(error))
        if lost or len(self._unclosed) > before:
            fields = {"lost": lost, "waiting": len(self._unclosed), "reason": str(error)}
            log.error("events cannot be written to the journal", extra={"fields": fields})

    def _report_dropped(self, dropped: int) -> None:
        if not dropped:
            self._observer.set_error("outbox", "")
            return
        message = f"the outbox is full ({self._journal.pending} events wait for the bus): the oldest are dropped"
        self._observer.set_error("outbox", message)
        log.error("outbox full", extra={"fields": {"dropped": dropped, "waiting": self._journal.pending}})


def _stamped(sighting: Sighting, now: dt.datetime) -> Sighting:
    if sighting.trace is None:
        return sighting
    return sighting.model_copy(update={"trace": sighting.trace.model_copy(update={"published_at": now})})
