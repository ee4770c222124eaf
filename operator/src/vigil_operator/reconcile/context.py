"""Inputs and result of every reconcile."""

import datetime as dt
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from vigil_operator.bus.heartbeats import Heartbeats
from vigil_operator.kube.cache import Cache
from vigil_operator.kube.client import Api
from vigil_operator.kube.events import EventWriter
from vigil_operator.kube.kinds import Key
from vigil_operator.metrics import Metrics
from vigil_operator.queues import KeyQueue
from vigil_operator.reconcile.camera.capacity import Capacities
from vigil_operator.settings import Settings


def utc_now() -> dt.datetime:
    """Return the time without microseconds, as conditions carry it."""
    return dt.datetime.now(dt.UTC).replace(microsecond=0)


@dataclass(frozen=True, slots=True)
class ReconcileContext:
    """Everything that a reconcile may read or use.

    Attributes
    ----------
    capacities
        Inference capacity of each Site: written by the reconcile of Sites, read by that of Cameras.
    now
        The clock; tests set it.
    """

    settings: Settings
    cache: Cache
    api: Api
    events: EventWriter
    queue: KeyQueue
    metrics: Metrics
    heartbeats: Heartbeats
    capacities: Capacities
    now: Callable[[], dt.datetime] = utc_now


@dataclass(frozen=True, slots=True)
class Result:
    """The result of a reconcile.

    Attributes
    ----------
    outcome
        For the metrics: Unchanged, Changed, Waiting, Gone.
    again_s
        Seconds until the next reconcile even if nothing changes; None: not needed.
    """

    outcome: str = "Unchanged"
    again_s: float | None = None


class Reconciler(Protocol):
    """Brings one object of one kind to what its spec asks for, from any state.

    It may be called at any time and any number of times, and writes nothing when nothing differs. It may raise
    KubeError: the key is then reconciled again after a growing pause.
    """

    async def reconcile(self, key: Key) -> Result:
        """Reconcile one object, which may be gone by now."""

    async def close(self) -> None:
        """Close connections."""
