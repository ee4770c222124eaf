"""The last heartbeat of every camera, and the subscriptions that watch them.

Only the newest state of a camera counts, so a watcher keeps the keys of cameras that have changed and not their
history: its memory is bounded by the number of cameras, however slowly it reads.
"""

import asyncio
import datetime as dt
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from typing import Final

import structlog

from vigil_contracts import events
from vigil_contracts.events import AnyEvent, CameraHeartbeat, EventError, decode
from vigil_contracts.ids import ResourceKey
from vigil_gateway.storage.errors import DatabaseError

log = structlog.get_logger(__name__)

MAX_CAMERAS: Final = 10_000
"""Ten times the cameras of the largest site planned for."""

GONE_AFTER_S: Final = 60.0
"""Silence after which a camera that is not registered counts as gone; one that reported its end does at once."""

POLL_S: Final = 5.0
"""Between two queries of the registered cameras."""


@dataclass(frozen=True, slots=True)
class CameraState:
    """A heartbeat and when it was sent."""

    heartbeat: CameraHeartbeat
    sent_at: dt.datetime


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

    def receive(self, body: bytes) -> None:
        """Store the heartbeat in a message from the bus; one that is older than the stored one changes nothing."""
        try:
            beat = decode(body, CameraHeartbeat)
        except EventError as error:
            log.warning("message on the bus is not a heartbeat", reason=str(error.reason), error=str(error)[:500])
            return
        state = CameraState(beat, AnyEvent.model_validate_json(body).time)
        key = beat.camera.key
        known = self._states.get(key)
        if known is not None and known.sent_at > state.sent_at:
            return
        if known is None and len(self._states) >= MAX_CAMERAS:
            log.warning("heartbeat dropped: too many cameras", camera=str(key), limit=MAX_CAMERAS)
            return
        if self._is_gone(key, state):  # JetStream keeps the last heartbeat of a removed camera for a day
            self._states.pop(key, None)
            return
        self._states[key] = state
        changed = known is None or _state(known.heartbeat) != _state(beat)
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
        silent_s = (dt.datetime.now(dt.UTC) - state.sent_at).total_seconds()
        return state.heartbeat.state is events.CameraState.STOPPED or silent_s > GONE_AFTER_S

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
