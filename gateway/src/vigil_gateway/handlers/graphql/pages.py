"""Relay's pages: which one was asked for, and how what was found lies in its list."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from vigil_gateway.handlers.graphql.errors import Code, RequestError, limit_error
from vigil_gateway.handlers.graphql.limits import DEFAULT_PAGE, MAX_PAGE
from vigil_gateway.handlers.graphql.types import Connection, Edge, PageInfo
from vigil_gateway.storage.errors import DatabaseError, DatabaseSlowError

Key = TypeVar("Key")
Node = TypeVar("Node")
Answer = TypeVar("Answer")


@dataclass(frozen=True, slots=True)
class PageRequest(Generic[Key]):
    """A page between two places of a list.

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


def connection(
    request: PageRequest[Key], rows: Sequence[Any], node: Callable[[Any], Node], cursor: Callable[[Any], str]
) -> Connection[Node]:
    """Make a page of `limit + 1` rows at most, in the order in which they were read."""
    more = len(rows) > request.limit
    kept = list(rows[: request.limit])
    if request.backward:
        kept.reverse()
    edges = [Edge(cursor=cursor(row), node=node(row)) for row in kept]
    return Connection(
        edges=edges,
        nodes=[edge.node for edge in edges],
        page_info=PageInfo(
            has_next_page=request.before is not None if request.backward else more,
            has_previous_page=more if request.backward else request.after is not None,
            start_cursor=edges[0].cursor if edges else None,
            end_cursor=edges[-1].cursor if edges else None,
        ),
    )


async def asked(answer: Awaitable[Answer]) -> Answer:
    """Wait for the database; raises RequestError when it does not answer."""
    try:
        return await answer
    except DatabaseSlowError as error:
        raise RequestError(Code.TIMEOUT, f"{error}; narrow the time range or ask for a smaller page") from None
    except DatabaseError as error:
        raise RequestError(Code.UNAVAILABLE, f"{error}; try again") from None
