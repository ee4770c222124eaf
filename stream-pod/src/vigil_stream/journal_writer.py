"""From the analyses to the journal: events are encoded and written."""

import datetime as dt
import logging
import time
from collections import Counter

from vigil_stream.counters import Counters
from vigil_stream.observer import StreamObserver
from vigil_stream.publish.event import OutgoingEvent
from vigil_stream.publish.journal import Journal, JournalError

log = logging.getLogger(__name__)


RETRY_S = 1.0
MAX_REFUSED = 1000
"""Final events that wait for the disk. Others are lost; the sightings that they end are closed after the next start."""


class JournalWriter:
    """Writes events to the journal. A final event that the disk refuses is kept and tried again.

    Parameters
    ----------
    journal
        Keeps them until the bus has them.
    counters
        Count what the journal could not take.
    observer
        Takes the error of the journal, and the seconds that encoding and writing took.
    retry_s
        Seconds between attempts to write refused events while no new ones come.
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
        self._refused: list[OutgoingEvent] = []
        self._refused_at = float("-inf")

    def write(self, events: list[OutgoingEvent]) -> None:
        """Write events, in order, all or none; an empty list only retries those that were refused."""
        if not events and not (self._refused and time.monotonic() - self._refused_at >= self._retry_s):
            return
        started = time.perf_counter()
        now = dt.datetime.now(dt.UTC)
        events = [*self._refused, *events]
        counts: Counter[str] = Counter()
        for event in events:
            counts.update(event.counts)
        try:
            dropped = self._journal.record([(event, event.encode(now)) for event in events], counts=counts)
        except JournalError as error:
            self._keep_refused(events, error)
            return
        self._refused = []
        self._report_dropped(dropped)
        self._observer.observe_duration("journal", time.perf_counter() - started)
        self._observer.events_recorded()

    def _keep_refused(self, events: list[OutgoingEvent], error: JournalError) -> None:
        """Keep the final events, or a sighting would stay open for ever; the others are lost and counted."""
        before = len(self._refused)
        self._refused = [event for event in events if event.final][:MAX_REFUSED]
        self._refused_at = time.monotonic()
        lost = len(events) - len(self._refused)
        self._counters.add("events_created", lost)
        self._counters.add("events_dropped", lost)
        self._observer.set_error("journal", str(error))
        if lost or len(self._refused) > before:
            fields = {"lost": lost, "waiting": len(self._refused), "reason": str(error)}
            log.error("events cannot be written to the journal", extra={"fields": fields})

    def _report_dropped(self, dropped: int) -> None:
        if not dropped:
            self._observer.set_error("journal", "")
            return
        message = f"the journal is full ({self._journal.pending} events wait for the bus): the oldest are dropped"
        self._observer.set_error("journal", message)
        log.error("journal full", extra={"fields": {"dropped": dropped, "waiting": self._journal.pending}})
