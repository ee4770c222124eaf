"""The real programs run with the permissions of their roles, and the server has nothing to refuse them."""

import asyncio
import contextlib
import datetime as dt
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr
from tests.integration.gateway_identity import database
from tests.integration.gateway_identity.making import a_sighting, axis, body
from tests.integration.gateway_identity.running import client_of, running_program, until_ready
from tests.integration.stream.processes import SITE, StreamProcess
from tests.support.bus_roles import BusOfRoles, acting, start_bus_of_roles
from tests.support.databases import drop, migrated
from tests.support.servers import PostgresServer, TritonServer
from tests.support.shared import shared
from tests.support.waiting import eventually

from vigil_contracts.bus import MSG_ID_HEADER, MessageKind, bus_subject, message_id
from vigil_contracts.bus_permissions import BusRole
from vigil_contracts.ids import ResourceKey
from vigil_gateway.api.limits import ApiLimits
from vigil_gateway.api.program import ApiProgram
from vigil_gateway.settings import ApiSettings
from vigil_operator.bus.heartbeats import Heartbeats
from vigil_operator.bus.listener import BusListener
from vigil_runtime.bus import BusConnection, ensure_streams

pytestmark = pytest.mark.integration

DOOR = ResourceKey("default", "door")
ALL_PUBLISHED = "SELECT count(*) AS n FROM events WHERE published_at IS NOT NULL"


@pytest.fixture
def bus(tmp_path: Path) -> Any:
    made = start_bus_of_roles(tmp_path / "bus", SITE)
    yield made
    made.running.kill()


@pytest.fixture
async def database_url(shared_postgres: PostgresServer) -> AsyncIterator[str]:
    """Return the address of a database with a model, a camera, and Ann."""
    template = await migrated(shared_postgres, dt.datetime.now(dt.UTC))
    url = shared_postgres.url(template)
    await database.add_model(url)
    await database.add_camera(url, SITE)
    await database.add_subject(url, "ann", axis(0))
    yield url
    await drop(shared_postgres, url)


@contextlib.asynccontextmanager
async def until_left(work: Callable[[], Any]) -> AsyncIterator[asyncio.Task[None]]:
    task = asyncio.create_task(work())
    try:
        yield task
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


@contextlib.asynccontextmanager
async def running_api(bus: BusOfRoles, database_url: str) -> AsyncIterator[ApiProgram]:
    settings = ApiSettings(
        site=SITE,
        nats_url=bus.url,
        nats_credentials=bus.credentials(BusRole.API),
        database_url=SecretStr(database_url),
        token=SecretStr("for-tests"),
    )
    program = ApiProgram(settings, ApiLimits())
    task = asyncio.create_task(program.serve())
    try:
        await eventually(lambda: program.started or task.done(), 20, "the API listens")
        yield program
    finally:
        program.stopping.set()
        await asyncio.wait_for(task, 20)


async def test_identity_and_the_api_do_all_their_work(bus: BusOfRoles, database_url: str, tmp_path: Path) -> None:
    """A sighting becomes a match, which is heard, deleted when its retention ends, or when the person is erased."""
    identity = {"nats_credentials": bus.credentials(BusRole.IDENTITY), "qdrant_path": tmp_path / "gallery"}
    async with (
        running_program(site=SITE, nats_url=bus.url, database_url=database_url, **identity) as program,
        running_api(bus, database_url) as api,
        acting(bus, BusRole.STREAM, DOOR) as door,
    ):
        await until_ready(program.port)
        await eventually(lambda: api.parts.bus.connected, 20, "the API is connected")
        for sighting in (a_sighting(axis(0), site=SITE), a_sighting(axis(0), site=SITE)):
            content = body(sighting)
            headers = {MSG_ID_HEADER: message_id(DOOR, sighting.event_id, content)}
            await door.client.jetstream().publish(
                bus_subject(SITE, MessageKind.SIGHTING, DOOR), content, headers=headers
            )

        async def published() -> bool:
            return await database.rows(database_url, ALL_PUBLISHED) == [{"n": 2}]

        await eventually(published, 30, "both matches are published")
        async with client_of(program.port) as http:
            receipt = await http.delete("/registry/v1/subjects/default/ann")
        assert receipt.is_success, receipt.text
        assert receipt.json()["counts"]["nats.messages"] == 2
        expiry = program.parts.retention.expiry
        await expiry.purge(DOOR, await expiry.before(dt.datetime.now(dt.UTC)))
        assert await program.parts.processor.consumer.backlog() == 0
        async with client_of(program.port) as http:
            assert (await http.get("/readyz")).status_code == 200
    assert bus.refusals == []


async def test_a_stream_is_seen_by_the_operator_and_the_api(
    bus: BusOfRoles, database_url: str, open_triton: TritonServer, tmp_path: Path
) -> None:
    """The stream process starts before there are streams; its sightings wait in its journal until identity makes them.

    Who listens hears its heartbeats, and who comes after its end reads the last one.
    """
    clip = {"type": "File", "url": f"file://{shared('video/short_hamilton_clip.mp4')}", "loop": True}
    await database.add_camera(database_url, SITE, "clip")
    process = StreamProcess(tmp_path, "clip", bus.url, "", open_triton.address, source=clip)
    process.settings["VIGIL_NATS_CREDENTIALS"] = str(bus.credentials(BusRole.STREAM, process.key))
    live, kept = (Heartbeats(lambda _: None, lambda _: None) for _ in range(2))
    identity = BusConnection(bus.address(BusRole.IDENTITY), "identity", BusRole.IDENTITY)
    try:
        async with (
            until_left(BusListener(bus.address(BusRole.OPERATOR), live).run),
            running_api(bus, database_url) as api,
        ):
            await eventually(lambda: api.parts.bus.connected, 20, "the API is connected")
            process.start()
            await eventually(lambda: live.get(process.key), 40, "the operator hears it")
            await eventually(lambda: api.parts.services.cameras.last(process.key), 20, "the API hears it")
        await eventually(lambda: "which identity makes" in process.get("/readyz")[1], 40, "it waits for the streams")
        async with until_left(identity.run):
            await identity.wait_connected()
            await ensure_streams(identity.jetstream, SITE)
            await eventually(lambda: process.get("/readyz")[0] == 200, 40, "it is ready")
    finally:
        process.end()
    async with (
        until_left(BusListener(bus.address(BusRole.OPERATOR), kept).run),
        running_api(bus, database_url) as api,
    ):
        await eventually(lambda: kept.get(process.key), 20, "the operator knows the camera")
        await eventually(lambda: api.parts.services.cameras.last(process.key), 20, "the API knows it too")
    assert bus.refusals == []
