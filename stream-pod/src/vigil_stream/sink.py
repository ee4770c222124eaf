"""Revisions on their way out: encoded, journaled, and the publisher woken."""

import datetime as dt
import logging
import time
from collections.abc import Callable

from vigil_contracts.events import Sighting, SightingState, encode_sighting
from vigil_stream.counters import Counters
from vigil_stream.publish.journal import Journal, JournalError

log = logging.getLogger(__name__)


class Sink:
    """Takes revisions from the analysis.

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
    """

    def __init__(
        self,
        journal: Journal,
        counters: Counters,
        wake: Callable[[], None],
        wrong: Callable[[str], None],
        took: Callable[[float], None],
    ) -> None:
        self._journal = journal
        self._counters = counters
        self._wake = wake
        self._wrong = wrong
        self._took = took

    def tell(self, sightings: list[Sighting]) -> None:
        """Write revisions, in order and all at once."""
        if not sightings:
            return
        started = time.perf_counter()
        now = dt.datetime.now(dt.UTC)
        events = [(sighting, encode_sighting(_stamped(sighting, now), now)) for sighting in sightings]
        opened = sum(sighting.state is SightingState.OPENED for sighting in sightings)
        try:
            dropped = self._journal.record(events, counts={"sightings_opened": opened})
        except JournalError as error:
            # The disk took nothing: the events are lost, and that is said.
            self._counters.add("events_created", len(events))
            self._counters.add("events_dropped", len(events))
            self._wrong(str(error))
            log.error("%d events lost: %s", len(events), error)  # noqa: TRY400 - the message says all, a trace nothing
            return
        self._told_drop(dropped)
        self._took(time.perf_counter() - started)
        self._wake()

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
