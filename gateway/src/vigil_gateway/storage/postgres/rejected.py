"""Messages from the bus that were rejected; some wait for a camera to be registered or a model to be served."""

import datetime as dt
import hashlib
from collections.abc import Collection, Sequence
from typing import Final

from vigil_gateway.storage.postgres.pool import Connection, affected
from vigil_gateway.storage.postgres.rows import WAITING, RejectedRow, WaitingRow

_INSERT: Final = """
    INSERT INTO rejected_events
        (digest, bytes, subject, stream_seq, reason, message, waits_for, payload, received_at, clock_offset_ms)
    VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10) ON CONFLICT (digest) DO NOTHING
"""
_DELETE: Final = "DELETE FROM rejected_events WHERE id = ANY($1::bigint[])"
_PROCESSABLE: Final = f"""
    SELECT {WAITING.select} FROM rejected_events r
    WHERE waits_for IS NOT NULL AND (
        EXISTS (SELECT FROM cameras c
            WHERE r.waits_for = 'camera:' || c.namespace || '/' || c.name AND c.deleted_at IS NULL)
        OR waits_for = ANY($1::text[]))
    ORDER BY id LIMIT $2
"""
_DELETE_OLD: Final = "DELETE FROM rejected_events WHERE received_at < $1"
_DELETE_BEYOND: Final = """
    DELETE FROM rejected_events WHERE id <= (SELECT id FROM rejected_events ORDER BY id DESC OFFSET $1 LIMIT 1)
"""
_DELETE_OF_SUBJECTS: Final = """
    DELETE FROM rejected_events WHERE id IN (
        SELECT r.id FROM rejected_events r JOIN unnest($1::text[], $2::timestamptz[]) AS kept (subject, since)
            ON r.subject = kept.subject AND r.received_at < kept.since
        LIMIT $3)
"""


async def insert(connection: Connection, rows: Sequence[RejectedRow]) -> None:
    """Keep the digest and the reason of each rejected message, once for the same message; the body of those that wait.

    A body that nobody will read again may hold a face, which no erasure would find in it.
    """
    await connection.executemany(
        _INSERT,
        [
            (
                hashlib.sha256(row.subject.encode() + b"\0" + row.payload).digest(),
                len(row.payload),
                _text(row.subject),
                row.stream_seq,
                row.reason,
                _text(row.message),
                _text(row.waits_for) if row.waits_for else None,
                row.payload if row.waits_for else None,
                row.received_at,
                row.clock_offset_ms,
            )
            for row in rows
        ],
    )


async def delete(connection: Connection, ids: Collection[int]) -> None:
    """Delete messages that are being processed after all."""
    if ids:
        await connection.execute(_DELETE, list(ids))


async def processable(connection: Connection, model_ids: Sequence[str], limit: int) -> list[WaitingRow]:
    """Return messages whose camera is registered by now, or whose model is among the known ones."""
    models = [f"model:{model_id}" for model_id in model_ids]
    return WAITING.read_all(await connection.fetch(_PROCESSABLE, models, limit))


async def delete_old(connection: Connection, before: dt.datetime, keep: int) -> None:
    """Delete messages received before a moment, and all but the newest `keep`."""
    await connection.execute(_DELETE_OLD, before)
    await connection.execute(_DELETE_BEYOND, keep)


async def delete_of_subjects(connection: Connection, since: Sequence[tuple[str, dt.datetime]], limit: int) -> int:
    """Delete messages of some subjects on the bus, at most `limit`, and return how many.

    Parameters
    ----------
    since
        Each subject with the moment before which its messages are deleted.
    """
    subjects, moments = [subject for subject, _ in since], [moment for _, moment in since]
    return affected(await connection.execute(_DELETE_OF_SUBJECTS, subjects, moments, limit))


def _text(value: str) -> str:
    """Return text that Postgres accepts, from what anybody may have sent."""
    return value.replace("\0", "\N{REPLACEMENT CHARACTER}").encode("utf-8", "replace").decode()[:2000]
