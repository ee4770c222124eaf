"""Promises of the subscription `sightings`: in order, each once, whatever goes away meanwhile."""

import asyncio
import contextlib
import datetime as dt
import sys
from functools import partial

import pytest
from tests.integration.gateway_api.clients import listening, stalled_socket
from tests.integration.gateway_api.identity import SITE, START, Identity, a_match
from tests.integration.gateway_api.running import Api, eventually, httpx_get, running_api
from tests.support.servers import NatsServer

from vigil_contracts import events
from vigil_contracts.bus import MessageKind, bus_subject
from vigil_contracts.conditions import SourceReason
from vigil_contracts.ids import ResourceKey, new_sighting_id
from vigil_gateway.handlers.graphql.cursors import encode_sighting
from vigil_gateway.storage.postgres.erasures import ErasureStore
from vigil_gateway.storage.postgres.pool import Database
from vigil_gateway.storage.postgres.sighting_reader import SightingPosition

NAMED = "identity { status subject { name } }"

pytestmark = pytest.mark.integration


async def test_events_arrive_live_and_in_order(api: Api, identity: Identity) -> None:
    async with listening(api) as listener:
        for number in range(20):
            await identity.emit(a_match(f"camera-{number % 3}"))
        await eventually(lambda: len(listener.received) == 20, "20 events")
    assert listener.seqs == list(range(1, 21))
    assert listener.received[0]["sighting"]["camera"] == {"name": "camera-0"}
    assert listener.received[0]["identity"] == {"status": "UNKNOWN"}


async def test_resumes_after_a_cursor_without_loss_or_repetition(api: Api, identity: Identity) -> None:
    async with listening(api) as first:
        for _ in range(10):
            await identity.emit(a_match())
        await eventually(lambda: len(first.received) == 10, "10 events")
    for _ in range(10):
        await identity.emit(a_match())
    async with listening(api, after=first.received[6]["cursor"]) as second:
        for _ in range(5):
            await identity.emit(a_match())
        await eventually(lambda: len(second.received) == 18, "what was missed, and what came after")
    assert second.seqs == list(range(8, 26))


async def test_resumes_from_before_what_is_in_memory(
    database_url: str, nats_server: NatsServer, identity: Identity
) -> None:
    for _ in range(700):
        await identity.write(a_match())
    async with running_api(database_url, nats_server, ring_events=50) as api:
        async with listening(api, after=api.cursor(0)) as listener:
            await identity.emit(a_match())
            await eventually(lambda: len(listener.received) == 701, "the whole history")
        assert listener.seqs == list(range(1, 702))
        assert api.parts.services.hub.history.reads > 0


async def test_a_message_lost_on_the_bus_is_read_from_the_database(api: Api, identity: Identity) -> None:
    async with listening(api) as listener:
        await identity.emit(a_match())
        lost = await identity.write(a_match())
        await identity.emit(a_match())
        await eventually(lambda: len(listener.received) == 3, "the gap is filled")
        await identity.publish(lost)  # late
        await identity.publish(lost)  # and twice
        await identity.write(a_match())  # a lost last message leaves no gap
        await eventually(lambda: len(listener.received) == 4, "the tail is noticed")
    assert listener.seqs == [1, 2, 3, 4]


async def test_forged_matches_are_believed_never(api: Api, identity: Identity) -> None:
    """Before, at, after and far beyond the newest position; the true events of those positions come through."""
    forged = 0
    async with listening(api, fields=f"seq {NAMED}") as listener:
        for number in range(1, 21):
            lies = [a_match(who="mallory").model_copy(update={"seq": number + ahead}) for ahead in (-1, 0, 1, 500)]
            for lie in lies[number == 1 :]:
                await identity.publish(lie)
                forged += 1
            await identity.bus.flush()
            await identity.emit(a_match(who="ada"))
        await eventually(lambda: len(listener.received) >= 20, "the true events")
        await identity.emit(a_match(who="ada"))
        await eventually(lambda: listener.seqs[-1:] == [21], "one more, after the last forged one")
    assert listener.seqs == list(range(1, 22))
    believed = sum(event["identity"]["subject"]["name"] == "mallory" for event in listener.received)
    sys.stdout.write(f"forged matches believed: {believed} of {forged}\n")
    assert (believed, forged) == (0, 79)


async def test_no_camera_sends_heartbeats_of_another(api: Api, identity: Identity) -> None:
    cameras = api.parts.services.cameras
    for speaker, named in (("gate", "door"), ("gate", "gate")):
        beat = events.CameraHeartbeat(
            site=SITE,
            camera=events.CameraRef(namespace="default", name=named),
            session_id="one",
            state=events.CameraState.STREAMING,
            reason=SourceReason.CONNECTED,
            since=START,
        )
        subject = bus_subject(SITE, MessageKind.CAMERA, ResourceKey("default", speaker))
        await identity.bus.publish(subject, events.encode_heartbeat(beat, dt.datetime.now(dt.UTC)))
    await eventually(lambda: cameras.last(ResourceKey("default", "gate")), "the camera's own heartbeat")
    assert cameras.last(ResourceKey("default", "door")) is None


async def test_an_erased_person_is_not_named_from_memory(api: Api, identity: Identity, database_url: str) -> None:
    """Subscribers that resume from before the erasure read what the database holds now."""
    named = await identity.emit(a_match(who="ada"))
    await identity.emit(a_match())
    assert named.identity.subject is not None
    subject_id, ring = named.identity.subject.subject_id, api.parts.services.hub.feed.ring
    await eventually(lambda: ring.head == 2 and ring.floor < 2, "both events are in memory")
    database = Database(database_url, "erasing")
    await database.open()
    await ErasureStore(database).erase_events(subject_id, [named.seq])
    await database.close()
    await eventually(lambda: ring.floor == 2, "the API drops what it has in memory")
    async with listening(api, after=api.cursor(0), fields=f"seq {NAMED}") as listener:
        await eventually(lambda: len(listener.received) == 2, "both events")
    assert [event["identity"] for event in listener.received] == [{"status": "UNKNOWN", "subject": None}] * 2


async def test_superseded_revisions_are_marked(api: Api, identity: Identity) -> None:
    match = await identity.emit(a_match(revision=2))
    await eventually(lambda: api.parts.services.hub.feed.ring.head == 1, "the later revision")
    async with listening(api) as listener:
        await identity.emit(match.model_copy(update={"revision": 1, "superseded": True}))
        await eventually(lambda: len(listener.received) == 1, "the late revision")
    assert (listener.received[0]["revision"], listener.received[0]["superseded"]) == (1, True)


async def test_filters_exclude_other_sightings(api: Api, identity: Identity) -> None:
    wanted = '{ cameras: [{ name: "door" }], subjects: [{ name: "ada" }] }'
    async with listening(api, filter_=wanted) as listener, listening(api, filter_="{ identity: [UNKNOWN] }") as unknown:
        for match in (
            a_match("gate", who="ada"),
            a_match("door"),
            a_match("door", who="ada"),
            a_match("door", who="bob"),
        ):
            await identity.emit(match)
        await eventually(lambda: len(listener.received) == 1 and len(unknown.received) == 1, "one each")
        await eventually(lambda: api.parts.services.hub.feed.ring.head == 4, "all four")
    assert listener.seqs == [3]
    assert unknown.seqs == [2]


async def test_equal_selections_are_executed_once(api: Api, identity: Identity) -> None:
    async with contextlib.AsyncExitStack() as stack:
        listeners = [await stack.enter_async_context(listening(api)) for _ in range(5)]
        listeners.append(await stack.enter_async_context(listening(api, filter_="{ identity: [UNKNOWN] }")))
        other = await stack.enter_async_context(listening(api, fields="cursor seq"))
        for _ in range(3):
            await identity.emit(a_match())
        await eventually(lambda: all(len(one.received) == 3 for one in [*listeners, other]), "all receive all")
        text = (await httpx_get(api, "/metrics")).text
    assert "vigil_api_selections 2.0" in text
    assert "vigil_api_subscribers 7.0" in text


async def test_a_client_that_does_not_read_is_dropped(
    database_url: str, nats_server: NatsServer, identity: Identity
) -> None:
    """The others go on."""
    limits = {"send_timeout_s": 1, "ring_events": 50}
    async with (
        running_api(database_url, nats_server, **limits) as api,
        listening(api) as reader,
        stalled_socket(api) as stalled,
    ):
        await eventually(lambda: len(api.parts.services.hub.followers) == 2, "both subscribed")
        number = 0
        async with asyncio.timeout(60):
            while api.parts.gate.dropped == 0:
                await identity.emit(a_match(who="ada", padding="x" * 20_000))
                number += 1
        await eventually(lambda: len(reader.received) == number, "the reader received everything")
        assert reader.seqs == list(range(1, number + 1))
        await eventually(lambda: len(api.parts.services.hub.followers) == 1, "the stalled one is gone")
        await eventually(lambda: api.parts.gate.open == 1, "its connection too")
        code, reason, last = await stalled.read_on()
    assert code == 4410  # what it had not read was still in its buffers, the close frame last
    assert "resume after your last cursor" in reason
    assert last < number


async def test_a_slow_client_receives_everything_at_its_pace(
    database_url: str, nats_server: NatsServer, identity: Identity
) -> None:
    async with running_api(database_url, nats_server, ring_events=20) as api, stalled_socket(api) as slow:
        await eventually(lambda: len(api.parts.services.hub.followers) == 1, "subscribed")
        for _ in range(400):
            await identity.emit(a_match(who="ada", padding="x" * 20_000))
        await eventually(lambda: api.parts.services.hub.feed.ring.head == 400, "all events")
        follower = next(iter(api.parts.services.hub.followers))
        assert follower.position < api.parts.services.hub.feed.ring.floor
        assert await slow.read_until(400) == list(range(1, 401))
        assert api.parts.services.hub.history.reads > 0


async def test_a_client_too_far_behind_is_asked_to_resume(
    database_url: str, nats_server: NatsServer, identity: Identity
) -> None:
    limits = {"max_lag_events": 100, "ring_events": 20}
    async with running_api(database_url, nats_server, **limits) as api, stalled_socket(api) as slow:
        await eventually(lambda: len(api.parts.services.hub.followers) == 1, "subscribed")
        for _ in range(600):
            await identity.emit(a_match(who="ada", padding="x" * 20_000))
        await eventually(lambda: api.parts.services.hub.feed.ring.head == 600, "all events")
        code, reason, last = await slow.read_on()
        assert (code, last < 600) == (4410, True)
        assert "behind, at most 100; resume after your last cursor" in reason
        async with listening(api, after=api.cursor(last)) as again:
            await eventually(lambda: len(again.received) == 600 - last, "the rest")
        assert again.seqs == list(range(last + 1, 601))


async def test_going_down_closes_with_going_away(api: Api, identity: Identity) -> None:
    async with listening(api) as listener:
        await identity.emit(a_match())
        await eventually(lambda: len(listener.received) == 1, "one event")
        api.stop()
        await asyncio.wait_for(listener.ws.wait_closed(), 20)
        assert listener.ws.close_code == 1001
        assert "resume after your last cursor" in (listener.ws.close_reason or "")


async def test_a_database_that_went_back_in_time_ends_subscriptions(api: Api, identity: Identity) -> None:
    async with listening(api) as listener:
        for _ in range(3):
            await identity.emit(a_match())
        await eventually(lambda: len(listener.received) == 3, "three events")
        await identity.database.execute("DELETE FROM events WHERE seq > 1")
        await identity.database.execute("UPDATE event_counter SET last = 1")
        await asyncio.wait_for(listener.ws.wait_closed(), 20)
        assert listener.ws.close_code == 4411


async def test_cursors_that_cannot_be_served_have_a_reason(
    database_url: str, nats_server: NatsServer, identity: Identity
) -> None:
    for _ in range(30):
        await identity.write(a_match())
    await identity.database.execute("DELETE FROM events WHERE seq <= 10")
    async with running_api(database_url, nats_server, ring_events=5) as api:
        for after, reason in (
            ("absurd", "it was not made by this API"),
            ("x" * 5000, "no cursor has more than 256"),
            (
                encode_sighting(SightingPosition.claimed(new_sighting_id())),
                "it is the cursor of an entry of the query `sightings`",
            ),
            (api.cursor(31), "1 events beyond the newest one"),
            (api.cursor(2**62), "beyond the newest one"),
            (api.cursor(3), "no longer kept; the oldest cursor to resume after is " + api.cursor(10)),
        ):
            async with listening(api, after=after) as listener:
                await eventually(partial(getattr, listener, "last"), "an error")
                assert listener.last is not None
                assert listener.last["type"] == "error"
                assert reason in listener.last["payload"][0]["message"]
        async with listening(api, after=api.cursor(10)) as listener:
            await eventually(lambda: len(listener.received) == 20, "what is kept")
