"""Bring the gallery to what Postgres holds; cheap when they agree, because the id of a point names its content."""

import uuid
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Final

import numpy as np
import structlog

from vigil_gateway.storage.postgres import embeddings
from vigil_gateway.storage.postgres.pool import Connection, Database
from vigil_gateway.storage.postgres.resource_rows import EmbeddingDigestRow
from vigil_gateway.storage.qdrant.gallery import Entry, Gallery, point_id

log = structlog.get_logger(__name__)

PAGE: Final = 1_000


async def reconcile(
    database: Database, gallery: Gallery, model_id: str, subject_id: uuid.UUID | None = None
) -> tuple[int, int]:
    """Add embeddings that are missing, discard those that do not belong, and return both counts.

    A difference may be a change under way. So each page is compared again while there is none.

    Parameters
    ----------
    subject_id
        Compare this Subject only; None: all.

    Raises
    ------
    DatabaseError, GalleryError
        A store is away; another call goes on where this one stopped.
    """
    async with database.connection() as connection:
        wanted = await _wanted(connection, model_id, subject_id)
    there = await gallery.points(model_id, subject_id)
    added = removed = 0
    surplus = sorted(there - wanted.keys())
    for start in range(0, len(surplus), PAGE):
        async with unchanging(database) as connection:
            still = await _wanted(connection, model_id, subject_id)
            page = [point for point in surplus[start : start + PAGE] if point not in still]
            await gallery.discard(model_id, page)
        removed += len(page)
    missing = [wanted[point] for point in sorted(wanted.keys() - there)]
    for start in range(0, len(missing), PAGE):
        async with unchanging(database) as connection:
            entries = await _entries(connection, model_id, missing[start : start + PAGE])
            await gallery.put(model_id, entries)
        added += len(entries)
    if added or removed:
        log.info("gallery brought up to date", model=model_id, added=added, removed=removed)
    return added, removed


@asynccontextmanager
async def unchanging(database: Database) -> AsyncIterator[Connection]:
    """Lend a connection while nobody changes the gallery: every change is committed or rolled back."""
    async with database.transaction() as connection:
        await embeddings.lock_gallery(connection)
        yield connection


async def _wanted(
    connection: Connection, model_id: str, subject_id: uuid.UUID | None
) -> dict[uuid.UUID, EmbeddingDigestRow]:
    """Return what the gallery has to hold, by the id of its point."""
    rows = await embeddings.digests(connection, model_id, subject_id)
    return {point_id(row.subject_id, row.photo, row.digest): row for row in rows}


async def _entries(connection: Connection, model_id: str, rows: Sequence[EmbeddingDigestRow]) -> list[Entry]:
    """Return the embeddings of those of the rows that still exist."""
    found = await embeddings.existing(connection, model_id, rows)
    return [Entry(row.subject_id, row.photo, np.frombuffer(row.vector, "<f4")) for row in found]
