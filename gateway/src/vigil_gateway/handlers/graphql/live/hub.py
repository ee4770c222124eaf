"""Subscribers as positions in the site's order of events.

A subscriber that has received everything waits in `idle`. A new event is offered to each of them by a plain call: one
whose filter excludes it just moves on, and one whose socket has room receives it in the same call, so that no task is
woken per subscriber and event. Only the others are woken. A subscriber that is not idle finds the event in the ring
when it comes to it, or in Postgres once the ring has moved past it.
"""

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, Callable
from contextlib import nullcontext
from dataclasses import dataclass, field
from typing import Any, Final

import structlog

from vigil_gateway.handlers.graphql.cursors import EventCursor, decode_event, encode_event, mark_event
from vigil_gateway.handlers.graphql.errors import RETRY_AFTER_S, Code, RequestError, from_database
from vigil_gateway.handlers.graphql.event_types import SightingEvent
from vigil_gateway.handlers.graphql.live.feed import EventStore, Feed
from vigil_gateway.handlers.graphql.live.history import History
from vigil_gateway.handlers.graphql.live.pace import Pace, ReplaySlot
from vigil_gateway.handlers.graphql.live.ring import Entry
from vigil_gateway.storage.errors import DatabaseError
from vigil_runtime.backoff import STORE, Backoff, retry

log = structlog.get_logger(__name__)

Wants = Callable[[SightingEvent], bool]
Push = Callable[[SightingEvent], bool]
"""Deliver an event at once, without waiting; False: it could not be, and nothing was delivered."""


BATCH: Final = 64
"""Entries taken between two chances for other tasks to run."""

GOING_AWAY: Final = 1001
"""RFC 6455 §7.4.1: the server stops. Clients connect again."""

TOO_SLOW: Final = 4410
"""Ours: the client did not read in time; it may resume after its last cursor."""

RESET: Final = 4411
"""Ours: the site's history begins anew; earlier cursors are void."""


class FollowEnded(RequestError):  # noqa: N818 - it ends a subscription, which is not always an error
    """A subscription cannot go on; the message has the reason and what to do, `close_code` closes the socket."""

    def __init__(self, close_code: int, reason: str) -> None:
        super().__init__(Code.HISTORY_RESET if close_code == RESET else Code.UNAVAILABLE, reason)
        self.close_code = close_code
        self.reason = reason


@dataclass(frozen=True, slots=True)
class HubLimits:
    """How much is kept for subscribers.

    Attributes
    ----------
    ring
        Events in memory, for all together.
    ring_age_s
        Seconds after which an event leaves memory.
    max_lag
        Events that a subscriber may fall behind while connected.
    ready_s
        Seconds that a new subscription waits for the newest position to be known.
    """

    ring: int = 2000
    ring_age_s: float = 600.0
    max_lag: int = 50_000
    ready_s: float = 10.0


@dataclass(eq=False, slots=True)
class Follower:
    """The position of one subscription.

    Attributes
    ----------
    position
        The last `seq` that was sent or filtered out.
    push
        Delivers an event while the subscription waits for one; set by the transport, if it can.
    reads
        Held while old events are read.
    """

    hub: "Hub"
    wants: Wants
    position: int
    allowed_lag: int
    ended: FollowEnded | None = None
    push: Push | None = None
    reads: asyncio.Semaphore | None = None
    wake: "asyncio.Future[None] | None" = field(default=None)

    async def next_batch(self) -> list[Entry]:
        """Return the next wanted entries in order, at least one; waits for it.

        Raises
        ------
        FollowEnded
            The gateway goes down, the history was reset or the subscriber fell too far behind.
        RequestError
            Events after the position are no longer kept.
        """
        while True:
            if self.ended is not None:
                raise self.ended
            ring = self.hub.feed.ring
            if self.position >= ring.head:
                await self._idle()
                continue
            self._check_lag(ring.head)
            batch = ring.after(self.position, BATCH) if self.position >= ring.floor else await self._older(ring.head)
            self.position = batch[-1].seq
            wanted = [entry for entry in batch if entry.event is not None and self.wants(entry.event)]
            del batch  # its events would stay in memory until the next one
            if wanted:
                return wanted
            await asyncio.sleep(0)

    async def _older(self, newest: int) -> list[Entry]:
        async with self.reads or nullcontext():
            return await self.hub.older(self.position, newest)

    def _check_lag(self, head: int) -> None:
        lag = head - self.position
        if lag > self.allowed_lag:
            raise FollowEnded(
                TOO_SLOW, f"{lag} events behind, at most {self.allowed_lag}; resume after your last cursor"
            )

    async def _idle(self) -> None:
        self.wake = asyncio.get_running_loop().create_future()
        self.hub.idle.add(self)
        try:
            await self.wake
        finally:
            self.hub.idle.discard(self)
            self.wake = None

    def wake_up(self) -> None:
        """Wake the subscription if it waits."""
        if self.wake is not None and not self.wake.done():
            self.wake.set_result(None)


class Hub:
    """All subscriptions of sightings at this gateway.

    Parameters
    ----------
    replays
        The same event log by connections of its own, so that those who resume do not keep the feed waiting.

    Attributes
    ----------
    on_rewrite
        Called when events in memory were changed or deleted; each drops what it holds of them.
    """

    def __init__(self, store: EventStore, limits: HubLimits, replays: EventStore | None = None) -> None:
        self.limits = limits
        self.idle: set[Follower] = set()
        self.followers: set[Follower] = set()
        self.dropped = 0
        self._replays = replays or store
        self.pace = Pace()
        self.history = History(self._replays, lambda: self.feed.installation)
        self.feed = Feed(
            store,
            capacity=limits.ring,
            max_age_s=limits.ring_age_s,
            on_entry=self._offer,
            on_rewrite=self._forget,
            on_reset=lambda: self.end_all(RESET, "the site's history was reset; subscribe again without a cursor"),
        )
        self.on_rewrite: list[Callable[[], None]] = [self.history.drop]
        self._store = store
        self._closing: FollowEnded | None = None

    def _forget(self) -> None:
        for drop in self.on_rewrite:
            drop()

    async def position(self, after: str | None) -> int:
        """Return the position of a cursor, or of "now" for None.

        Raises
        ------
        RequestError
            The cursor was not made by this API, is of another history, lies beyond the newest event, or cannot be
            checked now.
        """
        cursor = decode_event(after) if after is not None else None
        try:
            async with asyncio.timeout(self.limits.ready_s):
                await self.feed.ready.wait()
        except TimeoutError:
            waited = f"no response of the database in {self.limits.ready_s:g} s"
            msg = f"the newest event is not known yet ({waited}); try again"
            raise RequestError(Code.UNAVAILABLE, msg, retryAfterS=RETRY_AFTER_S) from None
        if cursor is None:
            return self.feed.ring.head
        await from_database(self._check_history(cursor))
        return cursor.seq

    def cursor(self, seq: int) -> str:
        """Return the cursor of a position; one that names the event where it is in memory."""
        entry = self.feed.ring.at(seq)
        if entry is not None and entry.event is not None:
            return entry.event.cursor
        return encode_event(EventCursor(seq, self.feed.installation))

    async def _check_history(self, cursor: EventCursor) -> None:
        """Raise RequestError for a cursor of another history, or beyond this one."""
        origin = self.feed.origin
        own = origin is not None and (
            cursor.seq <= origin.unnamed_until
            if cursor.installation is None
            else cursor.installation == origin.installation
        )
        if not own:
            raise self._another_history("names another database, or none")
        if cursor.seq > self.feed.ring.head:
            await self._check_ahead(cursor.seq)
        if cursor.mark and await self._mark_at(cursor.seq) not in {None, cursor.mark}:
            raise self._another_history("names another event than the one at its place: a backup was restored")

    async def _mark_at(self, seq: int) -> str | None:
        """Return the mark of the event at a position; None when it is not kept."""
        entry = self.feed.ring.at(seq)
        if entry is not None:
            return decode_event(entry.event.cursor).mark if entry.event is not None else None
        found = await self._replays.event_at(seq)
        return None if found is None or found[0] is None else mark_event(found[0], found[1])

    def _another_history(self, why: str) -> RequestError:
        newest = self.cursor(self.feed.ring.head)
        msg = f"the cursor is of another history: it {why}; subscribe without `after`, or after the newest, {newest}"
        return RequestError(Code.HISTORY_RESET, msg, newest=newest)

    async def _check_ahead(self, wanted: int) -> None:
        """Raise RequestError for a cursor beyond the database; another replica may know a newer event than this one."""
        newest = await self._store.newest_seq()
        if wanted > newest:
            place = self.cursor(newest)
            msg = (
                f"the cursor is {wanted - newest} events beyond the newest one ({place}); the database is of an older "
                "backup: subscribe without `after`"
            )
            raise RequestError(Code.CURSOR_AHEAD, msg, newest=place)

    def join(self, position: int, wants: Wants) -> Follower:
        """Return a new subscription that follows from a position on, until `leave`."""
        lag = max(0, self.feed.ring.head - position)
        follower = Follower(self, wants, position, allowed_lag=max(self.limits.max_lag, 2 * lag), ended=self._closing)
        self.followers.add(follower)
        return follower

    def leave(self, follower: Follower) -> None:
        """End a subscription."""
        self.followers.discard(follower)

    def _offer(self, entry: Entry) -> None:
        for follower in self.idle:
            if follower.position != entry.seq - 1:
                continue  # woken, and not yet run
            event = entry.event
            if event is None or not follower.wants(event) or (follower.push is not None and follower.push(event)):
                follower.position = entry.seq
            else:
                follower.wake_up()

    async def older(self, position: int, newest: int) -> list[Entry]:
        """Return entries that are no longer in memory, however long it takes; raises RequestError when none is kept."""

        async def read() -> list[Entry]:
            entries = await self.history.after(position, newest)
            if not entries or entries[0].seq != position + 1:
                self._check_kept(position, await self._replays.oldest_seq(), newest)
            return entries or [Entry(newest, None)]

        return await retry(read, on=(DatabaseError,), backoff=Backoff(*STORE))

    def _check_kept(self, position: int, oldest: int | None, newest: int) -> None:
        """Raise RequestError when events behind the position are no longer kept; a hole left by an erasure is none."""
        if oldest is not None and oldest <= position + 1:
            return
        cursor = self.cursor(oldest - 1 if oldest is not None else newest)
        msg = (
            f"events after the cursor are no longer kept; the oldest cursor to resume after is {cursor}: "
            "read the query `sightings` for what came before"
        )
        raise RequestError(Code.CURSOR_EXPIRED, msg, oldest=cursor)

    def close(self, reason: str) -> None:
        """End every subscription, and each that begins later: the gateway stops."""
        self._closing = FollowEnded(GOING_AWAY, reason)
        self.end_all(GOING_AWAY, reason)

    def end_all(self, close_code: int, reason: str) -> None:
        """End every subscription."""
        for follower in list(self.followers):
            follower.ended = FollowEnded(close_code, reason)
            follower.wake_up()


class SightingStream(AsyncGenerator[SightingEvent, None]):
    """The events of one subscription, in order; it begins with the first event that is asked for."""

    def __init__(self, hub: Hub, position: int, wants: Wants) -> None:
        self._hub = hub
        self._position = position
        self._wants = wants
        self._follower: Follower | None = None
        self._slot: ReplaySlot | None = None
        self._batch: deque[SightingEvent] = deque()

    def deliver_by(self, push: Push) -> None:
        """Deliver events by `push` as they happen while the next one is awaited."""
        self._joined().push = push

    def replay_in(self, slot: ReplaySlot, reads: asyncio.Semaphore) -> None:
        """Read from Postgres only while the slot is taken, and each page while `reads` is held."""
        self._slot = slot
        self._joined().reads = reads

    async def _wait_for_slot(self, follower: Follower) -> None:
        if self._slot is None:
            return
        if follower.position < self._hub.feed.ring.floor:
            await self._slot.take()
        else:
            self._slot.release()

    def _joined(self) -> Follower:
        if self._follower is None:
            self._follower = self._hub.join(self._position, self._wants)
        return self._follower

    async def asend(self, value: None) -> SightingEvent:  # noqa: ARG002 - the protocol's parameter
        """Return the next event; raises what `Follower.next_batch` raises."""
        while not self._batch:
            follower = self._joined()
            await self._wait_for_slot(follower)
            batch = await follower.next_batch()
            self._batch.extend(entry.event for entry in batch if entry.event is not None)
        await self._hub.pace.keep()
        return self._batch.popleft()

    async def athrow(self, *error: Any) -> SightingEvent:  # noqa: ANN401 - the protocol's three forms
        """End the subscription by an error."""
        await self.aclose()
        raise error[0]

    async def aclose(self) -> None:
        """End the subscription."""
        if self._follower is not None:
            self._hub.leave(self._follower)
        if self._slot is not None:
            self._slot.release()
