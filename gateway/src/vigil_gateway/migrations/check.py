"""The check that the database has the schema of this program; without alembic, which costs 25 MiB of memory."""

from pathlib import Path
from typing import Any, Final

import asyncpg

TABLE: Final = "SELECT to_regclass('alembic_version') IS NOT NULL"
VERSION: Final = "SELECT version_num FROM alembic_version"
SUPPORT_TABLE: Final = "SELECT to_regclass('schema_support') IS NOT NULL"
SUPPORT: Final = "SELECT oldest FROM schema_support"


class SchemaError(Exception):
    """The database is older or newer than this program; the message says what to do."""


class PoolerError(SchemaError):
    """The database is reached in a way in which this program cannot use it; the message says what to do."""


def revisions() -> list[str]:
    """Return the steps that this program knows, the oldest first; a step's file name begins with its revision."""
    steps = (Path(__file__).parent / "versions").glob("[0-9]*.py")
    return sorted(step.name.partition("_")[0] for step in steps)


async def check_schema(connection: Any) -> None:  # noqa: ANN401 - asyncpg has no types
    """Raise SchemaError unless the schema is this program's, or a later one that still serves it.

    Parameters
    ----------
    connection
        Of asyncpg, or its pool.
    """
    known = revisions()
    found = await _found(connection)
    if found == known[-1] or (found is not None and serves(found, await _oldest(connection))):
        return
    if found is None:
        msg = f"the database has no Vigil schema yet (this program needs {known[-1]}); run `vigil-gateway migrate`"
    elif found in known:
        msg = f"the database's schema is {found}, older than this program's {known[-1]}; run `vigil-gateway migrate`"
    else:
        msg = f"the database's schema {found} is newer than this program, which knows {known[-1]}; upgrade the program"
    raise SchemaError(msg)


def serves(found: str, oldest: str | None) -> bool:
    """Return whether a schema is later than this program's and declares that this program may run on it.

    Parameters
    ----------
    found
        The schema's newest step.
    oldest
        The oldest step whose programs may run on it, as the database declares; None when it does not.
    """
    known = revisions()
    return found not in known and oldest is not None and oldest <= known[-1] < found


async def _oldest(connection: Any) -> str | None:  # noqa: ANN401 - asyncpg has no types
    if not await connection.fetchval(SUPPORT_TABLE):
        return None
    found: str | None = await connection.fetchval(SUPPORT)
    return found


async def _found(connection: Any) -> str | None:  # noqa: ANN401 - asyncpg has no types
    if not await connection.fetchval(TABLE):
        return None
    try:
        found: str | None = await connection.fetchval(VERSION)
    except asyncpg.UndefinedTableError:  # dropped between the two questions
        return None
    return found
