"""The registered Subjects with the assessment of their photos, as enrolment reads and writes them."""

import dataclasses
import hashlib
import uuid
from collections.abc import Sequence
from typing import Final

from vigil_contracts.ids import ResourceKey
from vigil_gateway.storage.postgres.pool import Connection
from vigil_gateway.storage.postgres.resource_rows import (
    NEW_SUBJECTS,
    PHOTOS,
    SUBJECT_RESOURCES,
    NewSubjectRow,
    PhotoRow,
    SubjectResourceRow,
)

_LOCK: Final = "SELECT pg_advisory_xact_lock($1)"
_FIND: Final = "SELECT id FROM subjects WHERE namespace = $1 AND name = $2"
_STORED: Final = f"SELECT {SUBJECT_RESOURCES.select} FROM subjects WHERE namespace = $1 AND name = $2"
_PHOTOS: Final = f"SELECT {PHOTOS.select} FROM subject_photos WHERE subject_id = $1"
_KNOWN_PHOTOS: Final = f"""
    SELECT {PHOTOS.select}, vector FROM subject_photos p LEFT JOIN (
            SELECT subject_id AS embedding_of, photo, model_id AS embedding_model, vector FROM subject_embeddings) e
        ON e.embedding_of = p.subject_id AND e.photo = p.name AND e.embedding_model = p.model_id
    WHERE p.subject_id = $1 AND p.model_id = $2 AND p.sha256 IS NOT NULL AND p.accepted = (e.vector IS NOT NULL)
"""
_GRANTED_AT: Final = """granted_at = CASE WHEN subjects.consent <> 'Granted' AND EXCLUDED.consent = 'Granted'
    THEN now() ELSE subjects.granted_at END"""
_PUT: Final = NEW_SUBJECTS.upsert(
    "subjects", ("id",), keep=("namespace", "name"), also=("updated_at = now()", _GRANTED_AT)
)
_CLAIM: Final = """
    UPDATE subjects SET registrar = $4, updated_at = now() WHERE namespace = $1 AND name = $2 AND id = $3 RETURNING 1
"""
_PUT_PHOTO: Final = """
    INSERT INTO subject_photos (subject_id, name, sha256, model_id, accepted, reason, message, quality)
    VALUES ($1, $2, $3, $4, $5, $6, $7, $8::jsonb)
"""
_PUT_EMBEDDING: Final = "INSERT INTO subject_embeddings (subject_id, photo, model_id, vector) VALUES ($1, $2, $3, $4)"
_DROP_EMBEDDINGS: Final = """
    DELETE FROM subject_embeddings e WHERE subject_id = $1 AND (
        $2::text IS NULL OR model_id = $2 OR NOT EXISTS (
            SELECT FROM subject_photos p JOIN unnest($3::text[], $4::text[]) AS now (name, sha256)
                ON now.name = p.name AND now.sha256 = p.sha256
            WHERE p.subject_id = e.subject_id AND p.name = e.photo))
"""
_DROP_PHOTOS: Final = "DELETE FROM subject_photos WHERE subject_id = $1"


async def lock_subject(connection: Connection, key: ResourceKey) -> None:
    """Serialise changes of one Subject, over all processes, until the commit."""
    digest = hashlib.sha256(b"subject/" + str(key).encode()).digest()
    await connection.execute(_LOCK, int.from_bytes(digest[:8], "big", signed=True))


async def find_subject(connection: Connection, key: ResourceKey) -> uuid.UUID | None:
    """Return the id of a Subject; None when it is not registered."""
    found: uuid.UUID | None = await connection.fetchval(_FIND, key.namespace, key.name)
    return found


async def stored_subject(connection: Connection, key: ResourceKey) -> tuple[SubjectResourceRow, list[PhotoRow]] | None:
    """Return a Subject's resource with the assessment of its photos, without vectors; None when not registered."""
    row = await connection.fetchrow(_STORED, key.namespace, key.name)
    if row is None:
        return None
    return SUBJECT_RESOURCES.read(row), PHOTOS.read_all(await connection.fetch(_PHOTOS, row["id"]))


async def claim_subject(connection: Connection, key: ResourceKey, subject_id: uuid.UUID, registrar: uuid.UUID) -> bool:
    """Assign a Subject to an installation and return whether the Subject with this id is registered."""
    found = await connection.fetchval(_CLAIM, key.namespace, key.name, subject_id, registrar)
    return found is not None


async def known_photos(connection: Connection, subject_id: uuid.UUID, model_id: str) -> dict[str, PhotoRow]:
    """Return the photos of a Subject that were assessed under a model, with their vectors, by sha256."""
    rows = await connection.fetch(_KNOWN_PHOTOS, subject_id, model_id)
    return {row["sha256"]: dataclasses.replace(PHOTOS.read(row), vector=row["vector"]) for row in rows}


async def put_subject(
    connection: Connection, subject: NewSubjectRow, photos: Sequence[PhotoRow], model_id: str | None
) -> None:
    """Write a Subject with exactly these photos.

    Parameters
    ----------
    model_id
        Model under which they were assessed; embeddings by other models stay for photos that did not change, so that a
        model can be taken back. None: no embedding stays.
    """
    await connection.execute(_PUT, *NEW_SUBJECTS.values(subject))
    names, digests = [photo.name for photo in photos], [photo.sha256 for photo in photos]
    await connection.execute(_DROP_EMBEDDINGS, subject.id, model_id, names, digests)
    await connection.execute(_DROP_PHOTOS, subject.id)
    for photo in photos:
        await connection.execute(_PUT_PHOTO, subject.id, *PHOTOS.values(photo))
        if photo.vector is not None:
            await connection.execute(_PUT_EMBEDDING, subject.id, photo.name, photo.model_id, photo.vector)
