"""Is the database's schema the one this program was written for. Without alembic, which costs 25 MiB of memory."""

from pathlib import Path
from typing import Any, Final

import asyncpg

_TABLE: Final = "SELECT to_regclass('alembic_version') IS NOT NULL"


class SchemaError(Exception):
    """The database is older or newer than this program; the text says what to do."""


def revisions() -> list[str]:
    """List the steps that this program knows, the oldest first; a step's file name begins with its revision."""
    steps = (Path(__file__).parent / "versions").glob("[0-9]*.py")
    return sorted(step.name.partition("_")[0] for step in steps)


async def check_schema(connection: Any) -> None:  # noqa: ANN401 - asyncpg has no types
    """Compare; raises SchemaError when they differ.

    Parameters
    ----------
    connection
        Of asyncpg, or its pool.
    """
    known = revisions()
    found = await _found(connection)
    if found == known[-1]:
        return
    if found is None:
        msg = f"the database has no Vigil schema yet (this program needs {known[-1]}); run `vigil-gateway migrate`"
    elif found in known:
        msg = f"the database's schema is {found}, older than this program's {known[-1]}; run `vigil-gateway migrate`"
    else:
        msg = f"the database's schema {found} is newer than this program, which knows {known[-1]}; upgrade the program"
    raise SchemaError(msg)


async def _found(connection: Any) -> str | None:  # noqa: ANN401 - asyncpg has no types
    if not await connection.fetchval(_TABLE):
        return None
    try:
        found: str | None = await connection.fetchval("SELECT version_num FROM alembic_version")
    except asyncpg.UndefinedTableError:  # dropped between the two questions
        return None
    return found
