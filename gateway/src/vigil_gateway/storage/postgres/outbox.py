"""The outbox: events that are committed and not yet published, whatever their type."""

from collections.abc import Sequence
from typing import Final

from vigil_gateway.storage.postgres.pool import Connection
from vigil_gateway.storage.postgres.rows import EVENTS, EventRow, PublishedRow

_TRY_LOCK: Final = "SELECT pg_try_advisory_lock($1)"
_PENDING: Final = f"SELECT {EVENTS.select} FROM events WHERE published_at IS NULL ORDER BY seq LIMIT $1"
_MARK: Final = """
    UPDATE events SET published_at = now(), stream_seq = done.stream_seq
    FROM unnest($1::bigint[], $2::bigint[]) AS done (seq, stream_seq) WHERE events.seq = done.seq
"""
_COUNT: Final = "SELECT count(*) FROM events WHERE published_at IS NULL"
_ANY: Final = "SELECT EXISTS (SELECT FROM events WHERE published_at IS NULL)"

LOCK: Final = 0x7669_6769_6C03
"""Key of the advisory lock of the relay ("vigil", 3)."""


async def try_lock(connection: Connection) -> bool:
    """Return whether this connection holds the lock of the relay, from now until it is closed."""
    taken: bool = await connection.fetchval(_TRY_LOCK, LOCK)
    return taken


async def pending(connection: Connection, limit: int) -> list[EventRow]:
    """Return up to `limit` unpublished events, in order."""
    return EVENTS.read_all(await connection.fetch(_PENDING, limit))


async def mark_published(connection: Connection, rows: Sequence[PublishedRow]) -> None:
    """Record that events were published, and where they are in the stream."""
    await connection.execute(_MARK, [row.seq for row in rows], [row.stream_seq for row in rows])


async def count_pending(connection: Connection) -> int:
    """Return the number of unpublished events."""
    count: int = await connection.fetchval(_COUNT)
    return count


async def has_pending(connection: Connection) -> bool:
    """Return whether any event is unpublished."""
    found: bool = await connection.fetchval(_ANY)
    return found
