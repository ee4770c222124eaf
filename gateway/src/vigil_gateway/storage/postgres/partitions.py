"""Monthly partitions of the tables of sightings, made when they are needed.

A new table is attached instead of created in place, because that lock lets others read and write.
"""

import datetime as dt
from collections.abc import Iterable
from typing import Final

from vigil_gateway.storage.postgres.pool import Connection

PARTITIONED: Final = ("sightings", "sighting_revisions", "matches")

LOCK: Final = 0x7669_6769_6C02
"""Key of the advisory lock under which partitions are made ("vigil", 2)."""


def month_of(at: dt.datetime) -> dt.date:
    """Return the first day of the month, in UTC, of a moment."""
    return at.astimezone(dt.UTC).date().replace(day=1)


def following(month: dt.date) -> dt.date:
    """Return the first day of the next month."""
    return (month + dt.timedelta(days=32)).replace(day=1)


async def ensure(connection: Connection, months: Iterable[dt.date]) -> None:
    """Make the partitions of these months that are missing; several programs may do so at once.

    Parameters
    ----------
    connection
        Of asyncpg, outside a transaction.
    months
        First days.
    """
    for month in sorted(set(months)):
        if not await _missing(connection, month):
            continue
        async with connection.transaction():
            await connection.execute("SELECT pg_advisory_xact_lock($1)", LOCK)
            for parent in await _missing(connection, month):
                await _attach(connection, parent, month)


_MISSING: Final = """
    SELECT parent FROM unnest($1::text[]) AS parent WHERE NOT EXISTS (
        SELECT FROM pg_class WHERE relname = parent || $2 AND relnamespace = current_schema()::regnamespace)
"""
"""Not to_regclass: within a transaction it reads a cache without the tables that others have just made."""


async def _missing(connection: Connection, month: dt.date) -> list[str]:
    rows = await connection.fetch(_MISSING, list(PARTITIONED), _suffix(month))
    return [row["parent"] for row in rows]


async def _attach(connection: Connection, parent: str, month: dt.date) -> None:
    name, start, end = parent + _suffix(month), f"{month}T00:00:00Z", f"{following(month)}T00:00:00Z"
    await connection.execute(f"CREATE TABLE {name} (LIKE {parent} INCLUDING ALL)")
    await connection.execute(f"ALTER TABLE {parent} ATTACH PARTITION {name} FOR VALUES FROM ('{start}') TO ('{end}')")


def _suffix(month: dt.date) -> str:
    return f"_{month:%Y_%m}"
