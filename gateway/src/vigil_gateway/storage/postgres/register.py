"""The statements behind the registry: cameras, Subjects, their photos and embeddings, receipts."""

import datetime as dt
import hashlib
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal

from vigil_contracts.ids import ResourceKey

Connection = Any
"""asyncpg's, which has no types."""

_PUT_CAMERA: Final = """
    INSERT INTO cameras (namespace, name, uid, site, resource, registrar) VALUES ($1, $2, $3, $4, $5::jsonb, $6)
    ON CONFLICT (namespace, name) DO UPDATE SET uid = EXCLUDED.uid, site = EXCLUDED.site,
        resource = EXCLUDED.resource, registrar = EXCLUDED.registrar, updated_at = now(), deleted_at = NULL
"""
_REMOVE_CAMERA: Final = """
    UPDATE cameras SET deleted_at = now(), updated_at = now()
    WHERE namespace = $1 AND name = $2 AND deleted_at IS NULL AND ($3::uuid IS NULL OR uid = $3) RETURNING 1
"""
_PUT_SITE: Final = """
    INSERT INTO sites (namespace, name, uid, resource, registrar) VALUES ($1, $2, $3, $4::jsonb, $5)
    ON CONFLICT (namespace, name) DO UPDATE SET uid = EXCLUDED.uid, resource = EXCLUDED.resource,
        registrar = EXCLUDED.registrar, updated_at = now(), deleted_at = NULL
"""
_REMOVE_SITE: Final = """
    UPDATE sites SET deleted_at = now(), updated_at = now()
    WHERE namespace = $1 AND name = $2 AND deleted_at IS NULL AND ($3::uuid IS NULL OR uid = $3) RETURNING 1
"""
RegisteredKind = Literal["cameras", "sites", "subjects"]
KINDS: Final[tuple[RegisteredKind, ...]] = ("cameras", "sites", "subjects")
_PLACE: Final = """
    ($1::text IS NULL OR (namespace, name) > ($1, $2::text)) ORDER BY namespace, name LIMIT $3
"""
_REGISTERED: Final[dict[RegisteredKind, str]] = {
    **{
        kind: f"SELECT namespace, name, uid, registrar FROM {kind} WHERE deleted_at IS NULL AND {_PLACE}"
        for kind in ("cameras", "sites")
    },
    "subjects": f"""
        SELECT namespace, name, (resource #>> '{{metadata,uid}}')::uuid AS uid, registrar FROM subjects WHERE {_PLACE}
    """,
}
_LOCK: Final = "SELECT pg_advisory_xact_lock($1)"
_LOCK_SHARED: Final = "SELECT pg_advisory_xact_lock_shared($1)"
_GALLERY: Final = 0x7669_6769_6C05
"""Key of the advisory lock of the gallery ("vigil", 5)."""
_SUBJECT: Final = "SELECT id, content_hash FROM subjects WHERE namespace = $1 AND name = $2"
_PUT_SUBJECT: Final = """
    INSERT INTO subjects (id, namespace, name, display_name, external_id, category, resource, content_hash, consent,
        active_from, active_until, registrar)
    VALUES ($1, $2, $3, $4, $5, $6, $7::jsonb, $8, $9, $10, $11, $12)
    ON CONFLICT (id) DO UPDATE SET display_name = EXCLUDED.display_name, external_id = EXCLUDED.external_id,
        category = EXCLUDED.category, resource = EXCLUDED.resource, content_hash = EXCLUDED.content_hash,
        consent = EXCLUDED.consent, active_from = EXCLUDED.active_from, active_until = EXCLUDED.active_until,
        registrar = EXCLUDED.registrar, updated_at = now()
"""
_STORED_SUBJECT: Final = """
    SELECT id, resource #>> '{}' AS resource, registrar FROM subjects WHERE namespace = $1 AND name = $2
"""
_CLAIM_SUBJECT: Final = """
    UPDATE subjects SET registrar = $4, updated_at = now() WHERE namespace = $1 AND name = $2 AND id = $3 RETURNING 1
"""
_STORED_PHOTOS: Final = """
    SELECT name, sha256, model_id, accepted, reason, message, quality::text AS quality FROM subject_photos
    WHERE subject_id = $1
"""
_GALLERY_CHANGED: Final = "UPDATE gallery_version SET last = last + 1, changed_at = now()"
_KNOWN_PHOTOS: Final = """
    SELECT p.sha256, p.accepted, p.reason, p.message, p.quality::text AS quality, e.vector
    FROM subject_photos p LEFT JOIN subject_embeddings e
        ON e.subject_id = p.subject_id AND e.photo = p.name AND e.model_id = p.model_id
    WHERE p.subject_id = $1 AND p.model_id = $2 AND p.sha256 IS NOT NULL AND p.accepted = (e.vector IS NOT NULL)
"""
_PUT_PHOTO: Final = """
    INSERT INTO subject_photos (subject_id, name, sha256, model_id, accepted, reason, message, quality)
    VALUES ($1, $2, $3, $4, $5, $6, $7, $8::jsonb)
"""
_DROP_EMBEDDINGS: Final = """
    DELETE FROM subject_embeddings e WHERE subject_id = $1 AND (
        $2::text IS NULL OR model_id = $2 OR NOT EXISTS (
            SELECT FROM subject_photos p JOIN unnest($3::text[], $4::text[]) AS now (name, sha256)
                ON now.name = p.name AND now.sha256 = p.sha256
            WHERE p.subject_id = e.subject_id AND p.name = e.photo))
"""
_DROP_PHOTOS: Final = "DELETE FROM subject_photos WHERE subject_id = $1"
_EMBEDDINGS: Final = "SELECT photo, model_id, vector FROM subject_embeddings WHERE subject_id = $1"
_PUT_EMBEDDING: Final = "INSERT INTO subject_embeddings (subject_id, photo, model_id, vector) VALUES ($1, $2, $3, $4)"


@dataclass(frozen=True, slots=True)
class SubjectRow:
    """A Subject as it is kept."""

    subject_id: uuid.UUID
    key: ResourceKey
    display_name: str
    external_id: str | None
    category: str
    resource: str
    content_hash: str
    consent: str
    active_from: dt.datetime | None
    active_until: dt.datetime | None
    registrar: uuid.UUID | None


@dataclass(frozen=True, slots=True)
class PhotoRow:
    """What became of a photo; never the photo.

    Attributes
    ----------
    quality
        Measurements as JSON.
    vector
        Little-endian float32; None when refused.
    """

    name: str
    sha256: str | None
    model_id: str | None
    accepted: bool
    reason: str
    message: str
    quality: str | None
    vector: bytes | None = None


def key_digest(key: ResourceKey) -> bytes:
    """Give what is kept of an erased Subject's name."""
    return hashlib.sha256(str(key).encode()).digest()


async def lock_subject(connection: Connection, key: ResourceKey) -> None:
    """Let changes of one Subject take turns, over all processes, until the commit."""
    digest = hashlib.sha256(b"subject/" + str(key).encode()).digest()
    await connection.execute(_LOCK, int.from_bytes(digest[:8], "big", signed=True))


async def hold_gallery(connection: Connection) -> None:
    """Say, before the gallery is changed, that it will be other than what is committed, until the commit."""
    await connection.execute(_LOCK_SHARED, _GALLERY)


async def lock_gallery(connection: Connection) -> None:
    """Wait until all that was changed in the gallery is committed, and let no change begin until the commit."""
    await connection.execute(_LOCK, _GALLERY)


@dataclass(frozen=True, slots=True)
class Origin:
    """Who put a resource.

    Attributes
    ----------
    uid
        Of the resource, as the API server gave it; None: it comes from no API server.
    registrar
        Which installation did; None: it was not told.
    """

    uid: uuid.UUID | None = None
    registrar: uuid.UUID | None = None


async def put_camera(connection: Connection, key: ResourceKey, origin: Origin, site: str, resource: str) -> None:
    """Insert or update a camera; one that was removed is there again."""
    await connection.execute(_PUT_CAMERA, key.namespace, key.name, origin.uid, site, resource, origin.registrar)


async def remove_camera(connection: Connection, key: ResourceKey, uid: uuid.UUID | None) -> bool:
    """Mark a camera as removed, and tell whether it was there; what it saw stays. With a uid only that very one."""
    return await connection.fetchval(_REMOVE_CAMERA, key.namespace, key.name, uid) is not None


async def put_site(connection: Connection, key: ResourceKey, origin: Origin, resource: str) -> None:
    """Insert or update a Site; one that was removed is there again."""
    await connection.execute(_PUT_SITE, key.namespace, key.name, origin.uid, resource, origin.registrar)


async def remove_site(connection: Connection, key: ResourceKey, uid: uuid.UUID | None) -> bool:
    """Mark a Site as removed, and tell whether it was there; its retention holds on. With a uid only that very one."""
    return await connection.fetchval(_REMOVE_SITE, key.namespace, key.name, uid) is not None


async def registered(
    connection: Connection, kind: RegisteredKind, after: ResourceKey | None, limit: int
) -> Sequence[Any]:
    """Give namespace, name, uid and registrar of up to `limit` resources of a kind, behind a key."""
    rows: Sequence[Any] = await connection.fetch(_REGISTERED[kind], *(after or (None, None)), limit)
    return rows


async def gallery_changed(connection: Connection) -> None:
    """Count a change of the gallery; others that change it wait until the commit, so this comes last."""
    await connection.execute(_GALLERY_CHANGED)


async def stored_subject(connection: Connection, key: ResourceKey) -> tuple[Any, Sequence[PhotoRow]] | None:
    """Give a Subject's id and resource with what became of its photos, without vectors; None when there is none."""
    row = await connection.fetchrow(_STORED_SUBJECT, key.namespace, key.name)
    if row is None:
        return None
    photos = await connection.fetch(_STORED_PHOTOS, row["id"])
    return row, [PhotoRow(**dict(photo)) for photo in photos]


async def claim_subject(connection: Connection, key: ResourceKey, subject_id: uuid.UUID, registrar: uuid.UUID) -> bool:
    """Write down whose a Subject is from now on, and tell whether that very one was there."""
    found = await connection.fetchval(_CLAIM_SUBJECT, key.namespace, key.name, subject_id, registrar)
    return found is not None


async def find_subject(connection: Connection, key: ResourceKey) -> Any | None:  # noqa: ANN401 - asyncpg has no types
    """Give a Subject's id and content hash; None when there is none."""
    return await connection.fetchrow(_SUBJECT, key.namespace, key.name)


async def known_photos(connection: Connection, subject_id: uuid.UUID, model_id: str) -> dict[str, PhotoRow]:
    """Give by sha256 what is already known of a Subject's photos under a model."""
    rows = await connection.fetch(_KNOWN_PHOTOS, subject_id, model_id)
    return {
        row["sha256"]: PhotoRow(
            name="",
            sha256=row["sha256"],
            model_id=model_id,
            accepted=row["accepted"],
            reason=row["reason"],
            message=row["message"],
            quality=row["quality"],
            vector=row["vector"],
        )
        for row in rows
    }


async def embeddings(connection: Connection, subject_id: uuid.UUID) -> Sequence[Any]:
    """Give all of a Subject's embeddings, of every model."""
    rows: Sequence[Any] = await connection.fetch(_EMBEDDINGS, subject_id)
    return rows


async def put_subject(
    connection: Connection, subject: SubjectRow, photos: Sequence[PhotoRow], model_id: str | None
) -> None:
    """Write a Subject with exactly these photos.

    Parameters
    ----------
    model_id
        Model under which they were assessed; embeddings by other models stay for photos that did not change, so that a
        model can be taken back. None: no embedding stays.
    """
    await connection.execute(
        _PUT_SUBJECT,
        subject.subject_id,
        subject.key.namespace,
        subject.key.name,
        subject.display_name,
        subject.external_id,
        subject.category,
        subject.resource,
        subject.content_hash,
        subject.consent,
        subject.active_from,
        subject.active_until,
        subject.registrar,
    )
    names, digests = [photo.name for photo in photos], [photo.sha256 for photo in photos]
    await connection.execute(_DROP_EMBEDDINGS, subject.subject_id, model_id, names, digests)
    await connection.execute(_DROP_PHOTOS, subject.subject_id)
    for photo in photos:
        await connection.execute(
            _PUT_PHOTO,
            subject.subject_id,
            photo.name,
            photo.sha256,
            photo.model_id,
            photo.accepted,
            photo.reason,
            photo.message,
            photo.quality,
        )
        if photo.vector is not None:
            await connection.execute(_PUT_EMBEDDING, subject.subject_id, photo.name, photo.model_id, photo.vector)
