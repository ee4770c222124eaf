"""The embeddings of the Subjects, of which the gallery is an index, and the locks that keep the two together."""

import uuid
from collections.abc import Sequence
from typing import Final

from vigil_gateway.storage.postgres.pool import Connection
from vigil_gateway.storage.postgres.resource_rows import EMBEDDING_DIGESTS, EMBEDDINGS, EmbeddingDigestRow, EmbeddingRow

GALLERY: Final = 0x7669_6769_6C05
"""Key of the advisory lock of the gallery ("vigil", 5)."""

_LOCK: Final = "SELECT pg_advisory_xact_lock($1)"
_LOCK_SHARED: Final = "SELECT pg_advisory_xact_lock_shared($1)"
_CHANGED: Final = "UPDATE gallery_version SET last = last + 1, changed_at = now()"
_OF_SUBJECT: Final = f"SELECT {EMBEDDINGS.select} FROM subject_embeddings WHERE subject_id = $1"
_DIGESTS: Final = f"""
    SELECT {EMBEDDING_DIGESTS.select} FROM subject_embeddings
    WHERE model_id = $1 AND ($2::uuid IS NULL OR subject_id = $2)
"""
_SOME: Final = f"""
    SELECT {EMBEDDINGS.select} FROM subject_embeddings
    JOIN unnest($2::uuid[], $3::text[]) AS wanted (subject_id, photo) USING (subject_id, photo) WHERE model_id = $1
"""


async def hold_gallery(connection: Connection) -> None:
    """Declare, before the gallery is changed, that it differs from what is committed until the commit."""
    await connection.execute(_LOCK_SHARED, GALLERY)


async def lock_gallery(connection: Connection) -> None:
    """Wait until every change of the gallery is committed, and keep others from beginning until the commit."""
    await connection.execute(_LOCK, GALLERY)


async def count_gallery_change(connection: Connection) -> None:
    """Count a change of the gallery; other changes wait for the commit here, so call it last."""
    await connection.execute(_CHANGED)


async def of_subject(connection: Connection, subject_id: uuid.UUID) -> list[EmbeddingRow]:
    """Return all embeddings of a Subject, of every model."""
    return EMBEDDINGS.read_all(await connection.fetch(_OF_SUBJECT, subject_id))


async def digests(connection: Connection, model_id: str, subject_id: uuid.UUID | None) -> list[EmbeddingDigestRow]:
    """Return the digests of all embeddings of a model, or of one Subject's only."""
    return EMBEDDING_DIGESTS.read_all(await connection.fetch(_DIGESTS, model_id, subject_id))


async def existing(connection: Connection, model_id: str, rows: Sequence[EmbeddingDigestRow]) -> list[EmbeddingRow]:
    """Return those of these embeddings that still exist."""
    subjects, photos = [row.subject_id for row in rows], [row.photo for row in rows]
    return EMBEDDINGS.read_all(await connection.fetch(_SOME, model_id, subjects, photos))
