"""Queries, and subscriptions that resume after a lost connection."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import httpx
from gql import Client, gql
from gql.transport.exceptions import TransportError, TransportQueryError, TransportServerError
from gql.transport.websockets import WebsocketsTransport
from gql.transport.websockets_protocol import WebsocketsProtocolTransportBase
from websockets.exceptions import WebSocketException

from vigil_cli.client import documents
from vigil_runtime.backoff import CONNECTION, Backoff

CONNECT_TIMEOUT_S = 10
QUERY_TIMEOUT_S = 15
PASSING = {"TOO_MANY_REQUESTS", "UNAVAILABLE", "TIMEOUT", "INTERNAL"}
"""Codes of errors after which the same request may succeed."""
REFUSED = {4400, 4401, 4403}
"""Close codes of graphql-transport-ws after which the same connection fails again: bad request, no or wrong token."""

Json = dict[str, Any]


class ApiError(Exception):
    """The API did not respond; another attempt may succeed."""


class ApiRefusedError(ApiError):
    """The API refused the request; another attempt fails as well."""


class Api:
    """One GraphQL API.

    Parameters
    ----------
    url
        `http://host:port` or `https://…`, without `/graphql`.
    token
        Bearer token.
    """

    def __init__(self, url: str, token: str) -> None:
        self._url = url.rstrip("/")
        self._token = token

    async def query(self, document: str, variables: Json | None = None) -> Json:
        """Return the data of one query.

        Raises
        ------
        ApiError
            The API did not respond.
        ApiRefusedError
            The response has errors.
        """
        headers = {"Authorization": f"Bearer {self._token}"}
        try:
            async with httpx.AsyncClient(timeout=QUERY_TIMEOUT_S, headers=headers, trust_env=False) as http:
                body = {"query": document, "variables": variables or {}}
                response = await http.post(f"{self._url}/graphql", json=body)
                content = response.json()
        except (httpx.HTTPError, ValueError) as error:
            raise ApiError(
                f"the API at {self._url} does not respond ({type(error).__name__}); check that Vigil runs"
            ) from None
        if content.get("errors"):
            raise _error(content["errors"])
        data: Json = content["data"]
        return data

    async def sightings(
        self,
        after: str | None = None,
        selected: Json | None = None,
        on_lost: Callable[[str], None] = lambda _: None,
        on_back: Callable[[], None] = lambda: None,
    ) -> AsyncGenerator[Json, None]:
        """Yield every event after a cursor, each once, for ever; resume after the last one on a new connection.

        Parameters
        ----------
        after
            Cursor; None: from now on.
        selected
            A SightingFilter.
        on_lost
            Called once for each outage, with its cause.
        on_back
            Called once when the connection is back.

        Raises
        ------
        ApiRefusedError
            The token, the cursor or the filter is not accepted.
        """
        cursor = after
        connection = _ConnectionState(on_lost, on_back)
        while True:
            async with connection.attempt():
                if cursor is None:  # so that nothing between two connections is missed
                    cursor = (await self.query(documents.CURSOR))["site"]["cursor"]
                variables = {"after": cursor, "filter": selected}
                async with aclosing(self._subscribe(documents.SIGHTINGS, variables, connection)) as events:
                    async for data in events:
                        connection.received()
                        cursor = data["sightings"]["cursor"]
                        yield data["sightings"]

    async def cameras(self) -> AsyncGenerator[Json, None]:
        """Yield the heartbeats of all cameras, for ever; raise ApiRefusedError."""
        connection = _ConnectionState()
        while True:
            async with connection.attempt(), aclosing(self._subscribe(documents.CAMERAS, {}, connection)) as events:
                async for data in events:
                    connection.received()
                    yield data["cameras"]

    async def _subscribe(
        self, document: str, variables: Json, connection: "_ConnectionState"
    ) -> AsyncGenerator[Json, None]:
        """Yield the events of one subscription over one connection."""
        transport = WebsocketsTransport(
            url=f"{self._url.replace('http', 'ws', 1)}/graphql",
            init_payload={"authorization": f"Bearer {self._token}"},
            subprotocols=[WebsocketsProtocolTransportBase.GRAPHQLWS_SUBPROTOCOL],
            connect_timeout=CONNECT_TIMEOUT_S,
            ack_timeout=CONNECT_TIMEOUT_S,
            close_timeout=2,
            connect_args={"proxy": None, "max_size": 1 << 20},
        )
        try:
            async with Client(transport=transport, fetch_schema_from_transport=False) as session:
                connection.connected()
                request = gql(document)
                request.variable_values = variables
                async for data in session.subscribe(request):
                    yield data
        except TransportQueryError as error:
            raise _error(error.errors or []) from None
        except TransportServerError as error:
            kind = ApiRefusedError if error.code in {401, 403, 404} else ApiError
            raise kind(str(error)) from None
        except (TransportError, WebSocketException, OSError, TimeoutError) as error:
            raise _lost(error) from None


@dataclass(slots=True)
class _ConnectionState:
    """Whether there is a connection, and the wait before the next attempt; each change is reported once."""

    on_lost: Callable[[str], None] = lambda _: None
    on_back: Callable[[], None] = lambda: None
    _reported: bool = False
    _backoff: Backoff = field(default_factory=lambda: Backoff(*CONNECTION))

    @asynccontextmanager
    async def attempt(self) -> AsyncIterator[None]:
        """Wait before the next attempt when this one ends; raise ApiRefusedError when another one is of no use."""
        cause = "the API closed the subscription; subscribing again"
        try:
            yield
        except ApiRefusedError:
            raise
        except ApiError as error:
            cause = str(error)
        await asyncio.sleep(self.lost(cause))

    def connected(self) -> None:
        if self._reported:
            self._reported = False
            self.on_back()

    def received(self) -> None:
        """Forget earlier failures: only a received event proves that the connection works."""
        self._backoff.reset()

    def lost(self, cause: str) -> float:
        """Return the seconds to wait before the next attempt."""
        if not self._reported:
            self._reported = True
            self.on_lost(cause)
        return self._backoff.next_s()


def _lost(error: Exception) -> ApiError:
    """Return why a connection ended; the reason of the gateway is in the close frame."""
    cause = error.__cause__ or error
    close = getattr(cause, "rcvd", None)
    text = getattr(close, "reason", "") or str(cause) or type(cause).__name__
    kind = ApiRefusedError if getattr(close, "code", None) in REFUSED else ApiError
    return kind(text.splitlines()[0][:200])


def _error(errors: list[Any]) -> ApiError:
    """Return the error by the code of the first one: whether another attempt may succeed."""
    text = "; ".join(str(error.get("message", error)) if isinstance(error, dict) else str(error) for error in errors)
    first = errors[0] if errors and isinstance(errors[0], dict) else {}
    passing = (first.get("extensions") or {}).get("code") in PASSING
    return ApiError(text) if passing else ApiRefusedError(text)
