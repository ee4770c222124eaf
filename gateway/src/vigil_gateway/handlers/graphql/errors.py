"""What clients are told when something goes wrong: their own mistakes in full, ours by an id that the log explains."""

import uuid
from enum import StrEnum
from typing import Any

import structlog
from graphql import GraphQLError

log = structlog.get_logger(__name__)


class Code(StrEnum):
    """`extensions.code` of an error, for programs to act on."""

    BAD_CURSOR = "BAD_CURSOR"
    BAD_ARGUMENT = "BAD_ARGUMENT"
    CURSOR_AHEAD = "CURSOR_AHEAD"
    """The cursor lies beyond the newest event: it is of another site or of another database."""
    CURSOR_EXPIRED = "CURSOR_EXPIRED"
    """Events after the cursor are no longer kept."""
    HISTORY_RESET = "HISTORY_RESET"
    """The database now ends before events that were already told."""
    LIMIT = "LIMIT"
    """A limit was passed; `extensions` name the limit, its value and what was given."""
    UNAVAILABLE = "UNAVAILABLE"
    """A server that is needed is away; the same request may succeed later."""
    TIMEOUT = "TIMEOUT"
    INTERNAL = "INTERNAL"


class RequestError(GraphQLError):
    """An error whose message is meant for the client."""

    def __init__(self, code: Code, message: str, **details: int | str) -> None:
        super().__init__(message, extensions={"code": str(code), **details})
        self.code = code


def limit_error(limit: str, allowed: int, given: int | str, told: str) -> RequestError:
    """Say that a limit was passed: which, what it allows and what was given."""
    return RequestError(
        Code.LIMIT, f"{told}: {given} given, at most {allowed} allowed", limit=limit, allowed=allowed, given=given
    )


def mask(error: GraphQLError) -> GraphQLError:
    """Give the error as clients may see it; what only developers should see goes to the log under an id."""
    original = error.original_error
    if isinstance(error, RequestError) or original is None:
        return error
    if isinstance(original, RequestError):
        return GraphQLError(error.message, error.nodes, path=error.path, extensions=original.extensions)
    if isinstance(original, GraphQLError):
        return error
    error_id = uuid.uuid4().hex[:12]
    log.error("resolver failed", error_id=error_id, path=error.path, exc_info=original)
    return GraphQLError(
        f"internal error {error_id}; the gateway's log tells more under this id",
        error.nodes,
        path=error.path,
        extensions={"code": str(Code.INTERNAL), "errorId": error_id},
    )


def formatted(errors: list[GraphQLError]) -> list[dict[str, Any]]:
    """Give the errors as the wire carries them, masked."""
    return [dict(mask(error).formatted) for error in errors]
