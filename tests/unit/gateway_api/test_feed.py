"""However messages come, the log has every event once and in order."""

import asyncio
import random
import uuid

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vigil_contracts import events
from vigil_contracts.ids import new_sighting_id, sighting_time
from vigil_gateway.api.websocket import frame_head
from vigil_gateway.handlers.graphql.live import feed as feed_module
from vigil_gateway.handlers.graphql.live.feed import Feed
from vigil_gateway.handlers.graphql.live.ring import Entry, Ring
from vigil_gateway.storage.errors import DatabaseAwayError
from vigil_gateway.storage.postgres.event_log import LogHead, Origin
from vigil_gateway.storage.postgres.rows import EventRow

OPENED = new_sighting_id()


def a_match(seq: int) -> events.Match:
    at = sighting_time(OPENED)
    return events.Match(
        seq=seq,
        revision=seq,
        sighting=events.Sighting(
            sighting_id=OPENED,
            revision=seq,
            state=events.SightingState.UPDATED,
            site="home",
            camera=events.CameraRef(namespace="default", name="door"),
            session_id="s",
            last_seen_at=at,
            frames=1,
            box=events.Box(x=0, y=0, width=1, height=1),
        ),
        identity=events.Identity(status=events.IdentityStatus.UNKNOWN, decided_at=at),
    )


ROWS = {seq: a_match(seq).model_dump_json(by_alias=True) for seq in range(1, 31)}


class Log:
    """A resume log in memory: as many events as are committed, without those that were erased."""

    def __init__(self, committed: int, erased: frozenset[int] = frozenset()) -> None:
        self.committed = committed
        self.erased = erased
        self.rewrites = 0

    async def origin(self) -> Origin:
        return Origin("0" * 12)

    async def event_at(self, seq: int) -> tuple[uuid.UUID | None, int] | None:  # noqa: ARG002 - the store's
        return None

    async def newest_seq(self) -> int:
        await asyncio.sleep(0)
        return self.committed

    async def head(self) -> LogHead:
        return LogHead(await self.newest_seq(), self.rewrites)

    async def oldest_seq(self) -> int | None:
        return 1

    async def events_after(self, seq: int, limit: int) -> list[EventRow]:
        await asyncio.sleep(0)
        kept = [place for place in range(seq + 1, self.committed + 1) if place not in self.erased]
        return [EventRow(place, events.MATCH_TYPE, "", ROWS[place]) for place in kept[:limit]]


@settings(max_examples=60, deadline=None)
@given(
    before=st.integers(0, 10),
    lost=st.frozensets(st.integers(1, 30)),
    twice=st.frozensets(st.integers(1, 30)),
    erased=st.frozensets(st.integers(1, 30), max_size=5),
    seed=st.integers(0, 2**32),
)
def test_every_event_once_and_in_order(
    before: int, lost: frozenset[int], twice: frozenset[int], erased: frozenset[int], seed: int
) -> None:
    messages = [seq for seq in range(before + 1, 31) if seq not in lost] + [seq for seq in twice if seq > before]
    random.Random(seed).shuffle(messages)  # noqa: S311 - an order, not a secret
    seen: list[Entry] = []

    async def story() -> None:
        log = Log(before, erased)
        feed = Feed(log, capacity=100, max_age_s=60, on_entry=seen.append, on_reset=lambda: pytest.fail("reset"))
        task = asyncio.create_task(feed.run())
        await feed.ready.wait()
        log.committed = 30
        for seq in messages:
            feed.notify(seq)
            await asyncio.sleep(0)
        async with asyncio.timeout(20):
            while feed.ring.head < 30:  # noqa: ASYNC110 - the feed has no event for one place
                await asyncio.sleep(0.01)
        task.cancel()

    asyncio.run(story())
    assert [entry.seq for entry in seen] == list(range(1, 31))
    received = {entry.seq for entry in seen if entry.event is not None}
    assert received >= set(range(1, 31)) - erased


def test_what_is_erased_leaves_memory_at_the_next_look() -> None:
    """Without waiting for its age: a subscriber that is behind reads the changed events from the database."""

    async def story() -> None:
        log = Log(20)
        dropped = asyncio.Event()
        feed = Feed(
            log,
            capacity=100,
            max_age_s=600,
            on_entry=lambda _: None,
            on_reset=lambda: pytest.fail("reset"),
            on_rewrite=dropped.set,
        )
        task = asyncio.create_task(feed.run())
        await feed.ready.wait()
        assert (feed.ring.floor, feed.ring.head) == (0, 20)
        assert not dropped.is_set()
        log.rewrites = 1
        async with asyncio.timeout(20):
            await dropped.wait()
        assert (feed.ring.floor, feed.ring.head) == (20, 20)
        task.cancel()

    asyncio.run(story())


class AwayLog(Log):
    """A log that can be read once."""

    looks = 0

    async def head(self) -> LogHead:
        self.looks += 1
        if self.looks > 1:
            raise DatabaseAwayError("away")
        return await super().head()


def test_what_cannot_be_compared_leaves_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    """An erasure counts on it, because it does not know which APIs there are."""
    monkeypatch.setattr(feed_module, "STALE_S", 1.2)

    async def story() -> None:
        dropped = asyncio.Event()
        feed = Feed(
            AwayLog(20),
            capacity=100,
            max_age_s=600,
            on_entry=lambda _: None,
            on_reset=lambda: pytest.fail("reset"),
            on_rewrite=dropped.set,
        )
        task = asyncio.create_task(feed.run())
        async with asyncio.timeout(20):
            await dropped.wait()
        assert (feed.ring.floor, feed.ring.head) == (20, 20)
        task.cancel()

    asyncio.run(story())


def test_the_ring_drops_the_oldest_and_knows_its_floor() -> None:
    ring = Ring(3)
    ring.reset(10)
    for seq in range(11, 16):
        ring.append(Entry(seq, None, at=float(seq)))
    assert (ring.floor, ring.head) == (12, 15)
    assert [entry.seq for entry in ring.after(12, 10)] == [13, 14, 15]
    assert [entry.seq for entry in ring.after(13, 1)] == [14]
    assert ring.after(15, 10) == []
    ring.evict(before=15.0)
    assert (ring.floor, ring.head) == (14, 15)
    with pytest.raises(ValueError, match="entry 17 does not follow 15"):
        ring.append(Entry(17, None))


@pytest.mark.parametrize(
    ("length", "head"),
    [
        (0, b"\x81\x00"),
        (125, b"\x81\x7d"),
        (126, b"\x81\x7e\x00\x7e"),
        (65535, b"\x81\x7e\xff\xff"),
        (65536, b"\x81\x7f\x00\x00\x00\x00\x00\x01\x00\x00"),
    ],
)
def test_frame_heads(length: int, head: bytes) -> None:
    assert frame_head(length) == head
