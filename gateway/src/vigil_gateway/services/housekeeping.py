"""Periodic upkeep of the database: partitions ahead of time, and bounds on rejected messages and receipts."""

import asyncio
import datetime as dt
from typing import Final

import structlog

from vigil_gateway.principal import Permission, Principal
from vigil_gateway.storage.errors import DatabaseError
from vigil_gateway.storage.postgres import erasures, partitions, rejected
from vigil_gateway.storage.postgres.pool import Database

log = structlog.get_logger(__name__)

EVERY_S: Final = 3600.0
RETRY_S: Final = 10.0
KEEP_REJECTED: Final = dt.timedelta(days=30)
KEEP_RECEIPTS: Final = dt.timedelta(days=3653)
"""Ten years, by when a receipt has served as proof and every backup from before the erasure is gone."""

MAX_REJECTED: Final = 100_000
"""Rows; the oldest are deleted first. At most 256 KiB each, mostly a few."""


async def do_upkeep(principal: Principal, database: Database) -> None:
    """Make the partitions of this month and the next, and delete what is old; raises DatabaseError."""
    principal.require(Permission.DELETE_SIGHTINGS)
    now = dt.datetime.now(dt.UTC)
    month = partitions.month_of(now)
    async with database.connection() as connection:
        await partitions.ensure(connection, [month, partitions.following(month)])
        await rejected.delete_old(connection, now - KEEP_REJECTED, MAX_REJECTED)
        await erasures.delete_old(connection, now - KEEP_RECEIPTS)


async def run(principal: Principal, database: Database) -> None:
    """Do the upkeep every hour until cancelled."""
    while True:
        try:
            await do_upkeep(principal, database)
        except DatabaseError as error:
            log.debug("housekeeping postponed", reason=str(error))
            await asyncio.sleep(RETRY_S)
            continue
        await asyncio.sleep(EVERY_S)
