"""Probes and metrics of the small server."""

import asyncio
import json
from collections.abc import AsyncIterator

import httpx
import pytest

from vigil_runtime.health import HealthServer, ListenError, Response, metrics, probe

ROUTES = {
    "/healthz": lambda: probe({}),
    "/readyz": lambda: probe({"bus": "", "inference": "no Triton answers"}, {"lease": "held"}),
    "/metrics": lambda: metrics(b"vigil_build_info 1\n"),
}


@pytest.fixture
async def client() -> AsyncIterator[httpx.AsyncClient]:
    server = HealthServer(ROUTES)
    port = await server.start("127.0.0.1", 0)
    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}") as found:
        yield found
    await server.close()


async def test_a_probe_names_each_part_and_what_is_wrong(client: httpx.AsyncClient) -> None:
    alive, ready = await client.get("/healthz"), await client.get("/readyz?verbose")
    assert (alive.status_code, alive.json()) == (200, {"ok": True})
    assert ready.status_code == 503
    assert ready.json() == {"ok": False, "bus": "ok", "inference": "no Triton answers", "lease": "held"}


@pytest.mark.parametrize(
    ("method", "path", "status"), [("GET", "/metrics", 200), ("GET", "/secret", 404), ("POST", "/healthz", 405)]
)
async def test_only_known_routes_answer(client: httpx.AsyncClient, method: str, path: str, status: int) -> None:
    assert (await client.request(method, path)).status_code == status


async def test_a_port_in_use_is_named_with_what_to_do() -> None:
    first, second = HealthServer(ROUTES), HealthServer(ROUTES)
    port = await first.start("127.0.0.1", 0)
    with pytest.raises(ListenError, match=f"127.0.0.1:{port} .*VIGIL_HTTP_PORT"):
        await second.start("127.0.0.1", port)
    await first.close()


@pytest.mark.parametrize("request_", [b"\r\n\r\n", b"x" * 9000, b"GET\r\n\r\n"])
async def test_what_is_not_http_ends_that_connection_only(request_: bytes) -> None:
    server = HealthServer(ROUTES)
    port = await server.start("127.0.0.1", 0)
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(request_)
    async with asyncio.timeout(10):
        answer = await reader.read()
    assert answer == b"" or answer.startswith(b"HTTP/1.1 400")
    writer.close()
    async with httpx.AsyncClient() as client:
        assert (await client.get(f"http://127.0.0.1:{port}/healthz")).status_code == 200
    await server.close()


def test_notes_change_no_status() -> None:
    response = probe({"database": ""}, {"bus": "away; events come from the database"})
    assert response == Response(200, "application/json", response.body)
    assert json.loads(response.body)["bus"].startswith("away")
