"""What has to be done now and then: partitions ahead of time, and bounds on what is set aside."""

import asyncio
import datetime as dt
from typing import Final

import structlog

from vigil_gateway.storage.errors import DatabaseError
from vigil_gateway.storage.postgres import partitions
from vigil_gateway.storage.postgres.pool import Database

log = structlog.get_logger(__name__)

EVERY_S: Final = 3600.0
AGAIN_S: Final = 10.0
KEEP_REJECTED: Final = dt.timedelta(days=30)
MAX_REJECTED: Final = 100_000
"""Rows; those that came first go first. At most 256 KiB each, mostly a few."""

_BY_AGE: Final = "DELETE FROM rejected_events WHERE received_at < $1"
_BY_COUNT: Final = """
    DELETE FROM rejected_events WHERE id <= (SELECT id FROM rejected_events ORDER BY id DESC OFFSET $1 LIMIT 1)
"""


async def keep_house(database: Database) -> None:
    """Make this month's and the next month's partitions, and drop what was set aside too long ago."""
    now = dt.datetime.now(dt.UTC)
    month = partitions.month_of(now)
    async with database.connection() as connection:
        await partitions.ensure(connection, [month, partitions.following(month)])
        await connection.execute(_BY_AGE, now - KEEP_REJECTED)
        await connection.execute(_BY_COUNT, MAX_REJECTED)


async def run(database: Database) -> None:
    """Do it every hour until cancelled."""
    while True:
        try:
            await keep_house(database)
        except DatabaseError as error:
            log.debug("housekeeping put off", reason=str(error))
            await asyncio.sleep(AGAIN_S)
            continue
        await asyncio.sleep(EVERY_S)
