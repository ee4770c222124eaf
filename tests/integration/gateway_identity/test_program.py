"""The whole program on a real bus: in, identified, published; through kills of everything around it."""

import asyncio
import contextlib
import sys
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from nats.js.api import AckPolicy, ConsumerConfig
from nats.js.errors import NoStreamResponseError, NotFoundError
from tests.integration.gateway_identity import database
from tests.integration.gateway_identity.making import a_sighting, axis, camera_resource
from tests.integration.gateway_identity.running import (
    DEADLINE_S,
    TOKEN,
    Bus,
    Process,
    client_of,
    connect_bus,
    until_ready,
)
from tests.support.servers import NatsServer, PostgresServer
from tests.support.waiting import eventually

from vigil_cli.standalone.servers.ports import free_port
from vigil_contracts.bus import MessageKind, bus_subjects, event_stream, sighting_stream, streams
from vigil_contracts.events import Match, Sighting
from vigil_contracts.ids import new_sighting_id
from vigil_gateway.migrations.upgrade import upgrade
from vigil_runtime.bus import ensure_streams

pytestmark = pytest.mark.integration

Start = Callable[..., Any]


@pytest.fixture
def process(tmp_path: Path) -> Iterator[Callable[..., Process]]:
    made: list[Process] = []

    def make(**settings: Any) -> Process:
        made.append(Process(tmp_path, **{"qdrant_path": tmp_path / f"gallery-{len(made)}", **settings}))
        return made[-1]

    yield make
    for one in made:
        one.kill()
        sys.stdout.write(one.log[-5000:])


async def published(bus: Bus, count: int) -> list[Match]:
    """Wait until so many matches are on the bus."""

    async def enough() -> list[Match] | None:
        found = await bus.matches()
        return found if len(found) >= count else None

    found = await eventually(enough, DEADLINE_S, f"{count} matches are published")
    assert found is not None
    return found


@pytest.mark.usefixtures("prepared")
async def test_a_sighting_is_identified_and_published(bus: Bus, identity: Start) -> None:
    program = await identity()
    await until_ready(program.port)
    await bus.publish(a_sighting(axis(0), site=bus.site), a_sighting(axis(4), site=bus.site))
    matches = await published(bus, 2)
    assert [match.seq for match in matches] == [1, 2]
    assert [str(match.identity.status) for match in matches] == ["Known", "Unknown"]
    trace = matches[0].sighting.trace
    assert trace
    assert trace.identified_at
    await eventually(lambda: acknowledged(bus), DEADLINE_S, "all is acknowledged")
    assert (await bus.jetstream.stream_info(sighting_stream(bus.site).name)).state.messages == 0
    async with client_of(program.port) as http:
        metrics = (await http.get("/metrics")).text
    assert 'vigil_identity_events_total{result="recorded"} 2.0' in metrics
    assert "vigil_identity_outbox_events 0.0" in metrics


async def acknowledged(bus: Bus) -> bool:
    info = await bus.jetstream.consumer_info(sighting_stream(bus.site).name, "identity")
    return bool(info.num_ack_pending == 0 and info.num_pending == 0)


@pytest.mark.usefixtures("prepared")
async def test_sightings_of_the_former_stream_are_processed_first(bus: Bus, identity: Start) -> None:
    """Earlier versions kept them with the matches, from where they are deleted then."""
    former, jetstream = event_stream(bus.site), bus.jetstream
    everything = bus_subjects(bus.site, MessageKind.SIGHTING)
    await jetstream.delete_stream(sighting_stream(bus.site).name)
    config = (await jetstream.stream_info(former.name)).config
    await jetstream.update_stream(config.evolve(subjects=[everything, *former.subjects]))
    consumer = ConsumerConfig(durable_name="identity", filter_subject=everything, ack_policy=AckPolicy.EXPLICIT)
    await jetstream.add_consumer(former.name, consumer)
    before = [a_sighting(axis(0), site=bus.site) for _ in range(70)]
    await bus.publish(*before)
    await ensure_streams(jetstream, bus.site)
    after = [a_sighting(axis(0), site=bus.site) for _ in range(3)]
    await bus.publish(*after)

    await identity()

    matches = await published(bus, 73)
    assert {match.sighting.sighting_id for match in matches[:70]} == {one.sighting_id for one in before}
    assert {match.sighting.sighting_id for match in matches[70:]} == {one.sighting_id for one in after}
    left = await jetstream.stream_info(former.name, subjects_filter=everything)
    assert not left.state.subjects
    with pytest.raises(NotFoundError):
        await jetstream.consumer_info(former.name, "identity")


async def test_a_start_that_cannot_succeed_ends_the_process(
    prepared: str, shared_nats: NatsServer, bus: Bus, process: Callable[..., Process]
) -> None:
    """Else it would wait for ever, alive and never ready."""
    broken = "INSERT INTO erasures (subject_id, key_digest) VALUES (gen_random_uuid(), 'not a sha256')"
    await database.rows(prepared, broken)
    one = process(site=bus.site, nats_url=shared_nats.url, nats_token=shared_nats.token, database_url=prepared)
    one.start()
    assert await asyncio.to_thread(one.wait) == 1
    assert "Tombstone\nkey_digest" in one.log


async def test_bad_events_among_good_ones_cost_nothing(prepared: str, bus: Bus, identity: Start) -> None:
    program = await identity()
    for number in range(40):
        if number % 4 == 0:
            await bus.publish_raw(b"rubbish %d" % number)
        if number % 5 == 0:
            await bus.publish(a_sighting(axis(0), site=bus.site, camera="nowhere"))
        await bus.publish(a_sighting(axis(number % 16), site=bus.site))
    matches = await published(bus, 40)
    assert [match.seq for match in matches] == list(range(1, 41))
    reasons = Counter(row["reason"] for row in await database.rows(prepared, "SELECT reason FROM rejected_events"))
    assert reasons == {"NotJSON": 10, "UnknownCamera": 8}
    await eventually(lambda: acknowledged(bus), DEADLINE_S, "bad events do not come again")
    async with client_of(program.port) as http:
        assert (await http.put("/registry/v1/cameras/default/nowhere", json=camera_resource("nowhere"))).is_success
        await published(bus, 48)
        status = (await http.get("/registry/v1/status")).json()
    assert status["rejectedEvents"] == 10
    assert status["lastSeq"] == 48
    assert status["backlog"] == 0


async def test_streams_that_were_removed_are_made_again(prepared: str, bus: Bus, identity: Start) -> None:
    """Only identity makes them: sightings and matches go on, whichever stream is gone."""
    program = await identity()
    await until_ready(program.port)
    await bus.publish(a_sighting(axis(0), site=bus.site))
    await published(bus, 1)
    for stream in streams(bus.site):
        await bus.jetstream.delete_stream(stream.name)

    async def is_taken() -> bool:
        with contextlib.suppress(NoStreamResponseError):
            await bus.publish(a_sighting(axis(0), site=bus.site))
            return True
        return False

    await eventually(is_taken, DEADLINE_S, "the stream is there again")
    await published(bus, 1)
    assert len(await database.matches(prepared)) == 2


def many(site: str, sightings: int, revisions: int) -> list[Sighting]:
    ids = [new_sighting_id() for _ in range(sightings)]
    return [
        a_sighting(axis(number % 16), site=site, sighting_id=one, revision=revision)
        for revision in range(1, revisions + 1)
        for number, one in enumerate(ids)
    ]


async def check_exactly_once(url: str, bus: Bus, made: list[Sighting]) -> None:
    """Each revision is recorded once, published once, in one order without gaps."""
    matches = await published(bus, len(made))
    assert [match.seq for match in matches] == list(range(1, len(made) + 1))
    assert len({(match.sighting.sighting_id, match.revision) for match in matches}) == len(made)
    assert len(await database.rows(url, "SELECT 1 FROM sighting_revisions")) == len(made)
    assert await database.rows(url, "SELECT count(*) AS n FROM sightings WHERE revision <> 5") == [{"n": 0}]


async def test_each_event_counts_once_over_many_kills(
    prepared: str, bus: Bus, shared_nats: NatsServer, process: Callable[..., Process]
) -> None:
    """The process is killed repeatedly in the middle of batches."""
    one = process(site=bus.site, nats_url=shared_nats.url, nats_token=shared_nats.token, database_url=prepared)
    made = many(bus.site, 100, 5)
    publishing = asyncio.create_task(bus.publish(*made))
    for wanted in (20, 150, 300):
        one.start()

        async def recorded(wanted: int = wanted) -> bool:
            (row,) = await database.rows(prepared, "SELECT last FROM event_counter")
            return bool(row["last"] >= wanted)

        await eventually(recorded, DEADLINE_S, f"{wanted} events are recorded", poll_s=0.005)
        one.kill()
    await publishing
    one.start()
    await check_exactly_once(prepared, bus, made)
    assert one.terminate() == 0


async def test_two_identities_share_the_work(
    prepared: str, bus: Bus, shared_nats: NatsServer, process: Callable[..., Process]
) -> None:
    """When the one that is the relay is killed, the other takes over."""
    given = {"site": bus.site, "nats_url": shared_nats.url, "nats_token": shared_nats.token, "database_url": prepared}
    ports = [free_port(), free_port()]
    pair = [process(http_port=port, **given) for port in ports]
    for one, port in zip(pair, ports, strict=True):
        one.start()
        await until_ready(port)
    made = many(bus.site, 60, 5)
    await bus.publish(*made[:150])
    await published(bus, 100)
    leader = await relay_of(ports)
    pair[leader].kill()
    await bus.publish(*made[150:])
    await check_exactly_once(prepared, bus, made)


async def relay_of(ports: list[int]) -> int:
    for number, port in enumerate(ports):
        async with client_of(port) as http:
            if "vigil_identity_relay_leader 1.0" in (await http.get("/metrics")).text:
                return number
    raise AssertionError("nobody relays")


@contextlib.asynccontextmanager
async def own_servers(
    postgres: PostgresServer, nats: NatsServer, site: str
) -> AsyncIterator[tuple[str, Bus, dict[str, Any]]]:
    url = await postgres.new_database()
    await upgrade(url)
    await database.add_model(url)
    await database.add_camera(url, site)
    async with connect_bus(nats.url, nats.token, site) as bus:
        yield url, bus, {"database_url": url, "nats_url": nats.url, "nats_token": nats.token}


@pytest.mark.parametrize("victim", ["postgres", "nats", "both"])
async def test_a_kill_of_its_servers_loses_nothing(
    own_postgres: PostgresServer, own_nats: NatsServer, site: str, identity: Start, victim: str
) -> None:
    """The process itself goes on."""
    async with own_servers(own_postgres, own_nats, site) as (url, bus, settings):
        program = await identity(**settings)
        await until_ready(program.port)
        made = many(site, 40, 5)
        await bus.publish(*made[:100])
        for server in (own_postgres, own_nats):
            if victim in {"both", server.running.spec.name}:
                server.running.kill()
        async with client_of(program.port) as http:

            async def not_ready() -> bool:
                return (await http.get("/readyz")).status_code == 503

            await eventually(not_ready, DEADLINE_S, "readiness says that a server is away")
            assert (await http.get("/healthz")).status_code == 200
        for server in (own_postgres, own_nats):
            if victim in {"both", server.running.spec.name}:
                server.running.start()
        await until_ready(program.port)
        await eventually(lambda: bus.client.is_connected, DEADLINE_S, "the test is on the bus again")
        await bus.publish(*made[100:])
        await check_exactly_once(url, bus, made)


async def test_it_waits_for_servers_that_are_not_there_at_its_start(
    own_postgres: PostgresServer, own_nats: NatsServer, site: str, identity: Start
) -> None:
    async with own_servers(own_postgres, own_nats, site) as (_, bus, settings):
        own_postgres.running.kill()
        own_nats.running.kill()
        program = await identity(**settings)
        async with client_of(program.port) as http:
            response = await http.get("/readyz")
            assert response.status_code == 503
            body = response.json()
        assert "away" in body["database"]
        assert "NATS" in body["bus"]
        assert body["model"] != "ok"
        own_nats.running.start()
        own_postgres.running.start()
        await until_ready(program.port)
        await bus.publish(a_sighting(axis(0), site=site))
        await published(bus, 1)


@pytest.mark.parametrize(("version", "words"), [(None, "run `vigil-gateway migrate`"), ("9999", "upgrade the program")])
async def test_a_schema_of_another_version_is_refused_in_one_sentence(
    shared_postgres: PostgresServer,
    template: str,
    shared_nats: NatsServer,
    process: Callable[..., Process],
    version: str | None,
    words: str,
) -> None:
    if version is None:
        url = await shared_postgres.new_database()
    else:
        url = await shared_postgres.new_database(template)
        await database.execute(url, "UPDATE alembic_version SET version_num = $1", version)
        await database.execute(url, "UPDATE schema_support SET oldest = $1", version)
    one = process(nats_url=shared_nats.url, nats_token=shared_nats.token, database_url=url)
    one.start()
    assert await asyncio.to_thread(one.wait) == 78
    assert words in one.log.strip().splitlines()[-1]


async def test_a_gallery_folder_belongs_to_one_process(
    prepared: str, shared_nats: NatsServer, tmp_path: Path, identity: Start, process: Callable[..., Process]
) -> None:
    program = await identity()
    await until_ready(program.port)
    other = process(
        qdrant_path=tmp_path / "gallery",
        nats_url=shared_nats.url,
        nats_token=shared_nats.token,
        database_url=prepared,
    )
    other.start()
    assert await asyncio.to_thread(other.wait) == 1
    assert "in use by another identity process" in other.log


async def test_sigterm_finishes_what_was_begun(
    prepared: str, bus: Bus, shared_nats: NatsServer, process: Callable[..., Process]
) -> None:
    port = free_port()
    one = process(
        site=bus.site,
        nats_url=shared_nats.url,
        nats_token=shared_nats.token,
        database_url=prepared,
        http_port=port,
    )
    one.start()
    await until_ready(port)
    made = many(bus.site, 60, 5)
    await bus.publish(*made)
    assert await asyncio.to_thread(one.terminate) == 0
    recorded = await database.rows(prepared, "SELECT published_at FROM events")
    assert recorded
    assert all(row["published_at"] for row in recorded)
    assert TOKEN not in one.log
