"""The registered resources: Cameras and Sites, and pages of the keys of every kind."""

import uuid
from dataclasses import dataclass
from typing import Final, Literal

from vigil_contracts.ids import ResourceKey
from vigil_gateway.storage.postgres.pool import Connection
from vigil_gateway.storage.postgres.resource_rows import REGISTERED, RegisteredRow

RegisteredKind = Literal["cameras", "sites", "subjects"]
KINDS: Final[tuple[RegisteredKind, ...]] = ("cameras", "sites", "subjects")

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
_PAGE: Final = "($1::text IS NULL OR (namespace, name) > ($1, $2::text)) ORDER BY namespace, name LIMIT $3"
_SUBJECT_UID: Final = "(resource #>> '{metadata,uid}')::uuid AS uid"
_REGISTERED: Final[dict[RegisteredKind, str]] = {
    "cameras": f"SELECT {REGISTERED.select} FROM cameras WHERE deleted_at IS NULL AND {_PAGE}",
    "sites": f"SELECT {REGISTERED.select} FROM sites WHERE deleted_at IS NULL AND {_PAGE}",
    "subjects": f"SELECT namespace, name, {_SUBJECT_UID}, registrar FROM subjects WHERE {_PAGE}",
}


@dataclass(frozen=True, slots=True)
class Origin:
    """Where a resource comes from.

    Attributes
    ----------
    uid
        The uid that the API server assigned to the resource; None: it comes from no API server.
    registrar
        The installation that registered it; None: not known.
    """

    uid: uuid.UUID | None = None
    registrar: uuid.UUID | None = None


async def put_camera(connection: Connection, key: ResourceKey, origin: Origin, site: str, resource: str) -> None:
    """Insert or update a camera; one that was removed is registered again."""
    await connection.execute(_PUT_CAMERA, key.namespace, key.name, origin.uid, site, resource, origin.registrar)


async def remove_camera(connection: Connection, key: ResourceKey, uid: uuid.UUID | None) -> bool:
    """Mark a camera as removed and return whether it was registered; its sightings stay. None: any uid."""
    return await connection.fetchval(_REMOVE_CAMERA, key.namespace, key.name, uid) is not None


async def put_site(connection: Connection, key: ResourceKey, origin: Origin, resource: str) -> None:
    """Insert or update a Site; one that was removed is registered again."""
    await connection.execute(_PUT_SITE, key.namespace, key.name, origin.uid, resource, origin.registrar)


async def remove_site(connection: Connection, key: ResourceKey, uid: uuid.UUID | None) -> bool:
    """Mark a Site as removed and return whether it was registered; its retention still applies. None: any uid."""
    return await connection.fetchval(_REMOVE_SITE, key.namespace, key.name, uid) is not None


async def registered(
    connection: Connection, kind: RegisteredKind, after: ResourceKey | None, limit: int
) -> list[RegisteredRow]:
    """Return up to `limit` registered resources of a kind, after a key."""
    return REGISTERED.read_all(await connection.fetch(_REGISTERED[kind], *(after or (None, None)), limit))
