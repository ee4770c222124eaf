"""The schema's queries."""

import asyncio
import uuid
from typing import Annotated, TypeAlias

import strawberry

from vigil_contracts.ids import sighting_time
from vigil_gateway.handlers.graphql import cursors, types
from vigil_gateway.handlers.graphql.context import principal, services
from vigil_gateway.handlers.graphql.errors import Code, RequestError, from_database, limit_error
from vigil_gateway.handlers.graphql.filters import SightingFilter, check_filter, resource_key
from vigil_gateway.handlers.graphql.ids import bad_id, decode_id
from vigil_gateway.handlers.graphql.limits import MAX_PAGE
from vigil_gateway.handlers.graphql.loaders import loaders
from vigil_gateway.handlers.graphql.nodes import NODES, Camera, Node, Sighting, Subject
from vigil_gateway.handlers.graphql.pages import (
    CameraConnection,
    SightingConnection,
    SubjectConnection,
    page,
    page_request,
)
from vigil_gateway.storage.postgres.sighting_reader import SightingPosition, SightingQuery

First: TypeAlias = Annotated[
    int | None, strawberry.argument(description="Entries from the start: 1 to 200, 50 when left out.")
]
Last: TypeAlias = Annotated[int | None, strawberry.argument(description="Entries from the end: 1 to 200.")]
After: TypeAlias = Annotated[str | None, strawberry.argument(description="Only entries behind this cursor.")]
Before: TypeAlias = Annotated[str | None, strawberry.argument(description="Only entries ahead of this cursor.")]


async def _node(info: strawberry.Info, id: strawberry.ID) -> Node | None:  # noqa: A002 - Relay's word
    """Return the object of an id."""
    found = decode_id(id)
    load = NODES.get(found.type_name)
    if load is None:
        raise bad_id(id, f"it names none of {', '.join(NODES)}")
    return await load(info, found.node_id)


async def _nodes(
    info: strawberry.Info,
    ids: Annotated[list[strawberry.ID], strawberry.argument(description="At most 200.")],
) -> list[Node | None]:
    """Return the objects of some ids, in their order; they are loaded together."""
    if len(ids) > MAX_PAGE:
        raise limit_error("ids", MAX_PAGE, len(ids), "ids")
    return await asyncio.gather(*(_node(info, one) for one in ids))


async def _sightings(
    info: strawberry.Info,
    first: First = None,
    after: After = None,
    last: Last = None,
    before: Before = None,
    filter: SightingFilter | None = None,  # noqa: A002 - the schema's word
) -> SightingConnection:
    """Return a page of sightings."""
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
        still=criteria.still,
        opened_from=criteria.opened_from,
        opened_before=criteria.opened_before,
    )
    rows = await from_database(services(info).sightings.page(principal(info), query))
    found = page(
        request, rows, Sighting.from_row, lambda row: cursors.encode_sighting(SightingPosition(row.opened_at, row.id))
    )
    return SightingConnection(**found, query=query)


async def _sighting(info: strawberry.Info, sighting_id: uuid.UUID) -> Sighting | None:
    """Return a sighting by its UUID."""
    try:
        sighting_time(sighting_id)
    except (ValueError, OverflowError) as error:
        raise RequestError(Code.BAD_ARGUMENT, str(error)) from None
    row = await loaders(info).sightings.load(sighting_id)
    return None if row is None else Sighting.from_row(row)


async def _cameras(
    info: strawberry.Info,
    first: First = None,
    after: After = None,
    last: Last = None,
    before: Before = None,
) -> CameraConnection:
    """Return a page of cameras."""
    request = page_request(first, after, last, before, cursors.decode_camera)
    reader = services(info).registered_cameras
    rows = await from_database(reader.page(request.after, request.before, request.limit, backward=request.backward))
    found = page(request, rows, Camera.from_row, lambda row: cursors.encode_camera(row.key))
    return CameraConnection(**found)


async def _camera(info: strawberry.Info, name: str, namespace: str = "default") -> Camera | None:
    """Return a camera by its key."""
    row = await loaders(info).cameras.load(resource_key("camera", namespace, name))
    return None if row is None else Camera.from_row(row)


async def _subjects(
    info: strawberry.Info,
    first: First = None,
    after: After = None,
    last: Last = None,
    before: Before = None,
) -> SubjectConnection:
    """Return a page of Subjects."""
    request = page_request(first, after, last, before, cursors.decode_subject)
    reader = services(info).subjects
    rows = await from_database(
        reader.page(principal(info), request.after, request.before, request.limit, backward=request.backward)
    )
    found = page(request, rows, Subject.from_row, lambda row: cursors.encode_subject(row.key))
    return SubjectConnection(**found)


async def _site(info: strawberry.Info) -> types.Site:
    """Return the site."""
    own = services(info)
    newest = await own.hub.position(None)
    cameras, subjects = await from_database(own.registered_cameras.count()), await from_database(own.subjects.count())
    return types.Site(
        name=own.site,
        cursor=own.hub.cursor(newest),
        cameras=types.Count(cameras),
        subjects=types.Count(subjects),
    )


def _status(info: strawberry.Info) -> types.Status:
    """Return the state of this process."""
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
    """All queries."""

    node: Node | None = strawberry.field(
        resolver=_node, description="The object of a global id; null when there is none."
    )
    nodes: list[Node | None] = strawberry.field(
        resolver=_nodes, description="The objects of some global ids, in their order; null for each that is not there."
    )
    sightings: SightingConnection = strawberry.field(resolver=_sightings, description="Sightings, the newest first.")
    sighting: Sighting | None = strawberry.field(
        resolver=_sighting, description="One sighting; null when none has this UUID."
    )
    cameras: CameraConnection = strawberry.field(
        resolver=_cameras, description="Registered cameras by namespace and name, each with its last heartbeat."
    )
    camera: Camera | None = strawberry.field(
        resolver=_camera, description="One camera; null when none of this name is registered."
    )
    subjects: SubjectConnection = strawberry.field(
        resolver=_subjects,
        description="Registered Subjects by namespace and name, each with the assessment of its photos.",
    )
    site: types.Site = strawberry.field(resolver=_site, description="The site that this API speaks for.")
    status: types.Status = strawberry.field(resolver=_status, description="The state of this API.")
