"""Revisions on their way out: encoded, journaled, and the publisher woken."""

import datetime as dt
import logging
import time
from collections.abc import Callable

from vigil_contracts.events import Sighting, SightingState, encode_sighting
from vigil_stream.counters import Counters
from vigil_stream.publish.journal import Journal, JournalError

log = logging.getLogger(__name__)


RETRY_S = 1.0
MAX_UNCLOSED = 1000
"""Last words that wait for the disk; those of more sightings are said after the next start."""


class Sink:
    """Takes revisions from the analysis. The last word on a sighting that the disk refuses is kept and tried again.

    Parameters
    ----------
    journal
        Keeps them until the bus has them.
    counters
        Count what the journal could not take.
    wake
        Wakes the publisher.
    wrong
        Takes what is wrong with the journal, empty when nothing is.
    took
        Takes the seconds that encoding and journaling took.
    retry_s
        Seconds between attempts to write what was refused, when nothing new comes.
    """

    def __init__(
        self,
        journal: Journal,
        counters: Counters,
        wake: Callable[[], None],
        wrong: Callable[[str], None],
        took: Callable[[float], None],
        retry_s: float = RETRY_S,
    ) -> None:
        self._journal = journal
        self._counters = counters
        self._wake = wake
        self._wrong = wrong
        self._took = took
        self._retry_s = retry_s
        self._unclosed: list[Sighting] = []
        self._refused_at = float("-inf")

    def tell(self, sightings: list[Sighting]) -> None:
        """Write revisions, in order and all at once; with none, try again what was refused."""
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
        self._told_drop(dropped)
        self._took(time.perf_counter() - started)
        self._wake()

    def _refused(self, sightings: list[Sighting], error: JournalError) -> None:
        """Keep the last words, or a sighting would stay open for ever; the others are lost, and that is said."""
        before = len(self._unclosed)
        closed = [sighting for sighting in sightings if sighting.state is SightingState.CLOSED]
        self._unclosed = closed[:MAX_UNCLOSED]
        self._refused_at = time.monotonic()
        lost = len(sightings) - len(self._unclosed)
        self._counters.add("events_created", lost)
        self._counters.add("events_dropped", lost)
        self._wrong(str(error))
        if lost or len(self._unclosed) > before:
            log.error("%d events lost, %d last words wait for the disk: %s", lost, len(self._unclosed), error)

    def _told_drop(self, dropped: int) -> None:
        if not dropped:
            self._wrong("")
            return
        told = f"the outbox is full ({self._journal.pending} events wait for the bus): the oldest are dropped"
        self._wrong(told)
        log.error("%d events dropped: %s", dropped, told)


def _stamped(sighting: Sighting, now: dt.datetime) -> Sighting:
    if sighting.trace is None:
        return sighting
    return sighting.model_copy(update={"trace": sighting.trace.model_copy(update={"published_at": now})})
