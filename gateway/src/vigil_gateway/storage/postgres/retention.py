"""Deletion of sightings whose retention has ended, a bounded number of rows at a time."""

import datetime as dt
from typing import Final

from vigil_contracts.ids import ResourceKey
from vigil_gateway.storage.postgres import event_log, sightings
from vigil_gateway.storage.postgres.pool import Connection, affected
from vigil_gateway.storage.postgres.resource_rows import RETENTIONS, RetentionRow

AHEAD: Final = dt.timedelta(days=1)
"""How far ahead a sighting may have opened; since step 0014 identity bounds it by the clock of the bus."""

_CAMERAS: Final = f"""
    SELECT {RETENTIONS.select}
    FROM cameras c LEFT JOIN sites s
        ON s.namespace = c.namespace AND s.name = coalesce(c.resource #>> '{{spec,siteRef,name}}', c.site)
    ORDER BY c.namespace, c.name
"""
_TRY_TURN: Final = "SELECT pg_try_advisory_xact_lock($1)"
TURN: Final = 0x7669_6769_6C04
"""Key of the advisory lock under which rows are deleted ("vigil", 4)."""

_CHOOSE: Final = """
    SELECT opened_at, id FROM sightings
    WHERE camera_namespace = $1 AND camera_name = $2 AND opened_at < $4 AND least(last_seen_at, decided_at) < $3
    ORDER BY opened_at LIMIT $5
"""
_SIGHTINGS: Final = """
    DELETE FROM sightings s USING unnest($1::timestamptz[], $2::uuid[]) AS chosen (opened_at, id)
    WHERE s.opened_at = chosen.opened_at AND s.id = chosen.id AND least(s.last_seen_at, s.decided_at) < $3
    RETURNING s.opened_at, s.id
"""
_WITH_SIGHTING: Final = """
    DELETE FROM {table} t USING unnest($1::timestamptz[], $2::uuid[]) AS gone (opened_at, id)
    WHERE t.opened_at = gone.opened_at AND t.sighting_id = gone.id
"""
_EVENTS: Final = "DELETE FROM events WHERE sighting_id = ANY($1::uuid[])"


async def retentions(connection: Connection) -> list[RetentionRow]:
    """Return the retention of every camera, removed ones included, and of its Site."""
    return RETENTIONS.read_all(await connection.fetch(_CAMERAS))


async def delete_sightings(
    connection: Connection, camera: ResourceKey, before: dt.datetime, limit: int
) -> dict[str, int] | None:
    """Delete a camera's sightings that ended before a moment, at most `limit`, with all that belongs to them.

    Parameters
    ----------
    connection
        With an open transaction.

    Returns
    -------
    Deleted rows by table; None while another process deletes.
    """
    if not await connection.fetchval(_TRY_TURN, TURN):
        return None
    chosen = await connection.fetch(_CHOOSE, *camera, before, before + AHEAD, limit)
    if not chosen:
        return {}
    # A revision that comes late takes the same lock; what is deleted here is then all of it.
    await sightings.lock(connection, {row["id"] for row in chosen})
    gone = await connection.fetch(
        _SIGHTINGS, [row["opened_at"] for row in chosen], [row["id"] for row in chosen], before
    )
    moments, ids = [row["opened_at"] for row in gone], [row["id"] for row in gone]
    counts = {"sightings": len(gone)}
    for table in ("sighting_revisions", "matches"):
        status = await connection.execute(_WITH_SIGHTING.format(table=table), moments, ids)
        counts[table] = affected(status)
    counts["events"] = affected(await connection.execute(_EVENTS, ids))
    await event_log.count_rewrite(connection)
    return counts
