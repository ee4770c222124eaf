"""A work queue for each kind, so that a thousand Subjects, or one that hangs, keep no Camera waiting."""

from collections.abc import Iterable, Iterator
from typing import Protocol

from vigil_operator.kube.kinds import Key, Kind
from vigil_operator.queue import WorkQueue


class Wishes(Protocol):
    """What takes keys to be worked on."""

    def add(self, key: Key, after_s: float = 0.0) -> None:
        """Have a key worked on, now or after some seconds; the earlier of two wishes counts."""


class KindQueues:
    """The work queues by kind; keys of other kinds are left aside."""

    def __init__(self, kinds: Iterable[Kind]) -> None:
        self._queues: dict[Kind, WorkQueue[Key]] = {kind: WorkQueue() for kind in kinds}

    def __len__(self) -> int:
        return sum(len(queue) for queue in self._queues.values())

    def __iter__(self) -> Iterator[tuple[Kind, WorkQueue[Key]]]:
        return iter(self._queues.items())

    @property
    def waiting(self) -> int:
        """How many keys are to come back later."""
        return sum(queue.waiting for queue in self._queues.values())

    @property
    def active(self) -> int:
        """How many keys are being worked on."""
        return sum(queue.active for queue in self._queues.values())

    def of(self, kind: Kind) -> WorkQueue[Key]:
        """Give the queue of a kind."""
        return self._queues[kind]

    def add(self, key: Key, after_s: float = 0.0) -> None:
        """Have a key worked on, now or after some seconds; the earlier of two wishes counts."""
        queue = self._queues.get(key.kind)
        if queue is not None:
            queue.add(key, after_s)
