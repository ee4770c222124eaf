"""Bring the index to what Postgres says; cheap when they agree, because a point's id says what it holds."""

import uuid
from typing import Final

import numpy as np
import structlog

from vigil_gateway.storage.postgres.pool import Database
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

    Parameters
    ----------
    subject_id
        Only this Subject's; all when None.

    Raises
    ------
    DatabaseError, GalleryError
        One of them is away; trying again goes on where it stopped.
    """
    rows = await database.fetch(_DIGESTS, model_id, subject_id)
    wanted = {point_id(row["subject_id"], row["photo"], row["digest"]): row for row in rows}
    there = await gallery.points(model_id, subject_id)
    surplus = sorted(there - wanted.keys())
    for start in range(0, len(surplus), PAGE):
        await gallery.discard(model_id, surplus[start : start + PAGE])
    missing = [wanted[point] for point in sorted(wanted.keys() - there)]
    for start in range(0, len(missing), PAGE):
        page = missing[start : start + PAGE]
        found = await database.fetch(
            _VECTORS, model_id, [row["subject_id"] for row in page], [row["photo"] for row in page]
        )
        entries = [Entry(row["subject_id"], row["photo"], np.frombuffer(row["vector"], "<f4")) for row in found]
        await gallery.put(model_id, entries)
    if surplus or missing:
        log.info("gallery brought up to date", model=model_id, added=len(missing), removed=len(surplus))
    return len(missing), len(surplus)
