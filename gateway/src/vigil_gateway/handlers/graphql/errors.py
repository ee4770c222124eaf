"""The errors of the API: a client's own mistakes in full, a failure of the API by an id that its log explains.

Every error has an `extensions.code`; docs/graphql.md lists them.
"""

import uuid
from collections.abc import Awaitable
from enum import StrEnum
from typing import Any, Final, TypeVar

import structlog
from graphql import GraphQLError, GraphQLSyntaxError
from strawberry.exceptions import StrawberryInputCoercionError

from vigil_gateway.http.json_text import shown
from vigil_gateway.principal import PermissionDeniedError
from vigil_gateway.storage.errors import DatabaseError, DatabaseSlowError

Read = TypeVar("Read")

RETRY_AFTER_S: Final = 2
"""Seconds for a client to wait before it repeats a request that failed here."""

log = structlog.get_logger(__name__)


class Code(StrEnum):
    """`extensions.code` of an error, for programs to act on."""

    UNAUTHENTICATED = "UNAUTHENTICATED"
    """The token is missing or wrong."""
    FORBIDDEN = "FORBIDDEN"
    """The token has no permission for this."""
    BAD_REQUEST = "BAD_REQUEST"
    """The request is not one of GraphQL over HTTP or WebSocket."""
    BAD_DOCUMENT = "BAD_DOCUMENT"
    """The document has a syntax error or does not fit the schema."""
    BAD_ARGUMENT = "BAD_ARGUMENT"
    """A variable or an argument has a value that cannot be used."""
    BAD_ID = "BAD_ID"
    """The id was not made by this API, or names another kind of object."""
    BAD_CURSOR = "BAD_CURSOR"
    """The cursor was not made by this API, or belongs to another list."""
    CURSOR_AHEAD = "CURSOR_AHEAD"
    """The cursor lies beyond the newest event: it is of another site or of another database."""
    CURSOR_EXPIRED = "CURSOR_EXPIRED"
    """Events after the cursor are no longer kept."""
    HISTORY_RESET = "HISTORY_RESET"
    """The database ends before events that were already sent."""
    LIMIT = "LIMIT"
    """A limit was exceeded; `extensions` name the limit, its value and what was given."""
    TOO_MANY_REQUESTS = "TOO_MANY_REQUESTS"
    """The principal or the connection has too many queries under way; the same request may succeed later."""
    UNAVAILABLE = "UNAVAILABLE"
    """A server that is needed is away; the same request may succeed later."""
    TIMEOUT = "TIMEOUT"
    """The database did not respond in time."""
    INTERNAL = "INTERNAL"
    """A defect; the log has more under `extensions.errorId`."""


class RequestError(GraphQLError):
    """An error whose message is meant for the client."""

    def __init__(self, code: Code, message: str, **details: int | str) -> None:
        super().__init__(message, extensions={"code": str(code), **details})
        self.code = code


def limit_error(limit: str, allowed: int, given: int | str, what: str) -> RequestError:
    """Return the error of a limit that was exceeded: which, what it allows and what was given."""
    return RequestError(
        Code.LIMIT, f"{what}: {given} given, at most {allowed} allowed", limit=limit, allowed=allowed, given=given
    )


def no_operation(name: str | None) -> RequestError:
    """Return the error of a document of which it is not known what to execute."""
    if name is None:
        message = "the document has no operation, or several and none was named; send `operationName`"
    else:
        message = f"the document has no operation {shown(name)}; correct `operationName`"
    return RequestError(Code.BAD_DOCUMENT, message)


async def from_database(read: Awaitable[Read]) -> Read:
    """Return what is read from the database; raises RequestError when it does not respond."""
    try:
        return await read
    except DatabaseSlowError as error:
        message = f"{error}; narrow the time range or ask for a smaller page"
        raise RequestError(Code.TIMEOUT, message, retryAfterS=RETRY_AFTER_S) from None
    except DatabaseError as error:
        raise RequestError(Code.UNAVAILABLE, f"{error}; try again", retryAfterS=RETRY_AFTER_S) from None


def mask(error: GraphQLError, mistake: Code = Code.BAD_ARGUMENT) -> GraphQLError:
    """Return the error as clients may see it, with a code; the log has the rest under an id.

    Parameters
    ----------
    mistake
        Code of an error that graphql-core finds in a request by itself.
    """
    if "code" in (error.extensions or {}):
        return error
    cause = _cause(error)
    if isinstance(cause, RequestError):
        return _with(error, cause.extensions)
    if (code := _code(cause, mistake)) is not None:
        return _with(error, {"code": str(code)})
    error_id = uuid.uuid4().hex[:12]
    log.error("resolver failed", error_id=error_id, path=error.path, exc_info=cause)
    return GraphQLError(
        f"internal error {error_id}; the gateway's log has more under this id",
        error.nodes,
        path=error.path,
        extensions={"code": str(Code.INTERNAL), "errorId": error_id},
    )


def _cause(error: GraphQLError) -> Exception:
    """Return what an error was first, below the layers that graphql-core wraps around it."""
    cause: Exception = error
    while isinstance(cause, GraphQLError) and cause.original_error is not None:
        cause = cause.original_error
    return cause


def _code(cause: Exception, mistake: Code) -> Code | None:
    """Return the code of an error whose message clients may see; None: they may not."""
    if isinstance(cause, PermissionDeniedError):
        return Code.FORBIDDEN
    if isinstance(cause, StrawberryInputCoercionError):
        return Code.BAD_ARGUMENT
    if isinstance(cause, GraphQLSyntaxError):
        return Code.BAD_DOCUMENT
    return mistake if isinstance(cause, GraphQLError) else None


def _with(error: GraphQLError, extensions: dict[str, Any] | None) -> GraphQLError:
    return GraphQLError(
        error.message, error.nodes, error.source, error.positions, path=error.path, extensions=extensions
    )


def formatted(errors: list[GraphQLError]) -> list[dict[str, Any]]:
    """Return the errors as JSON, masked."""
    return [dict(mask(error).formatted) for error in errors]


def error_body(error: RequestError) -> dict[str, Any]:
    """Return the JSON body of a response that has an error and no data."""
    return {"errors": [dict(error.formatted)]}
