"""Monthly partitions of what was seen, made when they are needed.

A new table is attached instead of created in place: that takes a lock under which others go on reading and writing.
"""

import datetime as dt
from collections.abc import Iterable
from typing import Any, Final

PARTITIONED: Final = ("sightings", "sighting_revisions", "matches")

LOCK: Final = 0x7669_6769_6C02
"""Key of the advisory lock under which partitions are made ("vigil", 2)."""


def month_of(at: dt.datetime) -> dt.date:
    """Give the first day of the month, in UTC, in which a moment lies."""
    return at.astimezone(dt.UTC).date().replace(day=1)


def following(month: dt.date) -> dt.date:
    """Give the first day of the next month."""
    return (month + dt.timedelta(days=32)).replace(day=1)


async def ensure(connection: Any, months: Iterable[dt.date]) -> None:  # noqa: ANN401 - asyncpg has no types
    """Make the partitions of these months unless they are there; several programs may try at once.

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
"""Not to_regclass: within a transaction it answers from a cache that does not know what others have just made."""


async def _missing(connection: Any, month: dt.date) -> list[str]:  # noqa: ANN401 - asyncpg has no types
    rows = await connection.fetch(_MISSING, list(PARTITIONED), _suffix(month))
    return [row["parent"] for row in rows]


async def _attach(connection: Any, parent: str, month: dt.date) -> None:  # noqa: ANN401 - asyncpg has no types
    name, start, end = parent + _suffix(month), f"{month}T00:00:00Z", f"{following(month)}T00:00:00Z"
    await connection.execute(f"CREATE TABLE {name} (LIKE {parent} INCLUDING ALL)")
    await connection.execute(f"ALTER TABLE {parent} ATTACH PARTITION {name} FOR VALUES FROM ('{start}') TO ('{end}')")


def _suffix(month: dt.date) -> str:
    return f"_{month:%Y_%m}"
