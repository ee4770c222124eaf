"""How much one principal, and one connection, may have under way: the rest waits in order, and too much is refused.

Without these bounds one client takes every connection to Postgres, and all others wait for it.
"""

import asyncio
from collections.abc import AsyncIterator, Hashable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Final
from weakref import WeakValueDictionary

from vigil_gateway.handlers.graphql.errors import RETRY_AFTER_S, Code, RequestError
from vigil_gateway.principal import Principal
from vigil_gateway.storage.postgres.reader import one_at_a_time


@dataclass(frozen=True, slots=True)
class BudgetLimits:
    """The bounds of one process.

    Attributes
    ----------
    of_principal
        Queries of one principal at once.
    of_connection
        Those of them that come over one WebSocket. HTTP has one at a time.
    waiting
        Queries of one principal that wait; more are refused.
    wait_s
        Seconds after which a query that waits is refused.
    reads
        Pages of old events that are read for one principal at once.
    """

    of_principal: int = 8
    of_connection: int = 4
    waiting: int = 200
    wait_s: float = 5.0
    reads: int = 3


class Places:
    """Places for so many queries at once."""

    def __init__(self, at_once: int, waiting: int, wait_s: float, whose: str) -> None:
        self._free = asyncio.Semaphore(at_once)
        self._max_waiting = waiting
        self._wait_s = wait_s
        self._whose = f"{at_once} queries of this {whose} are under way"
        self._waiting = 0

    @asynccontextmanager
    async def place(self) -> AsyncIterator[None]:
        """Hold a place, after those who came before; raises RequestError when too many wait, or for too long."""
        if self._waiting >= self._max_waiting:
            raise self._refused(f"{self._waiting} more wait")
        self._waiting += 1
        try:
            async with asyncio.timeout(self._wait_s):
                await self._free.acquire()
        except TimeoutError:
            raise self._refused(f"none ended within {self._wait_s:g} s") from None
        finally:
            self._waiting -= 1
        try:
            yield
        finally:
            self._free.release()

    def _refused(self, why: str) -> RequestError:
        message = f"{self._whose}, and {why}; send fewer at once, and try again in {RETRY_AFTER_S} s"
        return RequestError(Code.TOO_MANY_REQUESTS, message, retryAfterS=RETRY_AFTER_S)


class Budgets:
    """The places of every principal, kept as long as somebody uses them.

    Attributes
    ----------
    refused
        Queries that were refused.
    """

    def __init__(self, limits: BudgetLimits) -> None:
        self.refused = 0
        self._limits: Final = limits
        self._places: WeakValueDictionary[Hashable, Places] = WeakValueDictionary()
        self._reads: WeakValueDictionary[Hashable, asyncio.Semaphore] = WeakValueDictionary()

    def of_connection(self) -> Places:
        """Return the places of a new connection."""
        limits = self._limits
        return Places(limits.of_connection, limits.waiting, limits.wait_s, "connection")

    @asynccontextmanager
    async def query(self, principal: Principal, connection: Places | None = None) -> AsyncIterator[None]:
        """Run a query in a place of its connection and of its principal; raises RequestError when there is none."""
        try:
            async with _place(connection), self._of(principal).place():
                with one_at_a_time():
                    yield
        except RequestError as error:
            self.refused += error.code is Code.TOO_MANY_REQUESTS
            raise

    def reads(self, principal: Principal) -> asyncio.Semaphore:
        """Return what limits the pages of old events that are read for a principal at once."""
        found = self._reads.get(_key(principal))
        if found is None:
            found = self._reads[_key(principal)] = asyncio.Semaphore(self._limits.reads)
        return found

    def _of(self, principal: Principal) -> Places:
        found = self._places.get(_key(principal))
        if found is None:
            limits = self._limits
            found = Places(limits.of_principal, limits.waiting, limits.wait_s, "principal")
            self._places[_key(principal)] = found
        return found


def _key(principal: Principal) -> Hashable:
    return principal.kind, principal.id


@asynccontextmanager
async def _place(places: Places | None) -> AsyncIterator[None]:
    if places is None:
        yield
    else:
        async with places.place():
            yield
