"""Remove what Postgres leaves of deleted and changed rows in its files.

A deleted row stays in its page until VACUUM, and its bytes stay in the free space of the page even then. Only a table
that is written anew (VACUUM FULL) holds none of them; that locks the table, for about a second at `MAX_REWRITTEN`.
Statistics for the planner hold frequent values of columns, names among them, so they are made and written anew too.
"""

import asyncio
from collections.abc import Collection
from typing import Final

import structlog

from vigil_gateway.storage.postgres.pool import SET_CONFIG, Database

MAX_REWRITTEN: Final = 128 << 20
"""Bytes of a table with its indexes up to which it is written anew; a larger one would stop identity for too long."""

LOCK_TIMEOUT_MS: Final = 3_000
"""For the lock of one table: queries that come meanwhile wait behind it."""

_TABLES: Final = """
    SELECT format('%I.%I', n.nspname, c.relname) AS name, pg_total_relation_size(c.oid) AS bytes
    FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
    WHERE c.relkind = 'r' AND (c.oid = 'pg_catalog.pg_statistic'::regclass OR n.nspname = current_schema() AND (
        c.relname = ANY($1) OR EXISTS (
            SELECT FROM pg_inherits i JOIN pg_class parent ON parent.oid = i.inhparent
            WHERE i.inhrelid = c.oid AND parent.relname = ANY($1))))
    ORDER BY c.oid = 'pg_catalog.pg_statistic'::regclass, c.relname
"""
"""Those of the given names and their partitions, the statistics last."""

_REWRITE: Final = "VACUUM (FULL, ANALYZE) {name}"

log = structlog.get_logger(__name__)


async def remove(database: Database, tables: Collection[str], done: set[str], seconds: float) -> bool:
    """Write tables anew and return whether all are, those left out that are too large for it.

    What a transaction that is older than this call can still see stays until a later call.

    Parameters
    ----------
    done
        Tables that an earlier call wrote; this one adds those that it writes.
    seconds
        After which no further table is begun.

    Raises
    ------
    DatabaseError
        A table is in use for longer than `LOCK_TIMEOUT_MS`, or Postgres is away; another call goes on.
    """
    clock = asyncio.get_running_loop().time
    end = clock() + seconds
    async with database.connection() as connection:
        found = await connection.fetch(_TABLES, list(tables))
    async with database.dedicated() as connection:
        await connection.fetch(SET_CONFIG, ["lock_timeout"], [str(LOCK_TIMEOUT_MS)])
        for row in found:
            if row["name"] in done:
                continue
            if clock() > end:
                return False
            if row["bytes"] > MAX_REWRITTEN:
                log.warning("table too large to be written anew; see docs/privacy.md", table=row["name"])
            else:
                await connection.execute(_REWRITE.format(name=row["name"]))
            done.add(row["name"])
    return True
