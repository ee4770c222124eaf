"""Connections to Postgres: every wait has a deadline, and Postgres need not be there at the start.

The pool opens connections when they are needed, and opens new ones after Postgres was away. Every failure that another
attempt may cure is raised as a DatabaseError, so that callers know nothing of the driver.
"""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from typing import Any, Final

import asyncpg

from vigil_gateway.migrations.check import PoolerError, check_schema
from vigil_gateway.storage.errors import DatabaseAwayError, DatabaseSlowError

Connection = Any
"""asyncpg's, which has no types."""

ACQUIRE_TIMEOUT_S: Final = 5.0
"""For a connection from the pool, opening it included."""

STATEMENT_TIMEOUT_S: Final = 10.0
"""For one statement, here and in Postgres, so that it does not continue when nobody waits."""

IDLE_IN_TRANSACTION_S: Final = 60.0
"""After which Postgres itself ends a transaction whose program was stopped or cut off, and frees its locks."""

TRANSIENT: Final = (
    OSError,
    asyncpg.PostgresConnectionError,
    asyncpg.InterfaceError,
    asyncpg.InternalClientError,
    asyncpg.OperatorInterventionError,
    asyncpg.InsufficientResourcesError,
    asyncpg.TransactionRollbackError,
    asyncpg.LockNotAvailableError,
    asyncpg.PostgresIOError,
    asyncpg.CannotConnectNowError,
    asyncpg.InvalidCatalogNameError,
    asyncpg.ReadOnlySQLTransactionError,
    asyncpg.InvalidAuthorizationSpecificationError,
)
"""Another attempt may help: Postgres is away, starting, full or failing over; a deadlock; a password being changed."""

REFUSED_VALUE: Final = (
    asyncpg.DataError,
    asyncpg.IntegrityConstraintViolationError,
    asyncpg.ProgramLimitExceededError,
    ValueError,
    OverflowError,
)
"""A value cannot be stored; another attempt would not help."""

UNSTORABLE: Final = (asyncpg.DataError, asyncpg.ProgramLimitExceededError, OverflowError, UnicodeError)
"""Those of them that only the value itself can cause."""

SET_CONFIG: Final = "SELECT set_config(name, value, false) FROM unnest($1::text[], $2::text[]) AS given (name, value)"
SESSION: Final = "SELECT pg_backend_pid()"

POOLED: Final = (asyncpg.InvalidSQLStatementNameError, asyncpg.DuplicatePreparedStatementError)
"""A prepared statement is not where it was made: a pooler lends the server's sessions out between transactions."""

POOLER: Final = (
    "the database is reached through a pooler in transaction mode, which loses prepared statements and session locks; "
    "use the pooler's session mode (PgBouncer: pool_mode = session), or the address of Postgres itself"
)

_SLOW: Final = (TimeoutError, asyncpg.QueryCanceledError)


@contextmanager
def storage_errors() -> Iterator[None]:
    """Raise the driver's transient errors as DatabaseAwayError and DatabaseSlowError."""
    try:
        yield
    except _SLOW as error:
        msg = f"the database did not respond in time ({type(error).__name__}: {error}); check its load"
        raise DatabaseSlowError(msg) from error
    except POOLED as error:
        raise DatabaseAwayError(POOLER) from error
    except ValueError:
        raise  # the driver refuses an invalid value with an InterfaceError that is also this
    except TRANSIENT as error:
        msg = f"the database is away ({type(error).__name__}: {error}); check that Postgres runs"
        raise DatabaseAwayError(msg) from error


async def _nothing_to_reset(_connection: object) -> None:
    """Spare a round trip: nothing that the pool's connections do leaves session state behind."""


class Database:
    """A pool of connections.

    Parameters
    ----------
    url
        `postgresql://…`, a unix socket included.
    name
        The name of the connections in pg_stat_activity.
    connections
        At most.
    statement_s
        Seconds for one statement, after which Postgres ends it.
    """

    def __init__(self, url: str, name: str, connections: int = 10, statement_s: float = STATEMENT_TIMEOUT_S) -> None:
        self._url = url
        self._name = name
        self._connections = connections
        self._statement_s = statement_s
        self._pool: Any = None

    async def open(self) -> None:
        """Make the pool, which connects to nothing yet."""
        self._pool = await asyncpg.create_pool(
            self._url,
            min_size=0,
            max_size=self._connections,
            timeout=ACQUIRE_TIMEOUT_S,
            command_timeout=self._statement_s,
            server_settings={"application_name": self._name},
            init=self._set_limits,
            reset=_nothing_to_reset,
        )

    async def _set_limits(self, connection: Connection) -> None:
        """Set the limits of a session; as parameters of its start, PgBouncer refuses them."""
        settings = {
            "statement_timeout": str(int(self._statement_s * 1000)),
            "idle_in_transaction_session_timeout": str(int(IDLE_IN_TRANSACTION_S * 1000)),
            # A program whose machine vanished keeps its locks no longer than this; the default is two hours.
            "tcp_keepalives_idle": "5",
            "tcp_keepalives_interval": "5",
            "tcp_keepalives_count": "3",
        }
        await connection.fetch(SET_CONFIG, list(settings), list(settings.values()))

    async def check_schema(self) -> None:
        """Compare the schema with this program's; raises as `connection`, SchemaError, and PoolerError."""
        async with self.connection() as connection:
            await self._check_pooler(connection)
            await check_schema(connection)

    async def _check_pooler(self, connection: Connection) -> None:
        """Raise PoolerError when two connections at a time have the same session of Postgres."""
        own = await connection.fetchval(SESSION)
        if own == connection.get_server_pid():
            return  # no pooler: the process that greeted is the one that answers
        async with self.dedicated() as other:
            if await other.fetchval(SESSION) == own:
                raise PoolerError(POOLER)

    async def close(self) -> None:
        """Close all connections, at once."""
        if self._pool is not None:
            self._pool.terminate()
            self._pool = None

    @asynccontextmanager
    async def connection(self) -> AsyncIterator[Connection]:
        """Lend a connection.

        Raises
        ------
        DatabaseAwayError, DatabaseSlowError
            No connection, or what was done with it failed in a way that another attempt may cure.
        """
        with storage_errors():
            async with self._pool.acquire(timeout=ACQUIRE_TIMEOUT_S) as connection:
                yield connection

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[Connection]:
        """Lend a connection with an open transaction, which is committed at the end; raises as `connection`."""
        async with self.connection() as connection, connection.transaction():
            yield connection

    async def fetch(self, query: str, *args: object) -> list[Any]:
        """Return the rows of one query; raises as `connection`."""
        async with self.connection() as connection:
            rows: list[Any] = await connection.fetch(query, *args)
            return rows

    async def ping(self) -> None:
        """Raise as `connection` unless Postgres answers."""
        async with self.connection() as connection:
            await connection.fetchval("SELECT 1")

    @asynccontextmanager
    async def dedicated(self) -> AsyncIterator[Connection]:
        """Lend a connection outside the pool, for session locks and LISTEN; connecting raises as `connection`."""
        with storage_errors():
            async with asyncio.timeout(ACQUIRE_TIMEOUT_S):
                connection = await asyncpg.connect(
                    self._url, command_timeout=self._statement_s, server_settings={"application_name": self._name}
                )
                await self._set_limits(connection)
        try:
            yield connection
        finally:
            with suppress(asyncpg.PostgresError, asyncpg.InterfaceError, OSError, TimeoutError):
                await connection.close(timeout=1)


def affected(status: str) -> int:
    """Return the number of rows in the status of a statement, such as `UPDATE 12`."""
    return int(status.rpartition(" ")[2])
