"""Which sighting events of each journal were processed, as the last position and the ranges missing before it."""

import datetime as dt
from collections.abc import Sequence
from typing import Final

from vigil_contracts.ids import ResourceKey
from vigil_gateway.storage.postgres.pool import Connection
from vigil_gateway.storage.postgres.rows import MISSING, MissingRow

_NOTE: Final = """
    INSERT INTO journal_positions AS known (camera_namespace, camera_name, epoch, last, missing)
    VALUES ($1, $2, $3, $4, int8multirange(int8range(1, $4, '[]')) - $5::text::int8multirange)
    ON CONFLICT (camera_namespace, camera_name, epoch) DO UPDATE SET
        last = greatest(known.last, excluded.last),
        missing = known.missing - $5::text::int8multirange
            + CASE WHEN excluded.last > known.last
                THEN int8multirange(int8range(known.last + 1, excluded.last, '[]')) - $5::text::int8multirange
                ELSE '{}' END,
        noted_at = now()
"""
_SIZE: Final = "SELECT coalesce(sum(upper(one) - lower(one)), 0)::bigint FROM unnest({}) AS one"
_COUNT: Final = f"SELECT coalesce(sum(({_SIZE.format('missing')})), 0)::bigint FROM journal_positions"
_CHECK: Final = f"""
    WITH due AS (
        SELECT camera_namespace, camera_name, epoch, missing, missing * suspected AS lasting,
            missing * suspected - reported AS fresh
        FROM journal_positions
        WHERE checked_at < $1 AND NOT (isempty(missing) AND isempty(suspected))
        ORDER BY checked_at LIMIT $2 FOR UPDATE SKIP LOCKED
    ), checked AS (
        UPDATE journal_positions p
        SET suspected = due.missing, reported = p.reported + due.lasting, checked_at = now()
        FROM due
        WHERE (p.camera_namespace, p.camera_name, p.epoch) = (due.camera_namespace, due.camera_name, due.epoch)
    )
    SELECT {MISSING.select} FROM due WHERE NOT isempty(fresh) ORDER BY camera_namespace, camera_name, epoch
"""
_FORGET: Final = "DELETE FROM journal_positions WHERE noted_at < $1"


async def note(connection: Connection, camera: ResourceKey, epoch: str, numbers: Sequence[int]) -> None:
    """Record positions as processed, in any order and however often."""
    seen = "{" + ",".join(f"[{number},{number}]" for number in numbers) + "}"
    await connection.execute(_NOTE, camera.namespace, camera.name, epoch, max(numbers), seen)


async def count_missing(connection: Connection) -> int:
    """Return how many events are missing now, over all journals."""
    return int(await connection.fetchval(_COUNT))


async def check(connection: Connection, before: dt.datetime, limit: int) -> list[MissingRow]:
    """Check journals that were not checked since a moment; return what is missing for the second time, each once."""
    return MISSING.read_all(await connection.fetch(_CHECK, before, limit))


async def forget(connection: Connection, before: dt.datetime) -> None:
    """Delete what is known of journals from which nothing has come since a moment."""
    await connection.execute(_FORGET, before)
