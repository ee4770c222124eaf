"""The objects of the schema that have a global id.

A camera and a Subject that are reached through a sighting are known by their key only. Their other fields are loaded
when one of them is selected, in one statement for all objects of a page.
"""

import dataclasses
import datetime as dt
import uuid
from collections.abc import Awaitable, Callable
from typing import Any, Final, Self

import strawberry

from vigil_contracts import events
from vigil_contracts.events import CloseReason, IdentityReason, IdentityStatus, SightingState
from vigil_contracts.ids import ResourceKey
from vigil_contracts.resources.camera import SourceType
from vigil_gateway.handlers.graphql import convert, ids, types
from vigil_gateway.handlers.graphql.ids import encode_id
from vigil_gateway.handlers.graphql.loaders import loaders
from vigil_gateway.storage.postgres.resource_rows import CameraRow, SubjectRow
from vigil_gateway.storage.postgres.rows import SightingRow

SOURCE_TYPES: Final = {str(kind): kind for kind in SourceType}

Resolver = Callable[..., Any]


@strawberry.interface(description="An object with a global id.")
class Node:
    """Relay's Node; strawberry's own resolves each id anew, which was a fifth of the time of a live event."""

    id: strawberry.ID = strawberry.field(description="Opaque; `node` finds the object by it.")


def now() -> dt.datetime:
    """Return the present moment in UTC."""
    return dt.datetime.now(dt.UTC)


def _of_camera(read: Callable[[CameraRow], Any]) -> Resolver:
    """Return the resolver of a field of a registered camera; null for one that is not registered."""

    def resolve(self: "Camera", info: strawberry.Info) -> Any:  # noqa: ANN401 - the field has the type
        async def load() -> Any:  # noqa: ANN401
            row = await loaders(info).cameras.load(self.key)
            return None if row is None else read(row)

        return load() if self.row is None else read(self.row)

    return resolve


def _heartbeat(self: "Camera", info: strawberry.Info) -> types.CameraHeartbeat | None:
    known = loaders(info).states.last(self.key)
    return convert.heartbeat(known) if known else None


def _conditions(self: "Camera", info: strawberry.Info) -> list[types.Condition]:
    known = loaders(info).states.last(self.key)
    return convert.conditions(known) if known else []


def _of_subject(read: Callable[[SubjectRow], Any], missing: Callable[[], Any] = lambda: None) -> Resolver:
    """Return the resolver of a field of a registered Subject; `missing()` for one that is not registered."""

    def resolve(self: "Subject", info: strawberry.Info) -> Any:  # noqa: ANN401 - the field has the type
        async def load() -> Any:  # noqa: ANN401
            row = await loaders(info).subjects.load(self.subject_id)
            return missing() if row is None else read(row)

        return load() if self.row is None else read(self.row)

    return resolve


@strawberry.type(
    description="A camera: as declared, and as it is. Declared fields are null once it is no longer registered."
)
class Camera(Node):
    """A camera; `row` is None until its registration is loaded."""

    namespace: str
    name: str
    site: str
    uid: uuid.UUID | None = strawberry.field(resolver=_of_camera(lambda row: row.uid))
    source_type: SourceType | None = strawberry.field(
        resolver=_of_camera(lambda row: SOURCE_TYPES.get(_source(row).get("type", "")))
    )
    url: str | None = strawberry.field(resolver=_of_camera(lambda row: _source(row).get("url")))
    suspended: bool | None = strawberry.field(resolver=_of_camera(lambda row: bool(_spec(row).get("suspend", False))))
    fps: int | None = strawberry.field(
        resolver=_of_camera(lambda row: _spec(row).get("sampling", {}).get("fps")),
        description="Declared sampling rate.",
    )
    created_at: dt.datetime | None = strawberry.field(resolver=_of_camera(lambda row: row.created_at))
    updated_at: dt.datetime | None = strawberry.field(resolver=_of_camera(lambda row: row.updated_at))
    heartbeat: types.CameraHeartbeat | None = strawberry.field(
        resolver=_heartbeat, description="Null before the first heartbeat."
    )
    conditions: list[types.Condition] = strawberry.field(
        resolver=_conditions,
        description="Streaming, SourceReachable, FitForRecognition and ClockSynchronized by the last heartbeat; empty "
        "without one.",
    )
    row: strawberry.Private[CameraRow | None] = None

    @property
    def key(self) -> ResourceKey:
        """Namespace and name."""
        return ResourceKey(self.namespace, self.name)

    @classmethod
    def from_row(cls, row: CameraRow) -> Self:
        """Return a registered camera."""
        return cls(id=encode_id("Camera", row.key), namespace=row.namespace, name=row.name, site=row.site, row=row)

    @classmethod
    def from_key(cls, key: ResourceKey, site: str) -> Self:
        """Return the camera that a sighting or a heartbeat names."""
        return cls(id=encode_id("Camera", key), namespace=key.namespace, name=key.name, site=site)

    @classmethod
    async def load(cls, info: strawberry.Info, key: str) -> Self | None:
        """Return the camera with this key; None when it is not registered."""
        row = await loaders(info).cameras.load(ids.resource_key(key))
        return None if row is None else cls.from_row(row)


def _spec(row: CameraRow) -> dict[str, Any]:
    found: dict[str, Any] = row.resource.get("spec", {})
    return found


def _source(row: CameraRow) -> dict[str, Any]:
    found: dict[str, Any] = _spec(row).get("source", {})
    return found


@strawberry.type(description="A person who may be recognised.")
class Subject(Node):
    """A Subject; `row` is None until its registration is loaded."""

    subject_id: uuid.UUID
    namespace: str
    name: str
    display_name: str = strawberry.field(description="Through a sighting: as it was when the sighting was identified.")
    external_id: str | None = strawberry.field(resolver=_of_subject(lambda row: row.external_id))
    category: str | None = strawberry.field(resolver=_of_subject(lambda row: row.category))
    enrolled: bool = strawberry.field(
        resolver=_of_subject(lambda row: any(photo.accepted for photo in row.photos), missing=lambda: False),
        description="At least one photo is in the gallery.",
    )
    active: bool = strawberry.field(
        resolver=_of_subject(lambda row: row.active(now()), missing=lambda: False),
        description="May be recognised at this moment, as far as validity and consent go.",
    )
    active_from: dt.datetime | None = strawberry.field(resolver=_of_subject(lambda row: row.active_from))
    active_until: dt.datetime | None = strawberry.field(resolver=_of_subject(lambda row: row.active_until))
    created_at: dt.datetime | None = strawberry.field(
        resolver=_of_subject(lambda row: row.created_at), description="Null once the Subject is no longer registered."
    )
    updated_at: dt.datetime | None = strawberry.field(resolver=_of_subject(lambda row: row.updated_at))
    photos: list[types.Photo] = strawberry.field(
        resolver=_of_subject(lambda row: [convert.photo(photo) for photo in row.photos], missing=list)
    )
    row: strawberry.Private[SubjectRow | None] = None

    @classmethod
    def from_row(cls, row: SubjectRow) -> Self:
        """Return a registered Subject."""
        return dataclasses.replace(cls.from_event(row.ref), row=row)

    @classmethod
    def from_event(cls, subject: events.SubjectRef) -> Self:
        """Return the Subject that an event names."""
        return cls(
            id=encode_id("Subject", subject.subject_id),
            subject_id=subject.subject_id,
            namespace=subject.namespace,
            name=subject.name,
            display_name=subject.display_name,
        )

    @classmethod
    async def load(cls, info: strawberry.Info, key: str) -> Self | None:
        """Return the Subject with this id; None when it is not registered."""
        row = await loaders(info).subjects.load(ids.subject_id(key))
        return None if row is None else cls.from_row(row)


@strawberry.type(description="The result of the search in the gallery.")
class Identity:
    """Mirror of the contract's Identity."""

    status: IdentityStatus
    subject: Subject | None
    similarity: float | None = strawberry.field(
        description="Cosine of the best Subject, also when it stayed below the threshold."
    )
    runner_up_similarity: float | None
    threshold: float | None
    margin: float | None
    model_id: str | None
    decided_at: dt.datetime | None
    reason: IdentityReason

    @classmethod
    def from_event(cls, identity: events.Identity) -> Self:
        """Return the identity in an event."""
        return cls(
            status=identity.status,
            subject=None if identity.subject is None else Subject.from_event(identity.subject),
            similarity=identity.similarity,
            runner_up_similarity=identity.runner_up_similarity,
            threshold=identity.threshold,
            margin=identity.margin,
            model_id=identity.model_id,
            decided_at=identity.decided_at,
            reason=identity.reason or identity.derive_reason(),
        )


@strawberry.type(description="One person on one camera from entering to leaving, as of its newest revision.")
class Sighting(Node):
    """Mirror of the contract's Sighting, with its identity."""

    sighting_id: uuid.UUID
    revision: int
    state: SightingState
    site: str
    camera: Camera
    opened_at: dt.datetime = strawberry.field(
        description="When the person was seen first: the moment inside `sightingId`, by the camera's clock; where that "
        "clock was implausible, corrected or bounded by `receivedAt`. The same in all revisions."
    )
    opened_not_before: dt.datetime | None = strawberry.field(
        description="Where the clock was implausible: the earliest moment at which it can have opened; else null."
    )
    last_seen_at: dt.datetime = strawberry.field(description="By the camera's clock, bounded likewise.")
    received_at: dt.datetime | None = strawberry.field(
        description="When the bus received this revision, by its clock; null: recorded by an earlier version. "
        "`identity.decidedAt` is when identity decided."
    )
    clock_offset_ms: float | None = strawberry.field(
        description="How far the camera's clock was ahead of the bus' when it sent this revision, less the time "
        "that the message took; negative: behind; null: not measured."
    )
    closed_at: dt.datetime | None
    close_reason: CloseReason | None
    frames: types.Count = strawberry.field(description="Analysed frames in which the face was found.")
    still: bool = strawberry.field(
        description="The face does not live: a photo or a poster, which stays where it is as no person does."
    )
    best_shot: types.BestShot | None
    identity: Identity

    @classmethod
    def from_row(cls, row: SightingRow) -> Self:
        """Return a stored sighting."""
        return cls(
            id=encode_id("Sighting", row.id),
            sighting_id=row.id,
            revision=row.revision,
            state=row.state,
            site=row.site,
            camera=Camera.from_key(row.camera_key, row.site),
            opened_at=row.opened_at,
            opened_not_before=row.opened_not_before,
            last_seen_at=row.last_seen_at,
            received_at=row.received_at,
            clock_offset_ms=row.clock_offset_ms,
            closed_at=row.closed_at,
            close_reason=row.close_reason,
            frames=types.Count(row.frames),
            still=row.still,
            best_shot=convert.best_shot(row.best_shot) if row.best_shot else None,
            identity=dataclasses.replace(Identity.from_event(row.to_identity()), decided_at=row.decided_at),
        )

    @classmethod
    def from_event(cls, sighting: events.Sighting, identity: Identity) -> Self:
        """Return the sighting in an event."""
        return cls(
            id=encode_id("Sighting", sighting.sighting_id),
            sighting_id=sighting.sighting_id,
            revision=sighting.revision,
            state=sighting.state,
            site=sighting.site,
            camera=Camera.from_key(sighting.camera.key, sighting.site),
            opened_at=sighting.opened_at,
            opened_not_before=sighting.opened_not_before,
            last_seen_at=sighting.last_seen_at,
            received_at=sighting.received_at,
            clock_offset_ms=sighting.clock_offset_ms,
            closed_at=sighting.closed_at,
            close_reason=sighting.close_reason,
            frames=types.Count(sighting.frames),
            still=sighting.still,
            best_shot=convert.best_shot(sighting.shots[0]) if sighting.shots else None,
            identity=identity,
        )

    @classmethod
    async def load(cls, info: strawberry.Info, key: str) -> Self | None:
        """Return the sighting with this id; None when it is not kept."""
        row = await loaders(info).sightings.load(ids.sighting_id(key))
        return None if row is None else cls.from_row(row)


Load = Callable[[strawberry.Info, str], Awaitable[Node | None]]

NODES: Final[dict[str, Load]] = {"Camera": Camera.load, "Sighting": Sighting.load, "Subject": Subject.load}
"""How an object is loaded by the key in its global id, by the type in it."""
