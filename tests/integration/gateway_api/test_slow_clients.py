"""Clients that send slowly, or nothing, have deadlines and a bound, and others are served meanwhile."""

import asyncio
import contextlib
import json
import socket
from collections.abc import AsyncIterator
from typing import Any

import psutil
import pytest
from tests.integration.gateway_api.running import DEADLINE_S, TOKEN, Api, eventually, httpx_get, running_api
from tests.support.servers import NatsServer

pytestmark = pytest.mark.integration

HEAD = f"POST /graphql HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer {TOKEN}\r\nContent-Type: application/json\r\n"
UPGRADE = (
    "GET /graphql HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
    "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\nSec-WebSocket-Protocol: graphql-transport-ws\r\n\r\n"
)


@contextlib.asynccontextmanager
async def connection(api: Api, sent: str) -> AsyncIterator[asyncio.StreamReader]:
    """Open a connection, send a beginning, and then nothing."""
    reader, writer = await asyncio.open_connection("127.0.0.1", api.port)
    writer.write(sent.encode())
    try:
        yield reader
    finally:
        writer.transport.abort()


async def rest(reader: asyncio.StreamReader) -> str:
    """Return what comes until the server closes."""
    with contextlib.suppress(ConnectionError):
        async with asyncio.timeout(DEADLINE_S):
            return (await reader.read()).decode(errors="replace")
    return ""


@pytest.mark.parametrize(
    ("sent", "status", "reason"),
    [
        ("", "", ""),
        ("POST /graphql HTTP/1.1\r\nHost: a\r\n", "408", "the headers were not complete within"),
        (HEAD + "Content-Length: 60\r\n\r\n{", "408", "the body came too slowly: 1 bytes"),
        (HEAD + "Transfer-Encoding: chunked\r\n\r\n1\r\n{\r\n", "408", "the body came too slowly"),
        ("POST /graphql HTTP/1.1\r\nHost: a\r\nContent-Length: 60\r\n\r\n{", "401", "the token is missing or wrong"),
        ("nonsense\r\n\r\n", "400", "Invalid HTTP request"),
        ("GET / HTTP/1.1\r\nHost: a\r\nX: a\x00b\r\n\r\n", "400", "Invalid HTTP request"),
        ("GET / HTTP/1.1\r\nHost: a\r\nX: " + "x" * 100_000, "400", "Invalid HTTP request"),
        ("GET /healthz HTTP/1.1\r\nHost: a\r\n\r\n", "200", '"ok"'),
    ],
)
async def test_slow_requests_end(
    database_url: str, nats_server: NatsServer, sent: str, status: str, reason: str
) -> None:
    """Each connection is closed by the server, with the reason where a request had begun."""
    async with (
        running_api(database_url, nats_server, head_timeout_s=0.3, body_timeout_s=0.3) as api,
        connection(api, sent) as reader,
    ):
        answer = await rest(reader)
        assert answer.startswith(f"HTTP/1.1 {status}" if status else "")
        assert reason in answer
        if status not in {"", "200"}:
            assert json.loads(answer.partition("\r\n\r\n")[2])["errors"]
        await eventually(lambda: len(api.parts.lobby) == 0, "nothing waits")


async def test_those_who_do_not_authenticate_make_room(database_url: str, nats_server: NatsServer) -> None:
    """Of too many the oldest is closed, and a probe that comes last is answered."""
    async with (
        running_api(database_url, nats_server, max_unauthenticated=10) as api,
        contextlib.AsyncExitStack() as all_,
    ):
        readers = [
            await all_.enter_async_context(connection(api, sent)) for _ in range(10) for sent in ("GET /", UPGRADE)
        ]
        await eventually(lambda: api.parts.lobby.turned_out == 10, "the oldest are closed")
        assert len(api.parts.lobby) == 10
        assert "101 Switching" not in await rest(readers[0])
        assert (await httpx_get(api, "/healthz")).status_code == 200


async def test_a_response_that_nobody_reads_ends(database_url: str, nats_server: NatsServer) -> None:
    """Anybody may ask for the page's script, of more than a megabyte, and would keep it in memory."""
    async with running_api(database_url, nats_server, response_timeout_s=0.3) as api:
        with socket.socket() as client:
            client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            client.connect(("127.0.0.1", api.port))
            client.sendall(b"GET /graphql/graphiql.min.js HTTP/1.1\r\nHost: a\r\n\r\n")
            await eventually(lambda: len(of_clients(api)) == 1, "the connection is open")
            await eventually(lambda: not of_clients(api), "the connection is closed")


def of_clients(api: Api) -> list[Any]:
    """Return the sockets of this process, in which the API runs, that clients have opened."""
    connections = psutil.Process().net_connections("tcp4")
    return [one for one in connections if one.laddr.port == api.port and one.raddr]
