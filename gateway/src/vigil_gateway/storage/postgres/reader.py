"""Queries with a deadline; every failure is a DatabaseError with a message for people."""

import asyncio
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from contextvars import ContextVar
from typing import Any, Final, Protocol

import asyncpg

from vigil_gateway.storage.errors import DatabaseAwayError, DatabaseSlowError

ATTEMPTS: Final = 2
"""The pool may return a connection whose server has been restarted meanwhile; the second one is new."""


_turn: ContextVar[asyncio.Lock | None] = ContextVar("turn", default=None)


@contextmanager
def one_at_a_time() -> Iterator[None]:
    """Run the queries of this task, and of the tasks that it makes, one after the other, whatever it asks for at once.

    One request can ask for twenty pages, and would take every connection of the pool.
    """
    token = _turn.set(asyncio.Lock())
    try:
        yield
    finally:
        _turn.reset(token)


class Pool(Protocol):
    """The part of `vigil_gateway.storage.postgres.pool.Database` that is used here."""

    async def fetch(self, query: str, *args: object) -> list[Any]:
        """Run a query and return its rows; raises DatabaseError when Postgres is away or slow."""


class Reader:
    """A pool for reading.

    Attributes
    ----------
    timeout_s
        Seconds for one query, the wait for a connection and for the queries before it included.
    """

    def __init__(self, pool: Pool, timeout_s: float) -> None:
        self._pool = pool
        self.timeout_s = timeout_s

    async def fetch(self, query: str, *args: object) -> Sequence[Any]:
        """Run a query and return its rows.

        Raises
        ------
        DatabaseSlowError
            No response within `timeout_s`.
        DatabaseAwayError
            Postgres cannot be reached, is starting, or has no tables yet.
        """
        for attempt in range(1, ATTEMPTS + 1):
            try:
                async with asyncio.timeout(self.timeout_s), _turn.get() or nullcontext():
                    return await self._pool.fetch(query, *args)
            except (TimeoutError, DatabaseSlowError):
                msg = f"the database did not respond within {self.timeout_s:g} s"
                raise DatabaseSlowError(msg) from None
            except asyncpg.UndefinedTableError:
                msg = "the database has no Vigil schema yet; run `vigil-gateway migrate`"
                raise DatabaseAwayError(msg) from None
            except DatabaseAwayError:
                if attempt == ATTEMPTS:
                    raise
        raise AssertionError  # the loop above ends by returning or raising

    async def value(self, query: str, *args: object) -> Any:  # noqa: ANN401 - whatever type the column has
        """Run a query and return the first column of its first row; None without a row."""
        rows = await self.fetch(query, *args)
        return rows[0][0] if rows else None
