"""The schema's queries."""

import datetime as dt
import uuid
from typing import Annotated, TypeAlias

import strawberry

from vigil_contracts.ids import sighting_time
from vigil_gateway.handlers.graphql import cursors, rows, types
from vigil_gateway.handlers.graphql.context import services
from vigil_gateway.handlers.graphql.errors import Code, RequestError
from vigil_gateway.handlers.graphql.filters import SightingFilter, check_filter, resource_key
from vigil_gateway.handlers.graphql.pages import asked, connection, page_request
from vigil_gateway.principal import TOKEN_HOLDER
from vigil_gateway.storage.postgres.sighting_reader import SightingQuery

First: TypeAlias = Annotated[
    int | None, strawberry.argument(description="Entries from the start: 1 to 200, 50 when left out.")
]
Last: TypeAlias = Annotated[int | None, strawberry.argument(description="Entries from the end: 1 to 200.")]
After: TypeAlias = Annotated[str | None, strawberry.argument(description="Only entries behind this cursor.")]
Before: TypeAlias = Annotated[str | None, strawberry.argument(description="Only entries ahead of this cursor.")]


def now() -> dt.datetime:
    """Give the present moment in UTC."""
    return dt.datetime.now(dt.UTC)


async def _sightings(
    info: strawberry.Info,
    first: First = None,
    after: After = None,
    last: Last = None,
    before: Before = None,
    filter: SightingFilter | None = None,  # noqa: A002 - the schema's word
) -> types.Connection[types.Sighting]:
    """Give a page of sightings."""
    request = page_request(first, after, last, before, cursors.decode_sighting)
    criteria = check_filter(filter)
    query = SightingQuery(
        limit=request.limit,
        backward=request.backward,
        after=request.after,
        before=request.before,
        cameras=criteria.cameras,
        subjects=criteria.subjects,
        subject_ids=criteria.subject_ids,
        identity=criteria.identity,
        states=criteria.states,
        opened_from=criteria.opened_from,
        opened_before=criteria.opened_before,
    )
    found = await asked(services(info).sightings.page(TOKEN_HOLDER, query))
    return connection(request, found, rows.sighting, lambda row: cursors.encode_sighting(row.id))


async def _sighting(info: strawberry.Info, id: uuid.UUID) -> types.Sighting | None:  # noqa: A002 - the schema's word
    """Give a sighting by its id."""
    try:
        sighting_time(id)
    except (ValueError, OverflowError) as error:
        raise RequestError(Code.BAD_ARGUMENT, str(error)) from None
    found = await asked(services(info).sightings.by_ids(TOKEN_HOLDER, [id]))
    return rows.sighting(found[0]) if found else None


async def _cameras(
    info: strawberry.Info,
    first: First = None,
    after: After = None,
    last: Last = None,
    before: Before = None,
) -> types.Connection[types.Camera]:
    """Give a page of cameras."""
    request = page_request(first, after, last, before, cursors.decode_camera)
    own = services(info)
    found = await asked(
        own.registered_cameras.page(request.after, request.before, request.limit, backward=request.backward)
    )
    at = now()
    return connection(
        request,
        found,
        lambda row: rows.camera(row, own.cameras, at),
        lambda row: cursors.encode_camera(row.key),
    )


async def _camera(info: strawberry.Info, name: str, namespace: str = "default") -> types.Camera | None:
    """Give a camera by its key."""
    own = services(info)
    found = await asked(own.registered_cameras.by_keys([resource_key("camera", namespace, name)]))
    return rows.camera(found[0], own.cameras, now()) if found else None


async def _subjects(
    info: strawberry.Info,
    first: First = None,
    after: After = None,
    last: Last = None,
    before: Before = None,
) -> types.Connection[types.Subject]:
    """Give a page of Subjects."""
    request = page_request(first, after, last, before, cursors.decode_subject)
    found = await asked(
        services(info).subjects.page(
            TOKEN_HOLDER, request.after, request.before, request.limit, backward=request.backward
        )
    )
    at = now()
    return connection(
        request,
        found,
        lambda row: rows.subject(row, at),
        lambda row: cursors.encode_subject(row.key),
    )


async def _site(info: strawberry.Info) -> types.Site:
    """Give the site."""
    own = services(info)
    newest = await own.hub.position(None)
    cameras, subjects = await asked(own.registered_cameras.count()), await asked(own.subjects.count())
    return types.Site(
        name=own.site,
        cursor=cursors.encode_event(newest),
        cameras=types.Count(cameras),
        subjects=types.Count(subjects),
    )


def _status(info: strawberry.Info) -> types.Status:
    """Give the state of this process."""
    own = services(info)
    return types.Status(
        version=own.version,
        database=own.database_up(),
        bus=own.bus_up(),
        newest_seq=types.Count(own.hub.feed.ring.head),
        subscribers=len(own.hub.followers),
        connections=own.connections(),
    )


@strawberry.type
class Query:
    """Everything that can be read."""

    sightings: types.Connection[types.Sighting] = strawberry.field(
        resolver=_sightings, description="Sightings, the newest first."
    )
    sighting: types.Sighting | None = strawberry.field(
        resolver=_sighting, description="One sighting; null when there is none of this id."
    )
    cameras: types.Connection[types.Camera] = strawberry.field(
        resolver=_cameras, description="Registered cameras by namespace and name, each with its last heartbeat."
    )
    camera: types.Camera | None = strawberry.field(
        resolver=_camera, description="One camera; null when none of this name is registered."
    )
    subjects: types.Connection[types.Subject] = strawberry.field(
        resolver=_subjects,
        description="Registered Subjects by namespace and name, each with what became of its photos.",
    )
    site: types.Site = strawberry.field(resolver=_site, description="The site that this API speaks for.")
    status: types.Status = strawberry.field(resolver=_status, description="How this API stands.")
