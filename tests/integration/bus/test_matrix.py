"""Who may do what on the bus: each role tries everything on a real server, and the outcome is the table of docs/bus.md.

An action is a message published or a subject listened to; JetStream's requests are messages too. The bodies are those
that would have an effect, and the streams are compared before and after.
"""

import asyncio
import itertools
import json
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any, NamedTuple

import nats
import pytest
from nats.js import JetStreamContext
from nats.js.api import PubAck
from tests.support.bus_roles import Actor, BusOfRoles, acting, start_bus_of_roles
from tests.support.waiting import eventually

from vigil_contracts.bus import MSG_ID_HEADER, MessageKind, bus_subject, bus_subjects, message_id, streams
from vigil_contracts.bus_permissions import BusRole, inbox_prefix
from vigil_contracts.ids import ResourceKey
from vigil_runtime.bus import BusConnection, ensure_streams
from vigil_runtime.bus_address import BusAddress, BusCredentials
from vigil_runtime.bus_authority import BusAuthority

pytestmark = pytest.mark.integration

SITE = "hq"
DOOR = ResourceKey("default", "door")
YARD = ResourceKey("default", "yard")
FIRST = json.dumps({"seq": 1})
READERS = (BusRole.STREAM, BusRole.API, BusRole.OPERATOR)
"""All roles but identity, which manages the streams."""
DOCUMENT = Path(__file__).parents[3] / "docs" / "bus.md"
HEADER = "| action | subject | stream `door` | identity | api | operator |"


class Action(NamedTuple):
    """One action; published unless `listens`."""

    name: str
    subject: str
    body: str = ""
    listens: bool = False


def messages() -> Iterator[Action]:
    for kind in (MessageKind.SIGHTING, MessageKind.CAMERA):
        for camera in (DOOR, YARD):
            yield Action(f"publish a {kind} event of `{camera.name}`", bus_subject(SITE, kind, camera))
    for kind in (MessageKind.MATCH, MessageKind.ALERT, MessageKind.AUDIT):
        yield Action(f"publish {kind} events", bus_subject(SITE, kind, DOOR))
    yield Action("publish to another site", bus_subject("annex", MessageKind.SIGHTING, DOOR))
    yield Action("publish anything else", "elsewhere")
    yield Action("listen to sightings", bus_subjects(SITE, MessageKind.SIGHTING), listens=True)
    yield Action("listen to its own sightings", bus_subject(SITE, MessageKind.SIGHTING, DOOR), listens=True)
    yield Action("listen to matches", bus_subjects(SITE, MessageKind.MATCH), listens=True)
    yield Action("listen to heartbeats", bus_subjects(SITE, MessageKind.CAMERA), listens=True)
    yield Action("listen to everything", ">", listens=True)
    yield Action("listen to replies to `yard`", f"{inbox_prefix(BusRole.STREAM, YARD.token)}.>", listens=True)
    yield Action("listen to replies to all streams", f"{inbox_prefix(BusRole.STREAM, '*')}.>", listens=True)
    yield Action("listen to requests to JetStream", "$JS.API.>", listens=True)
    yield Action("listen to the server", "$SYS.>", listens=True)


def requests(stream: str) -> Iterator[Action]:
    """All requests to JetStream about a stream; what destroys comes last."""
    own = json.dumps({"name": stream, "subjects": ["mine.>"]})
    pushing = {"ack_policy": "none", "deliver_subject": bus_subject(SITE, MessageKind.MATCH, DOOR)}
    consumer = json.dumps({"stream_name": stream, "config": pushing})
    durable = json.dumps({"stream_name": stream, "config": {"ack_policy": "explicit", "durable_name": "identity"}})
    yield Action("inspect", f"$JS.API.STREAM.INFO.{stream}")
    yield Action("create", f"$JS.API.STREAM.CREATE.{stream}", own)
    yield Action("change", f"$JS.API.STREAM.UPDATE.{stream}", own)
    yield Action("read a message", f"$JS.API.STREAM.MSG.GET.{stream}", FIRST)
    yield Action("read a message directly", f"$JS.API.DIRECT.GET.{stream}", FIRST)
    yield Action("list consumers", f"$JS.API.CONSUMER.LIST.{stream}")
    yield Action("inspect identity's consumer", f"$JS.API.CONSUMER.INFO.{stream}.identity")
    yield Action("create a consumer that pushes", f"$JS.API.CONSUMER.CREATE.{stream}", consumer)
    yield Action("create a named consumer", f"$JS.API.CONSUMER.CREATE.{stream}.mine", consumer)
    yield Action("create identity's consumer", f"$JS.API.CONSUMER.DURABLE.CREATE.{stream}.identity", durable)
    yield Action("take identity's messages", f"$JS.API.CONSUMER.MSG.NEXT.{stream}.identity")
    yield Action("acknowledge for identity", f"$JS.ACK.{stream}.identity.1.1.1.1.0")
    yield Action("pause identity's consumer", f"$JS.API.CONSUMER.PAUSE.{stream}.identity")
    yield Action("delete a consumer", f"$JS.API.CONSUMER.DELETE.{stream}.identity")
    yield Action("copy", f"$JS.API.STREAM.SNAPSHOT.{stream}", json.dumps({"deliver_subject": "mine"}))
    yield Action("delete a message", f"$JS.API.STREAM.MSG.DELETE.{stream}", FIRST)
    yield Action("purge", f"$JS.API.STREAM.PURGE.{stream}")
    yield Action("delete", f"$JS.API.STREAM.DELETE.{stream}")


def actions() -> list[Action]:
    made = list(messages())
    other = json.dumps({"name": "MINE", "subjects": ["mine.>"]})
    made += [Action("create another stream", "$JS.API.STREAM.CREATE.MINE", other)]
    made += [Action("list streams", "$JS.API.STREAM.LIST"), Action("read the account", "$JS.API.INFO")]
    return made + [action for stream in streams(SITE) for action in requests(stream.name)]


@pytest.fixture
async def bus(tmp_path: Path) -> AsyncIterator[BusOfRoles]:
    """Yield a bus with its streams, and a message of each kind in them."""
    made = start_bus_of_roles(tmp_path / "bus", SITE)
    try:
        async with acting(made, BusRole.IDENTITY) as identity:
            await ensure_streams(identity.client.jetstream(), SITE)
            await identity.client.jetstream().publish(bus_subject(SITE, MessageKind.MATCH, DOOR), b"known")
        async with acting(made, BusRole.STREAM, YARD) as yard:
            for kind in (MessageKind.SIGHTING, MessageKind.CAMERA):
                await yard.client.jetstream().publish(bus_subject(SITE, kind, YARD), b"seen")
        yield made
    finally:
        made.running.kill()


async def is_permitted(actor: Actor, action: Action) -> bool:
    if action.listens:
        subscription = await actor.client.subscribe(action.subject)
        refused = await actor.is_refused()
        if not refused:
            await subscription.unsubscribe()
        return not refused
    await actor.client.publish(action.subject, action.body.encode(), reply=actor.client.new_inbox())
    return not await actor.is_refused()


async def contents(bus: BusOfRoles) -> dict[str, Any]:
    """Return what identity finds: streams, subjects with the number of their messages, and consumers."""
    async with acting(bus, BusRole.IDENTITY) as identity:
        found = {}
        for stream in streams(SITE):
            info = await identity.client.jetstream().stream_info(stream.name, subjects_filter=">")
            config = (info.config.subjects, info.config.retention, info.config.max_bytes)
            found[stream.name] = (config, info.state.subjects, info.state.num_deleted, info.state.consumer_count)
        return found


def user_of(role: BusRole) -> ResourceKey | None:
    return DOOR if role is BusRole.STREAM else None


def table(permitted: dict[Action, set[BusRole]]) -> str:
    roles = (BusRole.STREAM, BusRole.IDENTITY, BusRole.API, BusRole.OPERATOR)
    lines = [HEADER, "| --- | --- | --- | --- | --- | --- |"]
    for action, allowed in permitted.items():
        cells = ["yes" if role in allowed else "no" for role in roles]
        lines.append(f"| {action.name} | `{action.subject}` | {' | '.join(cells)} |")
    return "\n".join(lines)


async def test_the_server_permits_what_the_table_says_and_nothing_else(bus: BusOfRoles) -> None:
    """Nothing is left behind by those that may not, and docs/bus.md shows what the server did."""
    permitted: dict[Action, set[BusRole]] = {action: set() for action in actions()}
    before = await contents(bus)
    for role in (*READERS, BusRole.IDENTITY):
        async with acting(bus, role, user_of(role)) as actor:
            for action in actions():
                if await is_permitted(actor, action):
                    permitted[action].add(role)
        if role is not BusRole.IDENTITY:
            after = await contents(bus)
            for _, subjects, _, _ in after.values():
                own = bus_subject(SITE, MessageKind.SIGHTING, DOOR), bus_subject(SITE, MessageKind.CAMERA, DOOR)
                for subject in own:  # as it may, if it is the stream
                    (subjects or {}).pop(subject, None)
            assert after == before, f"{role} has changed the streams"
    found = table(permitted)
    documented = DOCUMENT.read_text()
    assert found in documented, f"docs/bus.md shows another table than the server's:\n{found}"


async def test_without_an_identity_nobody_is_let_in(bus: BusOfRoles, tmp_path: Path) -> None:
    foreign = tmp_path / "foreign.creds"
    foreign.write_text(BusAuthority.new().credentials(BusRole.IDENTITY, "identity"))
    for credentials in (
        BusCredentials(),
        BusCredentials(token="guessed"),
        BusCredentials(user="identity", password="guessed"),
        BusCredentials(file=foreign),
    ):
        connection = BusConnection(BusAddress(bus.url, credentials, SITE), "nobody", BusRole.IDENTITY)
        running = asyncio.create_task(connection.run())
        await eventually(lambda: connection.refused, 20, f"{credentials.kind} is refused")  # noqa: B023 - at once
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
        assert (connection.connections, credentials.variable in connection.last_error) == (0, True)


async def test_a_key_of_one_role_makes_no_user_of_another(bus: BusOfRoles) -> None:
    """A stream's key makes a user named identity: it has the permissions of a stream all the same."""
    file = bus.credentials(BusRole.STREAM, DOOR)
    file.write_text(bus.authority.credentials(BusRole.STREAM, "identity"))
    async with acting(bus, BusRole.STREAM, DOOR) as actor:
        assert not await is_permitted(actor, Action("", bus_subject(SITE, MessageKind.MATCH, DOOR)))


REDIRECTED = [
    *(bus_subject(SITE, kind, camera) for kind in MessageKind for camera in (DOOR, YARD)),
    *(action.subject for stream in streams(SITE) for action in requests(stream.name)),
    f"{inbox_prefix(BusRole.IDENTITY, 'identity')}.x",
    f"{inbox_prefix(BusRole.STREAM, YARD.token)}.x",
]

SUBSCRIBED = [
    f"{inbox_prefix(BusRole.IDENTITY, 'identity')}.>",
    f"{inbox_prefix(BusRole.API, 'api')}.>",
    bus_subjects(SITE, MessageKind.MATCH),
    bus_subjects(SITE, MessageKind.CAMERA),
]


@pytest.mark.parametrize("role", READERS)
async def test_no_reply_of_jetstream_can_be_sent_to_others(bus: BusOfRoles, role: BusRole) -> None:
    """JetStream answers to the subject that the sender names, and would do so with its own permissions.

    Users of one role are in one account; what one could send to another there is a reply that nobody waits for.
    """
    before = await contents(bus)
    async with AsyncExitStack() as stack:
        heard: list[str] = []

        async def note(message: Any) -> None:
            heard.append(message.subject)

        others = [await stack.enter_async_context(acting(bus, one, user_of(one))) for one in BusRole if one is not role]
        for other, subject in itertools.product(others, SUBSCRIBED):
            await other.client.subscribe(subject, cb=note)
            await other.settle()
        async with acting(bus, role, user_of(role)) as actor:
            mine = bus_subject(SITE, MessageKind.SIGHTING, DOOR)
            asked = mine if role is BusRole.STREAM else f"$JS.API.STREAM.INFO.{streams(SITE)[-1].name}"
            for subject in REDIRECTED:
                await actor.client.publish(asked, b"", reply=subject)
            # The replies come in order: with this one, all others have gone where they go.
            await actor.client.request(asked, b"", timeout=10)
        for other in others:
            await other.settle()
    after = await contents(bus)
    for _, subjects, _, _ in after.values():
        (subjects or {}).pop(mine, None)
    assert (after, heard) == (before, [])


async def publish(jetstream: JetStreamContext, camera: ResourceKey, body: bytes, **headers: str) -> PubAck:
    return await jetstream.publish(bus_subject(SITE, MessageKind.SIGHTING, camera), body, headers=headers)


async def test_a_camera_cannot_claim_the_message_of_another(bus: BusOfRoles) -> None:
    """It knows the other's event id, but not the event, whose digest is part of the message id.

    The ids of matches can be foreseen; they are in a stream on which no camera publishes.
    """
    wanted = message_id(YARD, "event:1", b"what yard saw")
    async with acting(bus, BusRole.STREAM, DOOR) as door, acting(bus, BusRole.STREAM, YARD) as yard:
        for claimed in ("event:1", wanted.rpartition(":")[0], message_id(YARD, "event:1", b"guessed")):
            await publish(door.client.jetstream(), DOOR, b"x", **{MSG_ID_HEADER: claimed})
        stored = await publish(yard.client.jetstream(), YARD, b"what yard saw", **{MSG_ID_HEADER: wanted})
        assert not stored.duplicate
        again = await publish(yard.client.jetstream(), YARD, b"what yard saw", **{MSG_ID_HEADER: wanted})
        assert again.duplicate
        await publish(door.client.jetstream(), DOOR, b"x", **{MSG_ID_HEADER: "match:7"})
    async with acting(bus, BusRole.IDENTITY) as identity:
        match = bus_subject(SITE, MessageKind.MATCH, DOOR)
        assert not (
            await identity.client.jetstream().publish(match, b"x", headers={MSG_ID_HEADER: "match:7"})
        ).duplicate


@pytest.mark.parametrize(
    "headers",
    [
        {"Nats-Rollup": "all"},
        {"Nats-Rollup": "sub"},
        {"Nats-TTL": "1s"},
        {"Nats-Schedule": "@every 1s", "Nats-Schedule-Target": bus_subject(SITE, MessageKind.MATCH, DOOR)},
    ],
)
async def test_a_header_gives_no_power_over_messages(bus: BusOfRoles, headers: dict[str, str]) -> None:
    """Some headers delete messages, or publish elsewhere, where a stream permits it."""
    before = await contents(bus)
    async with acting(bus, BusRole.STREAM, DOOR) as door:
        with pytest.raises(nats.js.errors.APIError):
            await publish(door.client.jetstream(), DOOR, b"x", **headers)
    assert await contents(bus) == before


async def test_a_message_that_is_too_large_ends_the_connection(bus: BusOfRoles) -> None:
    async with acting(bus, BusRole.STREAM, DOOR) as door:
        await door.client.publish(bus_subject(SITE, MessageKind.SIGHTING, DOOR), bytes(300_000))
        await eventually(lambda: "maximum payload exceeded" in bus.running.log.read_text(), 20, "the server refuses it")
    assert bus_subject(SITE, MessageKind.SIGHTING, DOOR) not in str(await contents(bus))
