"""The newest events of the site in memory, without a hole, for all subscribers together."""

import time
from collections import deque
from dataclasses import dataclass, field
from itertools import islice

from vigil_gateway.handlers.graphql.event_types import SightingEvent


@dataclass(frozen=True, slots=True)
class Entry:
    """One position in the site's order.

    Attributes
    ----------
    event
        None where the row has been deleted since (an erasure, the end of retention).
    at
        When it was put into memory, in seconds of the monotonic clock.
    """

    seq: int
    event: SightingEvent | None
    at: float = field(default_factory=time.monotonic)


class Ring:
    """A bounded log of consecutive entries.

    Attributes
    ----------
    head
        `seq` of the newest entry; with an empty log, of the newest event that exists.
    """

    def __init__(self, capacity: int) -> None:
        self._capacity = capacity
        self._entries: deque[Entry] = deque()
        self.head = 0

    @property
    def floor(self) -> int:
        """The last position before the oldest entry: from here on everything is in memory."""
        return self.head - len(self._entries)

    def at(self, seq: int) -> Entry | None:
        """Return the entry at a position; None when it is not in memory."""
        return self._entries[seq - self.floor - 1] if self.floor < seq <= self.head else None

    def reset(self, head: int) -> None:
        """Drop everything and begin behind `head`."""
        self._entries.clear()
        self.head = head

    def drop(self) -> None:
        """Drop everything; subscribers that are behind read from Postgres."""
        self._entries.clear()

    def append(self, entry: Entry) -> None:
        """Add the next entry; raises ValueError when it is not the next one."""
        if entry.seq != self.head + 1:
            msg = f"entry {entry.seq} does not follow {self.head}"
            raise ValueError(msg)
        self._entries.append(entry)
        self.head = entry.seq
        if len(self._entries) > self._capacity:
            self._entries.popleft()

    def after(self, position: int, limit: int) -> list[Entry]:
        """Return up to `limit` entries behind `position`, which must not lie before the floor."""
        start = position - self.floor
        return list(islice(self._entries, start, start + limit))

    def evict(self, before: float) -> None:
        """Drop entries put in before a moment of the monotonic clock."""
        while self._entries and self._entries[0].at < before:
            self._entries.popleft()
