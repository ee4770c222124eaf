"""A work queue for each kind, so that a thousand Subjects, or one that hangs, delay no Camera."""

from collections.abc import Iterable, Iterator
from typing import Protocol

from vigil_operator.kube.kinds import Key, Kind
from vigil_operator.queue import WorkQueue


class KeyQueue(Protocol):
    """A queue of keys."""

    def add(self, key: Key, after_s: float = 0.0) -> None:
        """Queue a key, now or after some seconds; of two times the earlier one counts."""


class KindQueues:
    """The work queues by kind; keys of other kinds are ignored."""

    def __init__(self, kinds: Iterable[Kind]) -> None:
        self._queues: dict[Kind, WorkQueue[Key]] = {kind: WorkQueue() for kind in kinds}

    def __len__(self) -> int:
        return sum(len(queue) for queue in self._queues.values())

    def __iter__(self) -> Iterator[tuple[Kind, WorkQueue[Key]]]:
        return iter(self._queues.items())

    @property
    def waiting(self) -> int:
        """The number of keys that are due later."""
        return sum(queue.waiting for queue in self._queues.values())

    @property
    def active(self) -> int:
        """The number of keys that workers hold."""
        return sum(queue.active for queue in self._queues.values())

    def of(self, kind: Kind) -> WorkQueue[Key]:
        """Return the queue of a kind."""
        return self._queues[kind]

    def add(self, key: Key, after_s: float = 0.0) -> None:
        """Queue a key, now or after some seconds; of two times the earlier one counts."""
        queue = self._queues.get(key.kind)
        if queue is not None:
            queue.add(key, after_s)
