"""The camera's counters: counted in memory, kept in the journal, so that they go on after a restart."""

from collections.abc import Callable

from vigil_contracts.events import CameraCounters
from vigil_stream.observer import StreamObserver
from vigil_stream.publish.journal import Journal, JournalError


class Counters:
    """Adds the counts of this process to those of the journal.

    Events and opened sightings are counted inside the journal's own transactions. The others are written with every
    heartbeat; the last two seconds of them may be lost by kill -9.

    Parameters
    ----------
    journal
        Keeps the totals.
    observer
        Takes the error that keeps them from being written.
    """

    def __init__(self, journal: Journal, observer: StreamObserver) -> None:
        self._journal = journal
        self._observer = observer
        self._totals: dict[str, int] = {}
        self._sources: dict[str, Callable[[], int]] = {}
        self._saved: dict[str, int] = {}
        self._own: dict[str, int] = {}

    def watch(self, name: str, read: Callable[[], int]) -> None:
        """Read a counter elsewhere; it must never decrease."""
        self._sources[name] = read

    def add(self, name: str, count: int = 1) -> None:
        """Add to a counter; each name from one thread only."""
        self._own[name] = self._own.get(name, 0) + count

    def save(self) -> CameraCounters:
        """Write new counts into the journal, and return all totals.

        When the disk refuses, the totals include the counts that are not written, and the next call tries again.
        """
        now = dict(self._own)
        for name, read in self._sources.items():
            now[name] = now.get(name, 0) + read()
        new = {name: value - self._saved.get(name, 0) for name, value in now.items()}
        new = {name: value for name, value in new.items() if value}
        totals = {**self._totals, **{name: self._totals.get(name, 0) + value for name, value in new.items()}}
        try:
            if new:
                self._journal.count(new)
                self._saved, self._totals = now, totals
            totals = self._totals = self._journal.counters()
        except JournalError as error:
            self._observer.set_error("counters", str(error))
        else:
            self._observer.set_error("counters", "")
        return CameraCounters.model_validate(totals)
