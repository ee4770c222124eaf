"""What every reconcile works with: the world as last seen, the ways to change it, and what it gives back."""

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
from vigil_operator.queues import Wishes
from vigil_operator.reconcile.camera.capacity import Capacities
from vigil_operator.settings import Settings


def utc_now() -> dt.datetime:
    """Give the time, without microseconds, as conditions tell it."""
    return dt.datetime.now(dt.UTC).replace(microsecond=0)


@dataclass(frozen=True, slots=True)
class World:
    """All that a reconcile may read or use.

    Attributes
    ----------
    capacities
        What a Site's inference can do: the reconcile of Site writes it, that of Camera reads it.
    now
        The clock; tests set it.
    """

    settings: Settings
    cache: Cache
    api: Api
    events: EventWriter
    queue: Wishes
    metrics: Metrics
    heartbeats: Heartbeats
    capacities: Capacities
    now: Callable[[], dt.datetime] = utc_now


@dataclass(frozen=True, slots=True)
class Result:
    """How a reconcile ended.

    Attributes
    ----------
    outcome
        For the metrics: Unchanged, Changed, Waiting, Gone.
    again_s
        Seconds after which to look again although nothing may have changed; None: not needed.
    """

    outcome: str = "Unchanged"
    again_s: float | None = None


class Reconciler(Protocol):
    """Brings one object of one kind to what its spec asks for, from wherever it is.

    It may be called at any time and any number of times, and writes nothing when nothing differs. KubeError may leave
    it: the key comes back after a growing pause.
    """

    async def reconcile(self, key: Key) -> Result:
        """Do it; the object may be gone by now."""

    async def close(self) -> None:
        """Let go of connections."""
