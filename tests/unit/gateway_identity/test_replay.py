"""The replay of waiting events ends when it is cancelled."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, cast

from vigil_gateway.identity.replay import Replayer
from vigil_gateway.storage.postgres.pool import Database


class NothingWaits:
    """A database in which no event waits; counts when it is read."""

    def __init__(self) -> None:
        self.asked = asyncio.Event()

    @asynccontextmanager
    async def connection(self) -> AsyncIterator["NothingWaits"]:
        yield self

    async def fetch(self, *_: Any) -> list[Any]:
        self.asked.set()
        return []


async def nobody(_: object) -> None:
    raise AssertionError


async def test_a_cancellation_together_with_a_wake_is_not_lost() -> None:
    database = NothingWaits()
    replayer = Replayer(cast("Database", database), list)
    running = asyncio.create_task(replayer.run(nobody))
    await asyncio.wait_for(database.asked.wait(), 10)
    for _ in range(10):
        await asyncio.sleep(0)  # until it waits
    replayer.wake()
    running.cancel()
    await asyncio.wait({running}, timeout=10)
    assert running.cancelled()
