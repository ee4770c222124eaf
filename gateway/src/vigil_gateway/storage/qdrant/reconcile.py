"""Bring the index to what Postgres says; cheap when they agree, because a point's id says what it holds."""

import uuid
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any, Final

import numpy as np
import structlog

from vigil_gateway.storage.postgres.pool import Database
from vigil_gateway.storage.postgres.register import Connection, lock_gallery
from vigil_gateway.storage.qdrant.gallery import Entry, Gallery, point_id

log = structlog.get_logger(__name__)

PAGE: Final = 1_000

_DIGESTS: Final = """
    SELECT subject_id, photo, encode(sha256(vector), 'hex') AS digest FROM subject_embeddings
    WHERE model_id = $1 AND ($2::uuid IS NULL OR subject_id = $2)
"""
_VECTORS: Final = """
    SELECT e.subject_id, e.photo, e.vector FROM subject_embeddings e
    JOIN unnest($2::uuid[], $3::text[]) AS wanted (subject_id, photo) USING (subject_id, photo) WHERE e.model_id = $1
"""


async def reconcile(
    database: Database, gallery: Gallery, model_id: str, subject_id: uuid.UUID | None = None
) -> tuple[int, int]:
    """Add what is missing and take out what does not belong; gives both counts.

    What differs at first sight may be a change under way. So it is looked at again, page by page, while there is none.

    Parameters
    ----------
    subject_id
        Only this Subject's; all when None.

    Raises
    ------
    DatabaseError, GalleryError
        One of them is away; trying again goes on where it stopped.
    """
    async with database.connection() as connection:
        wanted = await _wanted(connection, model_id, subject_id)
    there = await gallery.points(model_id, subject_id)
    added = removed = 0
    surplus = sorted(there - wanted.keys())
    for start in range(0, len(surplus), PAGE):
        async with _settled(database) as connection:
            still = await _wanted(connection, model_id, subject_id)
            page = [point for point in surplus[start : start + PAGE] if point not in still]
            await gallery.discard(model_id, page)
        removed += len(page)
    missing = [wanted[point] for point in sorted(wanted.keys() - there)]
    for start in range(0, len(missing), PAGE):
        async with _settled(database) as connection:
            entries = await _entries(connection, model_id, missing[start : start + PAGE])
            await gallery.put(model_id, entries)
        added += len(entries)
    if added or removed:
        log.info("gallery brought up to date", model=model_id, added=added, removed=removed)
    return added, removed


@asynccontextmanager
async def _settled(database: Database) -> AsyncIterator[Any]:
    """Lend a connection while nobody changes the gallery: all of it is committed, or was given up."""
    async with database.transaction() as connection:
        await lock_gallery(connection)
        yield connection


async def _wanted(connection: Connection, model_id: str, subject_id: uuid.UUID | None) -> dict[uuid.UUID, Any]:
    """Give what the gallery has to hold, by the point's id."""
    rows = await connection.fetch(_DIGESTS, model_id, subject_id)
    return {point_id(row["subject_id"], row["photo"], row["digest"]): row for row in rows}


async def _entries(connection: Connection, model_id: str, rows: Sequence[Any]) -> list[Entry]:
    """Read the embeddings of those of the rows that are still there."""
    subjects, photos = [row["subject_id"] for row in rows], [row["photo"] for row in rows]
    found = await connection.fetch(_VECTORS, model_id, subjects, photos)
    return [Entry(row["subject_id"], row["photo"], np.frombuffer(row["vector"], "<f4")) for row in found]
