"""Migration of a database to this program's schema; several processes may do so at once."""

import asyncio
from pathlib import Path
from typing import Final

import asyncpg
from alembic import command
from alembic.config import Config
from alembic.util import CommandError
from sqlalchemy import Connection, text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine
from sqlalchemy.pool import NullPool

from vigil_gateway.migrations.check import SUPPORT, SUPPORT_TABLE, TABLE, VERSION, revisions, serves

LOCK: Final = 0x7669_6769_6C01
"""Key of the advisory lock under which migrations run ("vigil", 1)."""

WAIT_FOR_LOCK_S: Final = 300
CONNECT_TIMEOUT_S: Final = 10


class MigrationError(Exception):
    """The database could not be migrated; the message has the cause and the remedy."""


def config() -> Config:
    """Return alembic's configuration for this package's steps."""
    found = Config()
    found.set_main_option("script_location", str(Path(__file__).parent).replace("%", "%%"))
    return found


async def upgrade(database_url: str) -> str:
    """Take all missing steps, in one transaction, and return the newest one.

    A later schema that still serves this program stays, as after an upgrade that was rolled back.

    Parameters
    ----------
    database_url
        `postgresql://…`, a unix socket included.

    Raises
    ------
    MigrationError
        Postgres cannot be reached, another migration holds the lock for too long, or the database is newer.
    """
    engine = new_engine(database_url)
    try:
        async with asyncio.timeout(WAIT_FOR_LOCK_S + 60), engine.begin() as connection:
            return await connection.run_sync(_upgrade)
    except CommandError as error:
        msg = f"the database has steps that this program does not know ({error}); use the newer program"
        raise MigrationError(msg) from error
    except (TimeoutError, DBAPIError, asyncpg.PostgresError, asyncpg.InterfaceError, OSError) as error:
        msg = f"migration failed ({type(error).__name__}: {error}); correct the cause and run it again"
        raise MigrationError(msg) from error
    finally:
        await engine.dispose()


def new_engine(database_url: str) -> AsyncEngine:
    """Return an engine; asyncpg receives the address unchanged, since SQLAlchemy reads unix sockets unlike libpq."""

    async def connect() -> asyncpg.Connection:
        return await asyncpg.connect(database_url, timeout=CONNECT_TIMEOUT_S)

    return create_async_engine("postgresql+asyncpg://", async_creator=connect, poolclass=NullPool)


def _upgrade(connection: Connection) -> str:
    connection.execute(text(f"SET LOCAL lock_timeout = '{WAIT_FOR_LOCK_S}s'"))
    connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": LOCK})
    later = _later(connection)
    if later is not None:
        return later
    settings = config()
    settings.attributes["connection"] = connection
    command.upgrade(settings, "head")
    return revisions()[-1]


def _later(connection: Connection) -> str | None:
    """Return the schema's newest step when it is later than this program's and still serves it."""
    if not (connection.scalar(text(TABLE)) and connection.scalar(text(SUPPORT_TABLE))):
        return None
    found = connection.scalar(text(VERSION))
    return str(found) if found and serves(str(found), connection.scalar(text(SUPPORT))) else None
