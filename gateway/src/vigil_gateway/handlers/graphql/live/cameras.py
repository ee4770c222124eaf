"""The last heartbeat of every camera, and the subscriptions that watch them.

Only the newest state of a camera counts, so a watcher keeps the keys of cameras that have changed and not their
history: its memory is bounded by the number of cameras, however slowly it reads.
"""

import asyncio
import datetime as dt
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from typing import Final

import structlog

from vigil_contracts import events
from vigil_contracts.events import AnyEvent, CameraHeartbeat, EventError, decode
from vigil_contracts.ids import ResourceKey
from vigil_gateway.storage.errors import DatabaseError
from vigil_runtime.clock import NOT_MEASURED, ClockMonitor, ClockState

log = structlog.get_logger(__name__)

MAX_CAMERAS: Final = 10_000
"""Ten times the cameras of the largest site planned for."""

GONE_AFTER_S: Final = 60.0
"""Silence after which a camera that is not registered counts as gone; one that reported its end does at once."""

POLL_S: Final = 5.0
"""Between two queries of the registered cameras."""


@dataclass(frozen=True, slots=True)
class CameraState:
    """A heartbeat and its times.

    Attributes
    ----------
    sent_at
        By the clock of the camera's machine, which may be wrong: it is shown, and decides nothing.
    received_at
        By the API's clock; of a heartbeat that the bus had kept, by the age that it had there.
    received_s
        The same on the monotonic clock, in seconds, by which heartbeats are ordered.
    monitor, clock
        Of the camera's machine, as far as live heartbeats came.
    """

    heartbeat: CameraHeartbeat
    sent_at: dt.datetime
    received_at: dt.datetime
    received_s: float
    monitor: ClockMonitor
    clock: ClockState

    @property
    def silent_s(self) -> float:
        """Seconds since it was received."""
        return time.monotonic() - self.received_s


class CameraStates:
    """The newest heartbeat of every camera."""

    def __init__(self) -> None:
        self._states: dict[ResourceKey, CameraState] = {}
        self._watchers: set[Watcher] = set()
        self._registered: frozenset[ResourceKey] | None = None

    def __len__(self) -> int:
        return len(self._states)

    def last(self, key: ResourceKey) -> CameraState | None:
        """Return a camera's newest state; None before its first heartbeat."""
        return self._states.get(key)

    def receive(self, camera: ResourceKey, body: bytes, age_s: float = 0.0) -> None:
        """Store the heartbeat in a message from the bus; one that is older than the stored one changes nothing.

        Parameters
        ----------
        camera
            The one that the message's subject names: no other camera's heartbeats come on it.
        age_s
            How long the bus had kept it, in seconds; a negative one, of clocks that differ, counts as 0. 0: it is live.
        """
        try:
            beat = decode(body, CameraHeartbeat)
        except EventError as error:
            log.warning("message on the bus is not a heartbeat", reason=str(error.reason), error=str(error)[:500])
            return
        key = beat.camera.key
        if key != camera:
            log.warning("heartbeat on another camera's subject", camera=str(key)[:200], subject=str(camera))
            return
        known = self._states.get(key)
        state = _received(beat, AnyEvent.model_validate_json(body).time, age_s, known)
        if known is not None and known.received_s > state.received_s:
            return
        if known is None and len(self._states) >= MAX_CAMERAS:
            log.warning("heartbeat dropped: too many cameras", camera=str(key), limit=MAX_CAMERAS)
            return
        if self._is_gone(key, state):  # JetStream keeps the last heartbeat of a removed camera for a day
            self._states.pop(key, None)
            return
        self._states[key] = state
        changed = known is None or known.clock != state.clock or _state(known.heartbeat) != _state(beat)
        for watcher in self._watchers:
            if changed or watcher.every:
                watcher.mark(key)

    async def follow(self, registered: Callable[[], Awaitable[frozenset[ResourceKey]]]) -> None:
        """Forget cameras that were removed, until cancelled.

        Parameters
        ----------
        registered
            Returns the cameras that are registered; may raise DatabaseError.
        """
        while True:
            try:
                self._registered = await registered()
            except DatabaseError:
                pass  # the feed logs it; nothing is forgotten meanwhile
            else:
                self._states = {key: state for key, state in self._states.items() if not self._is_gone(key, state)}
            await asyncio.sleep(POLL_S)

    def _is_gone(self, key: ResourceKey, state: CameraState) -> bool:
        """Return whether a camera was removed and is silent; one that still sends may be registered in a moment."""
        if self._registered is None or key in self._registered:
            return False
        return state.heartbeat.state is events.CameraState.STOPPED or state.silent_s > GONE_AFTER_S

    async def watch(self, wants: Callable[[ResourceKey], bool], *, every: bool) -> AsyncIterator[CameraState]:
        """Yield the state of each wanted camera, then each change; with `every`, each heartbeat."""
        watcher = Watcher(wants, every=every)
        for key in sorted(self._states):
            watcher.mark(key)
        self._watchers.add(watcher)
        try:
            while True:
                state = self._states.get(await watcher.next())
                if state is not None:
                    yield state
        finally:
            self._watchers.discard(watcher)


def _received(beat: CameraHeartbeat, sent_at: dt.datetime, age_s: float, known: CameraState | None) -> CameraState:
    """Return the state of a camera by its heartbeat; only a live one shows its clock."""
    received_at = dt.datetime.now(dt.UTC) - dt.timedelta(seconds=max(age_s, 0.0))
    monitor, clock = ClockMonitor(), NOT_MEASURED
    if known is not None and known.heartbeat.session_id == beat.session_id:
        monitor, clock = known.monitor, known.clock
    if not age_s:
        clock = monitor.note((sent_at - received_at).total_seconds(), time.monotonic())
    return CameraState(beat, sent_at, received_at, time.monotonic() - max(age_s, 0.0), monitor, clock)


def _state(beat: CameraHeartbeat) -> tuple[object, ...]:
    """Return the part of a heartbeat that makes a change of state, without the numbers that always change."""
    return (beat.session_id, beat.state, beat.reason, beat.message, beat.fitness, beat.width, beat.height, beat.codec)


class Watcher:
    """The cameras whose change one subscription has yet to receive."""

    def __init__(self, wants: Callable[[ResourceKey], bool], *, every: bool) -> None:
        self.every = every
        self._wants = wants
        self._changed: dict[ResourceKey, None] = {}
        self._wake = asyncio.Event()

    def mark(self, key: ResourceKey) -> None:
        """Record that a camera has changed; twice is as once."""
        if self._wants(key):
            self._changed[key] = None
            self._wake.set()

    async def next(self) -> ResourceKey:
        """Return the camera whose change is the oldest; waits for one."""
        await self._wake.wait()
        key = next(iter(self._changed))
        del self._changed[key]
        if not self._changed:
            self._wake.clear()
        return key
