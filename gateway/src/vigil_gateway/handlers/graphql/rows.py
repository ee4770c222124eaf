"""From rows of the database to the schema's types; pure."""

import dataclasses
import datetime as dt
from typing import Final

from vigil_contracts.resources.camera import SourceType
from vigil_gateway.handlers.graphql import types
from vigil_gateway.handlers.graphql.convert import best_shot, conditions, heartbeat, identity
from vigil_gateway.handlers.graphql.live.cameras import CameraStates
from vigil_gateway.storage.postgres.rows import CameraRow, PhotoRow, SightingRow, SubjectRow

SOURCE_TYPES: Final = {str(kind): kind for kind in SourceType}


def sighting(row: SightingRow) -> types.Sighting:
    """Return the type of a row of sightings."""
    return types.Sighting(
        id=row.id,
        revision=row.revision,
        state=row.state,
        site=row.site,
        camera=types.CameraRef(namespace=row.camera_namespace, name=row.camera_name),
        opened_at=row.opened_at,
        last_seen_at=row.last_seen_at,
        closed_at=row.closed_at,
        close_reason=row.close_reason,
        frames=types.Count(row.frames),
        best_shot=best_shot(row.best_shot) if row.best_shot else None,
        identity=dataclasses.replace(identity(row.to_identity()), decided_at=row.decided_at),
    )


def camera(row: CameraRow, states: CameraStates, now: dt.datetime) -> types.Camera:
    """Return the type of a row of cameras with its last heartbeat."""
    spec = row.resource.get("spec", {})
    source = spec.get("source", {})
    known = states.last(row.key)
    return types.Camera(
        namespace=row.namespace,
        name=row.name,
        uid=row.uid,
        site=row.site,
        source_type=SOURCE_TYPES.get(source.get("type")),
        url=source.get("url"),
        suspended=bool(spec.get("suspend", False)),
        fps=spec.get("sampling", {}).get("fps"),
        created_at=row.created_at,
        updated_at=row.updated_at,
        heartbeat=heartbeat(known.heartbeat, known.sent_at, now) if known else None,
        conditions=conditions(known.heartbeat) if known else [],
    )


def subject(row: SubjectRow, now: dt.datetime) -> types.Subject:
    """Return the type of a row of subjects with its photos."""
    photos = [_photo(photo) for photo in row.photos]
    return types.Subject(
        id=row.id,
        namespace=row.namespace,
        name=row.name,
        display_name=row.display_name,
        external_id=row.external_id,
        category=row.category,
        enrolled=any(photo.accepted for photo in photos),
        active=row.active(now),
        active_from=row.active_from,
        active_until=row.active_until,
        created_at=row.created_at,
        updated_at=row.updated_at,
        photos=photos,
    )


def _photo(photo: PhotoRow) -> types.Photo:
    return types.Photo(
        name=photo.name,
        accepted=photo.accepted,
        reason=photo.reason,
        message=photo.message,
        quality=photo.score,
    )
