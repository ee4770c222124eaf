"""The last heartbeat of every camera, and whether its meaning changed.

A heartbeat comes every two seconds; only a change of meaning (state, reason, fitness, frame size, whether inference
answers, the clock, or silence) is worth a reconcile.
"""

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final, NamedTuple

from vigil_contracts.conditions import SiteReason
from vigil_contracts.events import CameraHeartbeat
from vigil_contracts.ids import ResourceKey
from vigil_runtime.clock import NOT_MEASURED, ClockMonitor, ClockState

STALE_S: Final = 15.0
"""A stream process without a heartbeat for so long is silent."""

CHECK_S: Final = 2.0
"""Interval of the search for silent cameras."""

Meaning = tuple[object, ...]
"""The fields of a heartbeat of which a change is worth a reconcile."""


class BusProblem(NamedTuple):
    """Why a bus cannot be listened to, as the Site's condition Connected reports it."""

    reason: SiteReason
    message: str


@dataclass(frozen=True, slots=True)
class LastHeartbeat:
    """The last heartbeat of a camera, and its age.

    Attributes
    ----------
    age_s
        Seconds since it was received.
    clock
        The clock of the machine that sent it.
    """

    beat: CameraHeartbeat
    age_s: float
    clock: ClockState = NOT_MEASURED

    @property
    def stale(self) -> bool:
        """Whether it is too old to describe the present."""
        return self.age_s > STALE_S


@dataclass(slots=True)
class _Received:
    """The last heartbeat of one camera.

    Attributes
    ----------
    received_at
        Seconds of the monotonic clock.
    meaning
        The fields of which `meaning` is made, as they came; None: unknown.
    silent
        Its silence was reported.
    monitor, clock
        Of the machine that sends them, as far as live ones came.
    """

    beat: CameraHeartbeat
    received_at: float
    meaning: Meaning | None = None
    silent: bool = False
    monitor: ClockMonitor = field(default_factory=ClockMonitor)
    clock: ClockState = NOT_MEASURED


class Heartbeats:
    """The last heartbeat of each camera.

    Parameters
    ----------
    changed
        Called with the camera when the meaning of its heartbeats changed.
    bus_changed
        Called with the site when its bus went away or came back.
    """

    def __init__(self, changed: Callable[[ResourceKey], None], bus_changed: Callable[[str], None]) -> None:
        self._changed = changed
        self._bus_changed = bus_changed
        self._last: dict[ResourceKey, _Received] = {}
        self._bus_problems: dict[tuple[str | None, str], BusProblem | None] = {}

    def get(self, camera: ResourceKey) -> LastHeartbeat | None:
        """Return the last heartbeat of a camera; None: there was none."""
        last = self._last.get(camera)
        return LastHeartbeat(last.beat, time.monotonic() - last.received_at, last.clock) if last is not None else None

    @property
    def size(self) -> int:
        """The number of cameras of which something is remembered."""
        return len(self._last)

    def note(
        self,
        camera: ResourceKey,
        beat: CameraHeartbeat,
        age_s: float = 0.0,
        received: Meaning | None = None,
        offset_s: float | None = None,
    ) -> None:
        """Note a heartbeat.

        Parameters
        ----------
        age_s
            Its age, when JetStream had kept it.
        received
            The fields of which `meaning` is made, as they came; the next heartbeat with the same need not be parsed.
        offset_s
            How far the sender's clock was ahead of ours; None: it was not measured.
        """
        before = self._last.get(camera)
        received_at = time.monotonic() - max(age_s, 0.0)
        same_process = before is not None and beat.session_id == before.beat.session_id
        if before is not None and same_process and received_at < before.received_at:
            return
        last = self._last[camera] = _Received(beat, received_at, received)
        if before is not None and same_process:
            last.monitor, last.clock = before.monitor, before.clock
        if offset_s is not None:
            last.clock = last.monitor.note(offset_s, time.monotonic())
        changed = before is None or before.clock != last.clock or meaning(before.beat) != meaning(beat)
        if changed or (before is not None and before.silent):
            self._changed(camera)

    def touch(self, camera: ResourceKey) -> None:
        """Note that a camera sent the same heartbeat again, just now."""
        last = self._last.get(camera)
        if last is not None:
            last.received_at = time.monotonic()
            if last.silent:
                last.silent = False
                self._changed(camera)

    def repeats(self, camera: ResourceKey, received: Meaning, offset_s: float | None = None) -> bool:
        """Return whether a heartbeat has the meaning of the one before, and note it if so.

        Parameters
        ----------
        offset_s
            As in `note`.
        """
        last = self._last.get(camera)
        if last is None or last.meaning != received:
            return False
        self.touch(camera)
        if offset_s is not None:
            before, last.clock = last.clock, last.monitor.note(offset_s, time.monotonic())
            if before != last.clock:
                self._changed(camera)
        return True

    async def watch_silence(self) -> None:
        """Report each camera that falls silent, until cancelled."""
        while True:
            await asyncio.sleep(CHECK_S)
            since = time.monotonic() - STALE_S
            for camera, last in list(self._last.items()):
                if last.received_at < since and not last.silent:
                    last.silent = True
                    self._changed(camera)

    def forget(self, camera: ResourceKey) -> None:
        """Forget a camera that is gone."""
        self._last.pop(camera, None)

    def bus_problem(self, site: str, namespace: str | None = None) -> BusProblem | None:
        """Return the error of a site's bus; None: none is known.

        Parameters
        ----------
        namespace
            The Site's namespace, whose bus may be another than the installation's; None: the installation's.
        """
        return self._bus_problems.get((namespace, site), self._bus_problems.get((None, site)))

    def set_bus_problem(self, site: str, error: BusProblem | None, namespace: str | None = None) -> None:
        """Note the error of a site's bus, or that there is none; other words for an error are no change."""
        before = self._bus_problems.get((namespace, site))
        self._bus_problems[namespace, site] = error
        if (before is None) != (error is None):
            self._bus_changed(site)

    def forget_bus(self, site: str, namespace: str | None = None) -> None:
        """Forget a bus that is no longer listened to."""
        if self._bus_problems.pop((namespace, site), None) is not None:
            self._bus_changed(site)


def meaning(beat: CameraHeartbeat) -> Meaning:
    """Return the fields of a heartbeat of which a change is worth a reconcile."""
    return (
        beat.session_id,
        beat.state,
        beat.reason,
        beat.message,
        beat.fitness,
        beat.width,
        beat.height,
        beat.inference_endpoint,
        beat.inference_trouble,
    )
