"""GraphQL over HTTP: which media types, methods and parameters, and with which status a response is sent.

https://graphql.github.io/graphql-over-http/draft/. A request that is none is refused by a status; one that is, but
cannot be executed, by `errors` without `data`, with a status that depends on the media type that the client accepts.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import parse_qsl

from fastapi import HTTPException
from graphql import GraphQLError
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from vigil_gateway.handlers.graphql.errors import Code
from vigil_gateway.http import json_text

RESPONSE_JSON: Final = "application/graphql-response+json"
PLAIN_JSON: Final = "application/json"
"""Of clients older than the draft: 200 whatever the outcome of a request that could be read."""

MAX_PARAMETERS: Final = 20
"""In an address; four are used."""

METHODS: Final = ("GET", "POST")

_STATUS: Final = {
    Code.UNAUTHENTICATED: 401,
    Code.FORBIDDEN: 403,
    Code.TOO_MANY_REQUESTS: 429,
    Code.UNAVAILABLE: 503,
    Code.TIMEOUT: 504,
    Code.INTERNAL: 500,
}


@dataclass(frozen=True, slots=True)
class Operation:
    """What a client wants to be executed."""

    query: str
    variables: dict[str, Any] | None
    name: str | None


def accepted_type(accept: str) -> str:
    """Return the media type for the response to a client with this `Accept`; raises HTTPException when it has none."""
    ranges = [_range(part) for part in accept.split(",") if part.strip()] or [("*/*", 1.0)]
    weights = {media: _weight(media, ranges) for media in (RESPONSE_JSON, PLAIN_JSON)}
    best = max(weights, key=lambda media: weights[media])
    if weights[best] <= 0:
        message = f"the response can be {RESPONSE_JSON} or {PLAIN_JSON}; accept one of them. Subscriptions are served "
        raise HTTPException(406, f"{message}over WebSocket")
    return best


def _range(part: str) -> tuple[str, float]:
    """Return a media range and its weight; one of another charset than UTF-8 has none."""
    media, *parameters = (one.strip().lower() for one in part.split(";"))
    values = dict(one.partition("=")[::2] for one in parameters)
    if values.get("charset", "utf-8").strip('"') not in {"utf-8", "utf8"}:
        return media, 0.0
    try:
        weight = float(values.get("q", "1"))
    except ValueError:
        return media, 0.0
    return media, weight if 0 <= weight <= 1 else 0.0


def _weight(media: str, ranges: list[tuple[str, float]]) -> float:
    """Return the weight of the most specific range that a media type is in (RFC 9110 §12.5.1)."""
    for pattern in (media, "application/*", "*/*"):
        found = [weight for one, weight in ranges if one == pattern]
        if found:
            return max(found)
    return 0.0


async def read_operation(request: Request) -> Operation:
    """Return the operation in a request; raises HTTPException when there is none."""
    if request.method == "GET":
        return _operation(_from_address(request.scope["query_string"]))
    _check_content_type(request.headers.get("content-type", ""))
    return _operation(_json(await request.body(), "the body"))


def _check_content_type(given: str) -> None:
    media, *parameters = (one.strip().lower() for one in given.split(";"))
    charset = dict(one.partition("=")[::2] for one in parameters).get("charset", "utf-8").strip('"')
    if media != PLAIN_JSON or charset not in {"utf-8", "utf8"}:
        shown = json_text.shown(given) if given else "no Content-Type"
        raise HTTPException(415, f"the body has {shown}; send {PLAIN_JSON} in UTF-8")


def _from_address(query_string: bytes) -> dict[str, Any]:
    """Return the parameters in an address; `variables` and `extensions` are JSON there."""
    try:
        pairs = parse_qsl(
            query_string.decode("ascii"), keep_blank_values=True, errors="strict", max_num_fields=MAX_PARAMETERS
        )
    except UnicodeDecodeError:
        raise HTTPException(400, "the address is not UTF-8; encode each parameter as UTF-8 and percent signs") from None
    except ValueError:
        raise HTTPException(400, f"the address has more than {MAX_PARAMETERS} parameters") from None
    found: dict[str, Any] = {}
    for name, value in pairs:
        if name in found:
            raise HTTPException(400, f"the address has the parameter {json_text.shown(name)} twice")
        found[name] = value
    for name in ("variables", "extensions"):
        if found.get(name):
            found[name] = _json(found[name], f"the parameter `{name}`")
        else:
            found.pop(name, None)
    return found


def _json(given: bytes | str, what: str) -> Any:  # noqa: ANN401 - any JSON
    try:
        return json_text.decode(given)
    except json_text.JsonError as error:
        raise HTTPException(400, f"{what} cannot be read: {error}") from None


def _operation(found: object) -> Operation:
    if isinstance(found, list):
        raise HTTPException(400, "the body is a list; operations are sent one by one")
    if not isinstance(found, Mapping):
        raise HTTPException(400, "the body is an object with `query`, and `variables` where there are any")
    query = found.get("query")
    if query is None or query == "":
        raise HTTPException(400, "the request has no `query`; send the text of an operation")
    if not isinstance(query, str):
        raise HTTPException(400, "`query` must be a text")
    if not isinstance(found.get("operationName"), str | None):
        raise HTTPException(400, "`operationName` must be a text")
    for name in ("variables", "extensions"):
        if not isinstance(found.get(name), dict | None):
            raise HTTPException(400, f"`{name}` must be an object")
    return Operation(query, found.get("variables"), found.get("operationName") or None)


def response(data: object, errors: list[GraphQLError], media: str) -> Response:
    """Return the response to an operation; `data` is left out where nothing was executed."""
    body: dict[str, Any] = {"data": data}
    if errors:
        body["errors"] = [dict(error.formatted) for error in errors]
    status = 200
    if data is None and errors and all(error.path is None for error in errors):
        del body["data"]
        status = _STATUS.get((errors[0].extensions or {}).get("code", ""), 400) if media == RESPONSE_JSON else 200
    return JSONResponse(body, status, media_type=media, headers=_headers(errors, status))


def _headers(errors: list[GraphQLError], status: int) -> dict[str, str]:
    headers = {"WWW-Authenticate": "Bearer"} if status == 401 else {}
    pauses = [pause for error in errors if (pause := (error.extensions or {}).get("retryAfterS")) is not None]
    if pauses:
        headers["Retry-After"] = str(max(pauses))
    return headers
