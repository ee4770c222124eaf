"""Promises of the program: one sentence when it cannot start, a clean end on SIGTERM."""

import asyncio
import socket
import sys

import httpx
import pytest
from tests.integration.gateway_api.identity import SITE, Identity, a_match
from tests.integration.gateway_api.running import DEADLINE_S, TOKEN
from tests.support.servers import NatsServer, environment

from vigil_cli.standalone.servers.ports import free_port
from vigil_contracts.ids import new_sighting_id

pytestmark = pytest.mark.integration


async def program(bus: NatsServer, database: str, port: int, token: str) -> asyncio.subprocess.Process:
    variables = {
        "VIGIL_SITE": SITE,
        "VIGIL_NATS_URL": bus.url,
        "VIGIL_NATS_TOKEN": bus.token,
        "VIGIL_DATABASE_URL": database,
        "VIGIL_HTTP_PORT": str(port),
        "VIGIL_TOKEN": token,
    }
    pipe = asyncio.subprocess.PIPE
    return await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "vigil_gateway", "api"),
        env={**environment(), **variables},
        stdout=pipe,
        stderr=asyncio.subprocess.STDOUT,
    )


async def answers(port: int) -> None:
    """Wait until the program is ready."""
    async with asyncio.timeout(DEADLINE_S), httpx.AsyncClient() as client:
        while True:
            try:
                if (await client.get(f"http://127.0.0.1:{port}/readyz")).status_code == 200:
                    return
            except httpx.TransportError:
                pass
            await asyncio.sleep(0.1)


async def test_sigterm_ends_the_program_cleanly(nats_server: NatsServer, database_url: str, identity: Identity) -> None:
    await identity.write(a_match(sighting_id=new_sighting_id()))
    port = free_port()
    process = await program(nats_server, database_url, port, TOKEN)
    try:
        await answers(port)
        async with httpx.AsyncClient(headers={"authorization": f"Bearer {TOKEN}"}) as client:
            body = {"query": "{ sightings { nodes { id } } }"}
            found = (await client.post(f"http://127.0.0.1:{port}/graphql", json=body)).json()
        assert len(found["data"]["sightings"]["nodes"]) == 1
        process.terminate()
        output, _ = await asyncio.wait_for(process.communicate(), DEADLINE_S)
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    assert process.returncode == 0
    assert TOKEN not in output.decode()
    assert "Traceback" not in output.decode()


async def test_a_taken_port_is_one_sentence(nats_server: NatsServer, database_url: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        process = await program(nats_server, database_url, port, TOKEN)
        output, _ = await asyncio.wait_for(process.communicate(), DEADLINE_S)
    assert process.returncode == 1
    sentence = f"vigil-gateway: cannot listen on 127.0.0.1:{port} (Address already in use)"
    assert output.decode().strip() == f"{sentence}; set VIGIL_HTTP_HOST or VIGIL_HTTP_PORT"


async def test_a_missing_token_is_one_sentence(nats_server: NatsServer, database_url: str) -> None:
    process = await program(nats_server, database_url, 0, "")
    output, _ = await asyncio.wait_for(process.communicate(), DEADLINE_S)
    assert process.returncode == 2
    (sentence,) = output.decode().splitlines()
    assert sentence.startswith("vigil-gateway: VIGIL_TOKEN: ")
