"""Relay's pages: which one was asked for, and where the rows that were found lie in their list."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

import strawberry

from vigil_gateway.handlers.graphql.context import principal, services
from vigil_gateway.handlers.graphql.errors import Code, RequestError, from_database, limit_error
from vigil_gateway.handlers.graphql.limits import DEFAULT_PAGE, MAX_PAGE
from vigil_gateway.handlers.graphql.nodes import Camera, Node, Sighting, Subject
from vigil_gateway.handlers.graphql.types import Count
from vigil_gateway.storage.postgres.sighting_reader import SightingQuery

Key = TypeVar("Key")
NodeT = TypeVar("NodeT", bound=Node)


@dataclass(frozen=True, slots=True)
class PageRequest(Generic[Key]):
    """A page between two positions of a list.

    Attributes
    ----------
    limit
        Entries, 1 to MAX_PAGE.
    backward
        Counted from the list's end.
    """

    limit: int
    backward: bool
    after: Key | None
    before: Key | None


@strawberry.type(description="The position of a page in its list.")
class PageInfo:
    """Relay's PageInfo."""

    has_next_page: bool
    has_previous_page: bool
    start_cursor: str | None
    end_cursor: str | None


@strawberry.type(description="An entry of a list with its position.")
class Edge(Generic[NodeT]):
    """Relay's Edge."""

    cursor: str
    node: NodeT


@strawberry.type
class Connection(Generic[NodeT]):
    """Relay's connection, with `nodes` for clients that need no cursors."""

    edges: list[Edge[NodeT]]
    page_info: PageInfo
    nodes: list[NodeT] = strawberry.field(description="The entries without their cursors.")


async def _count_cameras(info: strawberry.Info) -> Count:
    return Count(await from_database(services(info).registered_cameras.count()))


async def _count_subjects(info: strawberry.Info) -> Count:
    return Count(await from_database(services(info).subjects.count()))


async def _estimate(self: "SightingConnection", info: strawberry.Info) -> Count:
    """Estimate the length of the list: to count it would read millions of rows."""
    return Count(await from_database(services(info).sightings.estimate(principal(info), self.query)))


@strawberry.type(description="One page of the list of cameras.")
class CameraConnection(Connection[Camera]):
    """The list of cameras, which is short enough to be counted."""

    total_count: Count = strawberry.field(resolver=_count_cameras, description="All entries of the list, on all pages.")


@strawberry.type(description="One page of the list of Subjects.")
class SubjectConnection(Connection[Subject]):
    """The list of Subjects, which is short enough to be counted."""

    total_count: Count = strawberry.field(
        resolver=_count_subjects, description="All entries of the list, on all pages."
    )


@strawberry.type(description="One page of the list of sightings.")
class SightingConnection(Connection[Sighting]):
    """The list of sightings, whose length is estimated."""

    estimated_count: Count = strawberry.field(
        resolver=_estimate,
        description="How many sightings fit the filter, on all pages: the database's estimate, without counting them.",
    )
    query: strawberry.Private[SightingQuery]


def page_request(
    first: int | None, after: str | None, last: int | None, before: str | None, decode: Callable[[str], Key]
) -> PageRequest[Key]:
    """Check Relay's four arguments.

    Raises
    ------
    RequestError
        Both `first` and `last`, a size below 1 or above MAX_PAGE, a cursor that is not of this list.
    """
    if first is not None and last is not None:
        raise RequestError(Code.BAD_ARGUMENT, "`first` and `last` were both given; give one of them")
    size = first if last is None else last
    if size is not None and size > MAX_PAGE:
        raise limit_error("pageSize", MAX_PAGE, size, "entries in a page")
    if size is not None and size < 1:
        raise RequestError(Code.BAD_ARGUMENT, f"a page of {size} entries was asked for; ask for 1 to {MAX_PAGE}")
    return PageRequest(
        limit=DEFAULT_PAGE if size is None else size,
        backward=last is not None,
        after=None if after is None else decode(after),
        before=None if before is None else decode(before),
    )


def page(
    request: PageRequest[Key], rows: Sequence[Any], node: Callable[[Any], NodeT], cursor: Callable[[Any], str]
) -> dict[str, Any]:
    """Return the fields of the connection of `limit + 1` rows at most, in the order in which they were read."""
    more = len(rows) > request.limit
    kept = list(rows[: request.limit])
    if request.backward:
        kept.reverse()
    edges = [Edge(cursor=cursor(row), node=node(row)) for row in kept]
    info = PageInfo(
        has_next_page=request.before is not None if request.backward else more,
        has_previous_page=more if request.backward else request.after is not None,
        start_cursor=edges[0].cursor if edges else None,
        end_cursor=edges[-1].cursor if edges else None,
    )
    return {"edges": edges, "page_info": info, "nodes": [edge.node for edge in edges]}
