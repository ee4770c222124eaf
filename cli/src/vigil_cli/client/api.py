"""Queries, and subscriptions that go on where they stopped after every lost connection."""

import asyncio
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from dataclasses import dataclass, field
from typing import Any

import httpx
from gql import Client, gql
from gql.transport.exceptions import TransportError, TransportQueryError, TransportServerError
from gql.transport.websockets import WebsocketsTransport
from gql.transport.websockets_protocol import WebsocketsProtocolTransportBase
from websockets.exceptions import WebSocketException

from vigil_cli.client import documents
from vigil_runtime.backoff import Backoff

CONNECT_TIMEOUT_S = 10
QUERY_TIMEOUT_S = 15
PASSING = {"UNAVAILABLE", "TIMEOUT", "INTERNAL"}
"""Codes of errors after which the same request may succeed."""
REFUSED = {4400, 4401, 4403}
"""Close codes of graphql-transport-ws after which the same connection fails again: bad request, no or wrong token."""
FIRST_PAUSE_S, LONGEST_PAUSE_S = 0.2, 10.0

Json = dict[str, Any]


class ApiError(Exception):
    """The API did not answer; trying again may help."""


class ApiRefusedError(ApiError):
    """The API answered that it will not do this; trying again does not help."""


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
        """Ask once.

        Raises
        ------
        ApiError
            There is no answer.
        ApiRefusedError
            There is one, with errors.
        """
        headers = {"Authorization": f"Bearer {self._token}"}
        try:
            async with httpx.AsyncClient(timeout=QUERY_TIMEOUT_S, headers=headers, trust_env=False) as http:
                body = {"query": document, "variables": variables or {}}
                response = await http.post(f"{self._url}/graphql", json=body)
                answer = response.json()
        except (httpx.HTTPError, ValueError) as error:
            raise ApiError(f"the API at {self._url} does not answer ({type(error).__name__})") from None
        if answer.get("errors"):
            raise _error(answer["errors"])
        data: Json = answer["data"]
        return data

    async def sightings(
        self,
        after: str | None = None,
        selected: Json | None = None,
        on_lost: Callable[[str], None] = lambda _: None,
        on_back: Callable[[], None] = lambda: None,
    ) -> AsyncGenerator[Json, None]:
        """Hear every event behind a cursor, each once, for ever; after a lost connection it goes on behind the last.

        Parameters
        ----------
        after
            Cursor; None: from now on.
        selected
            A SightingFilter.
        on_lost
            Told once why there is no connection, or no longer one; further attempts that fail are not told.
        on_back
            Told once there is one again.

        Raises
        ------
        ApiRefusedError
            The token, the cursor or the filter is not accepted.
        """
        cursor = after
        line = _Line(on_lost, on_back)
        while True:
            try:
                if cursor is None:  # so that nothing between two connections is missed
                    cursor = (await self.query(documents.CURSOR))["site"]["cursor"]
                variables = {"after": cursor, "filter": selected}
                async with aclosing(self._listen(documents.SIGHTINGS, variables, line)) as events:
                    async for data in events:
                        line.heard()
                        cursor = data["sightings"]["cursor"]
                        yield data["sightings"]
                told = "the API closed the subscription"
            except ApiRefusedError:
                raise
            except ApiError as error:
                told = str(error)
            await asyncio.sleep(line.lost(told))

    async def cameras(self) -> AsyncGenerator[Json, None]:
        """Hear every camera's heartbeats, for ever; raises ApiRefusedError."""
        line = _Line()
        while True:
            try:
                async with aclosing(self._listen(documents.CAMERAS, {}, line)) as events:
                    async for data in events:
                        line.heard()
                        yield data["cameras"]
                told = "the API closed the subscription"
            except ApiRefusedError:
                raise
            except ApiError as error:
                told = str(error)
            await asyncio.sleep(line.lost(told))

    async def _listen(self, document: str, variables: Json, line: "_Line") -> AsyncGenerator[Json, None]:
        """One subscription over one connection."""
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
                line.connected()
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
class _Line:
    """Whether there is a connection, told at every change; and how long to wait before the next one is tried."""

    on_lost: Callable[[str], None] = lambda _: None
    on_back: Callable[[], None] = lambda: None
    _told: bool = False
    _backoff: Backoff = field(default_factory=lambda: Backoff(FIRST_PAUSE_S, LONGEST_PAUSE_S))

    def connected(self) -> None:
        if self._told:
            self._told = False
            self.on_back()

    def heard(self) -> None:
        """Forget earlier failures: only what is heard proves that a connection is of use."""
        self._backoff.reset()

    def lost(self, why: str) -> float:
        """Give the seconds to wait."""
        if not self._told:
            self._told = True
            self.on_lost(why)
        return self._backoff.next_s()


def _lost(error: Exception) -> ApiError:
    """Say in a few words why a connection ended; a gateway's own words stand in the close frame."""
    cause = error.__cause__ or error
    close = getattr(cause, "rcvd", None)
    words = getattr(close, "reason", "") or str(cause) or type(cause).__name__
    kind = ApiRefusedError if getattr(close, "code", None) in REFUSED else ApiError
    return kind(words.splitlines()[0][:200])


def _error(errors: list[Any]) -> ApiError:
    """Tell apart what may pass and what will not, by the code of the first error."""
    told = "; ".join(str(error.get("message", error)) if isinstance(error, dict) else str(error) for error in errors)
    first = errors[0] if errors and isinstance(errors[0], dict) else {}
    passing = (first.get("extensions") or {}).get("code") in PASSING
    return ApiError(told) if passing else ApiRefusedError(told)
