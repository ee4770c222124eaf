"""The page and the API work behind a reverse proxy with nginx's defaults, and below a path prefix."""

import asyncio
import base64
import contextlib
import hashlib
import json
import re
from collections.abc import AsyncIterator
from urllib.parse import urljoin

import httpx
import pytest
import websockets
from tests.integration.gateway_api.running import DEADLINE_S, METRICS_TOKEN, TOKEN, Api
from websockets.asyncio.client import connect

from vigil_gateway.handlers.rest.page import VENDORED

pytestmark = pytest.mark.integration


@contextlib.asynccontextmanager
async def proxy(api: Api, prefix: str, *, keeps: bool = False) -> AsyncIterator[str]:
    """Run a proxy that sets Host to the upstream's, as nginx does unless told otherwise.

    It removes the prefix unless it `keeps` it.
    """

    async def pipe(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):
            while data := await reader.read(65_536):
                writer.write(data)
                await writer.drain()
        writer.close()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
        method, path, rest = head.split(" ", 2)
        assert path.startswith(prefix)
        rest = re.sub(r"(?im)^host:.*\r\n", f"Host: 127.0.0.1:{api.port}\r\n", rest)
        if "upgrade: websocket" not in rest.lower():
            rest = re.sub(r"(?im)^connection:.*\r\n", "", rest).replace("\r\n", "\r\nConnection: close\r\n", 1)
        above, below = await asyncio.open_connection("127.0.0.1", api.port)
        path = path if keeps else path.removeprefix(prefix) or "/"
        below.write(f"{method} {path} {rest}".encode("latin-1"))
        await asyncio.gather(pipe(reader, below), pipe(above, writer))

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}{prefix}"


@pytest.mark.parametrize(("prefix", "keeps"), [("", False), ("/vigil", False), ("/a/graphql-of/vigil", True)])
async def test_page_behind_proxy(api: Api, prefix: str, keeps: bool) -> None:
    """From the root, or with a slash too much, a browser reaches the page, its files, and both transports."""
    async with (
        proxy(api, prefix, keeps=keeps) as outside,
        httpx.AsyncClient(follow_redirects=True, trust_env=False, timeout=DEADLINE_S) as browser,
    ):
        for path in ("/graphql/", "/graphql") if keeps else ("/", "/graphql/", "/graphql"):
            page = await browser.get(outside + path, headers={"accept": "text/html,*/*;q=0.8"})
            assert str(page.url) == f"{outside}/graphql"
        policy = page.headers["content-security-policy"]
        scripts = re.findall(r'<script src="([^"]+)" integrity="([^"]+)"></script>', page.text)
        assert len(scripts) == 4
        assert re.findall(r"script-src ([^;]+);", policy) == [" ".join(f"'{one}'" for _, one in scripts)]
        assert "http" not in policy + page.text.replace("graphql/", "")
        for address, integrity in scripts:
            script = await browser.get(urljoin(str(page.url), address))
            assert script.headers["content-type"] == "text/javascript; charset=utf-8"
            assert integrity == "sha384-" + base64.b64encode(hashlib.sha384(script.content).digest()).decode()
        for address in re.findall(r'<link rel="stylesheet" href="([^"]+)"', page.text):
            style = await browser.get(urljoin(str(page.url), address), headers={"accept-encoding": "identity"})
            assert style.headers["content-type"] == "text/css; charset=utf-8"
        headers = {"authorization": f"Bearer {TOKEN}"}
        answer = await browser.post(str(page.url), json={"query": "{ __typename }"}, headers=headers)
        assert answer.json()["data"] == {"__typename": "Query"}
        origin = websockets.Origin(outside.removesuffix(prefix))
        protocol = [websockets.Subprotocol("graphql-transport-ws")]
        async with connect(str(page.url).replace("http", "ws", 1), subprotocols=protocol, origin=origin) as ws:
            await ws.send(json.dumps({"type": "connection_init", "payload": headers}))
            assert json.loads(await asyncio.wait_for(ws.recv(), DEADLINE_S))["type"] == "connection_ack"


async def test_the_packages_of_the_page_are_unchanged(api: Api) -> None:
    async with httpx.AsyncClient(base_url=api.http, trust_env=False) as client:
        for name, sha384 in VENDORED.items():
            content = (await client.get(f"/graphql/{name}")).content
            assert base64.b64encode(hashlib.sha384(content).digest()).decode() == sha384, name


async def test_metrics_and_schemas_are_not_public(api: Api) -> None:
    """The token of metrics opens nothing else; probes are open to all."""
    async with httpx.AsyncClient(base_url=api.http, trust_env=False) as client:
        for path in ("/openapi.json", "/docs", "/redoc"):
            assert (await client.get(path)).status_code == 404
        assert (await client.get("/metrics")).status_code == 401
        for token in (TOKEN, METRICS_TOKEN):
            assert (await client.get("/metrics", headers={"authorization": f"Bearer {token}"})).status_code == 200
        headers = {"authorization": f"Bearer {METRICS_TOKEN}"}
        assert (await client.post("/graphql", json={"query": "{ __typename }"}, headers=headers)).status_code == 401
        for path in ("/healthz", "/readyz"):
            assert (await client.get(path)).status_code == 200
