"""From rows of the database to the schema's types; pure."""

import datetime as dt
import json
from typing import Any, Final

from vigil_contracts.events import BestShot, CloseReason, IdentityStatus, SightingState
from vigil_contracts.ids import ResourceKey
from vigil_contracts.resources.camera import SourceType
from vigil_contracts.resources.subject import ConsentStatus
from vigil_gateway.handlers.graphql import types
from vigil_gateway.handlers.graphql.convert import best_shot, conditions, heartbeat
from vigil_gateway.handlers.graphql.live.cameras import CameraStates

SOURCE_TYPES: Final = {str(kind): kind for kind in SourceType}

Row = Any
"""asyncpg's Record, which has no types."""


def sighting(row: Row) -> types.Sighting:
    """Turn a row of sightings into its type."""
    shot = row["best_shot"]
    return types.Sighting(
        id=row["id"],
        revision=row["revision"],
        state=SightingState(row["state"]),
        site=row["site"],
        camera=types.CameraRef(namespace=row["camera_namespace"], name=row["camera_name"]),
        opened_at=row["opened_at"],
        last_seen_at=row["last_seen_at"],
        closed_at=row["closed_at"],
        close_reason=CloseReason(row["close_reason"]) if row["close_reason"] else None,
        frames=types.Count(row["frames"]),
        best_shot=best_shot(BestShot.model_validate_json(shot)) if shot and shot != "null" else None,
        identity=_identity(row),
    )


def _identity(row: Row) -> types.Identity:
    return types.Identity(
        status=IdentityStatus(row["identity"]),
        subject=row["subject_id"]
        and types.SubjectRef(
            subject_id=row["subject_id"],
            namespace=row["subject_namespace"],
            name=row["subject_name"],
            display_name=row["subject_display_name"],
        ),
        similarity=row["similarity"],
        runner_up_similarity=row["runner_up_similarity"],
        threshold=row["threshold"],
        margin=row["margin"],
        model_id=row["model_id"],
        decided_at=row["decided_at"],
    )


def camera(row: Row, states: CameraStates, now: dt.datetime) -> types.Camera:
    """Turn a row of cameras and what was last heard of it into its type."""
    spec = json.loads(row["resource"]).get("spec", {})
    source = spec.get("source", {})
    known = states.last(ResourceKey(row["namespace"], row["name"]))
    return types.Camera(
        namespace=row["namespace"],
        name=row["name"],
        uid=row["uid"],
        site=row["site"],
        source_type=SOURCE_TYPES.get(source.get("type")),
        url=source.get("url"),
        suspended=bool(spec.get("suspend", False)),
        fps=spec.get("sampling", {}).get("fps"),
        created_at=row["created_at"],
        updated_at=row["updated_at"],
        heartbeat=heartbeat(known.heartbeat, known.sent_at, now) if known else None,
        conditions=conditions(known.heartbeat) if known else [],
    )


def subject(row: Row, now: dt.datetime) -> types.Subject:
    """Turn a row of subjects with its photos into its type."""
    photos = [_photo(photo) for photo in json.loads(row["photos"])]
    begun = row["active_from"] is None or row["active_from"] <= now
    ended = row["active_until"] is not None and row["active_until"] <= now
    return types.Subject(
        id=row["id"],
        namespace=row["namespace"],
        name=row["name"],
        display_name=row["display_name"],
        external_id=row["external_id"],
        category=row["category"],
        enrolled=any(photo.accepted for photo in photos),
        active=row["consent"] == ConsentStatus.GRANTED and begun and not ended,
        active_from=row["active_from"],
        active_until=row["active_until"],
        created_at=row["created_at"],
        updated_at=row["updated_at"],
        photos=photos,
    )


def _photo(photo: dict[str, Any]) -> types.Photo:
    quality = photo["quality"]
    return types.Photo(
        name=photo["name"],
        accepted=photo["accepted"],
        reason=photo["reason"],
        message=photo["message"] or "",
        quality=quality.get("score") if isinstance(quality, dict) else quality,
    )
