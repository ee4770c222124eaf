"""Erasing a Subject while cameras go on seeing people: nothing is left, and the receipt adds up whatever happened."""

import asyncio
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import asyncpg
import httpx
import pytest
from tests.integration.gateway_identity import database
from tests.integration.gateway_identity.making import a_sighting, axis
from tests.integration.gateway_identity.running import DEADLINE_S, Bus, Process, client_of, until_ready
from tests.support.servers import NatsServer
from tests.support.waiting import eventually

from vigil_cli.standalone.servers.ports import free_port
from vigil_contracts.bus import event_stream
from vigil_gateway.services import erasure
from vigil_gateway.storage.postgres import outbox

pytestmark = pytest.mark.integration

SEEN = 400
ANN = "/registry/v1/subjects/default/ann"
NAMED = "SELECT count(*) AS n FROM events WHERE payload #>> '{identity,subject,name}' = 'ann'"

Start = Callable[..., Any]


@pytest.fixture(autouse=True)
def _no_api_to_wait_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(erasure, "MEMORY_S", 0.0)


@pytest.fixture
async def passers_by(bus: Bus) -> AsyncIterator[None]:
    """Keep sightings of strangers coming, for as long as the test runs."""
    left = asyncio.Event()  # not by a cancellation: wait_for of Python 3.11 may lose it

    async def come() -> None:
        while not left.is_set():
            await bus.publish(a_sighting(axis(4), site=bus.site))
            await asyncio.sleep(0.02)  # their pace

    coming = asyncio.create_task(come())
    yield
    left.set()
    await coming


@pytest.fixture
def process(prepared: str, shared_nats: NatsServer, bus: Bus, tmp_path: Path) -> Iterator[tuple[Process, int]]:
    port = free_port()
    made = Process(
        tmp_path,
        site=bus.site,
        nats_url=shared_nats.url,
        nats_token=shared_nats.token,
        database_url=prepared,
        qdrant_path=tmp_path / "gallery",
        http_port=port,
    )
    made.start()
    yield made, port
    made.kill()
    sys.stdout.write(made.log[-5000:])


async def see_ann(url: str, bus: Bus, times: int, *, published: bool = True) -> None:
    """Have a camera see her, and wait until all of it is recorded and, if it can be, published."""
    await bus.publish(*(a_sighting(axis(0), site=bus.site) for _ in range(times)))
    condition = " AND published_at IS NOT NULL" if published else ""

    async def all_there() -> bool:
        return await database.rows(url, NAMED + condition) == [{"n": times}]

    await eventually(all_there, DEADLINE_S, f"{times} events name her")


def check(receipt: dict[str, Any], seen: int) -> None:
    """Compare a receipt with what was there; strangers are matched too, with her as the nearest one."""
    counts = dict(receipt["counts"])
    assert counts.pop("postgres.matches") >= seen
    assert counts == {
        "postgres.subjects": 1,
        "postgres.subject_photos": 0,
        "postgres.subject_embeddings": 1,
        "qdrant.vectors": 1,
        "postgres.sightings": seen,
        "postgres.events": seen,
        "nats.messages": seen,
    }


@pytest.mark.usefixtures("passers_by")
async def test_a_receipt_adds_up_after_a_kill(prepared: str, bus: Bus, process: tuple[Process, int]) -> None:
    """The process is killed in the middle of the erasure."""
    one, port = process
    await until_ready(port)
    await see_ann(prepared, bus, SEEN)
    async with client_of(port) as http:
        asked = asyncio.create_task(http.delete(ANN))

        async def deleting() -> bool:
            return bool((await bus.jetstream.stream_info(event_stream(bus.site).name)).state.num_deleted)

        await eventually(deleting, DEADLINE_S, "messages are being deleted", poll_s=0.001)
        one.kill()
        assert isinstance((await asyncio.gather(asked, return_exceptions=True))[0], httpx.HTTPError)
    assert await database.rows(prepared, NAMED) != [{"n": 0}]
    one.start()
    await until_ready(port)
    async with client_of(port) as http:
        response = await http.delete(ANN)
    assert response.is_success, response.text
    check(response.json(), SEEN)
    assert await database.rows(prepared, NAMED) == [{"n": 0}]


@pytest.mark.usefixtures("passers_by")
async def test_two_requests_at_once_count_nothing_twice(prepared: str, bus: Bus, identity: Start) -> None:
    program = await identity()
    await until_ready(program.port)
    await see_ann(prepared, bus, SEEN)
    async with client_of(program.port) as http:
        await asyncio.gather(*(http.delete(ANN) for _ in range(3)))
        response = await http.delete(ANN)
    assert response.is_success, response.text
    check(response.json(), SEEN)


@pytest.mark.usefixtures("passers_by")
async def test_a_large_erasure_does_not_count_as_waiting(
    prepared: str, bus: Bus, identity: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Deleting many messages takes longer than the wait for the relay, and is finished."""
    program = await identity()
    await until_ready(program.port)
    await see_ann(prepared, bus, SEEN)
    monkeypatch.setattr(erasure, "WAIT_FOR_RELAY_S", 0.05)
    async with client_of(program.port) as http:
        response = await http.delete(ANN)
    assert response.is_success, response.text
    check(response.json(), SEEN)


@pytest.mark.usefixtures("passers_by")
async def test_an_erasure_waits_for_the_outbox(
    prepared: str, bus: Bus, identity: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The error names the events that are not published, not the bus, which is there."""
    another = await asyncpg.connect(prepared)
    await another.execute("SELECT pg_advisory_lock($1)", outbox.LOCK)  # the relay is elsewhere, and does nothing
    program = await identity()
    await until_ready(program.port)
    await see_ann(prepared, bus, 5, published=False)
    with monkeypatch.context() as impatient:
        impatient.setattr(erasure, "WAIT_FOR_RELAY_S", 0.2)
        async with client_of(program.port) as http:
            refused = await http.delete(ANN)
    assert refused.status_code == 503
    assert "waiting until events of the Subject are published" in refused.json()["detail"]
    assert "(5 are left); the bus is there" in refused.json()["detail"]
    async with client_of(program.port) as http:
        asked = asyncio.create_task(http.delete(ANN))
        await another.close()
        response = await asked
    assert response.is_success, response.text
    check(response.json(), 5)
    assert all(match.identity.subject is None for match in await bus.matches())


async def test_a_correction_does_not_keep_an_erased_name(prepared: str, bus: Bus, identity: Start) -> None:
    """An event that takes her name back from a sighting names her too."""
    program = await identity()
    await until_ready(program.port)
    first = a_sighting(axis(0), site=bus.site)
    await bus.publish(first, a_sighting(axis(4), site=bus.site, sighting_id=first.sighting_id, revision=2))
    corrected = "SELECT count(*) AS n FROM events WHERE payload #>> '{previous,name}' = 'ann'"

    async def published() -> bool:
        return await database.rows(prepared, f"{corrected} AND published_at IS NOT NULL") == [{"n": 1}]

    await eventually(published, DEADLINE_S, "the correction is published")
    async with client_of(program.port) as http:
        response = await http.delete(ANN)
    assert response.is_success, response.text
    assert response.json()["counts"]["postgres.events"] == 2
    assert await database.rows(prepared, "SELECT count(*) AS n FROM events WHERE payload::text LIKE '%ann%'") == [
        {"n": 0}
    ]
    assert all(match.identity.subject is None and match.previous is None for match in await bus.matches())
