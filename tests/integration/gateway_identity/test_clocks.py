"""What wrong clocks of cameras do to status, order and consent: nothing is lost or frozen, nobody is named by one.

The table of docs/architecture.md ("Three times") is this one.
"""

import asyncio
import contextlib
import datetime as dt
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from typing import Any, Final

import httpx
import pytest
from tests.integration.gateway_api.clients import listening
from tests.integration.gateway_api.identity import SITE
from tests.integration.gateway_api.running import TOKEN, Api, running_api
from tests.integration.gateway_identity import database
from tests.integration.gateway_identity.making import a_sighting, axis, body
from tests.integration.gateway_identity.running import Bus
from tests.support.servers import NatsServer
from tests.support.waiting import eventually
from tests.unit.operator.builders import beat

from vigil_cli.client.documents import STATUS
from vigil_cli.commands.status import camera_errors
from vigil_cli.commands.status_report import CameraReport
from vigil_contracts.bus import MSG_ID_HEADER, SENT_AT_HEADER, MessageKind, bus_subject, streams
from vigil_contracts.events import CameraRef, encode_heartbeat
from vigil_contracts.ids import ResourceKey, new_sighting_id
from vigil_operator.bus.heartbeats import Heartbeats
from vigil_operator.bus.listener import BusListener
from vigil_operator.reconcile.camera.conditions import CameraFacts, condition_updates
from vigil_operator.reconcile.camera.pods import PodFacts
from vigil_runtime.clock import WINDOW

pytestmark = pytest.mark.integration

SECOND, HOUR, DAY = (dt.timedelta(seconds=n) for n in (1, 3600, 86400))
NO_TIME: Final = 0 * SECOND
START: Final = dt.datetime.now(dt.UTC)
AT_1970, AT_2200 = (dt.datetime(year, 1, 2, tzinfo=dt.UTC) - START for year in (1970, 2200))
LATE: Final = 6 * HOUR
"""How long some events wait before they are sent."""

PEOPLE: Final[dict[str, dict[str, Any]]] = {
    "always": {},
    "since 3 hours": {"active_from": START - 3 * HOUR},
    "for 2 hours more": {"active_until": START + 2 * HOUR},
    "from tomorrow": {"active_from": START + DAY},
    "until yesterday": {"active_until": START - DAY},
}
ALL: Final = "always, for 2 hours more, since 3 hours"
CERTAIN: Final = "always, for 2 hours more"
"""Without the person whose validity may have begun after the sighting."""

TRUE, FALSE = "True", "False"


@dataclass(frozen=True)
class Clock:
    """The clock of a camera's machine, and what becomes of what it claims.

    Attributes
    ----------
    seeing, sending
        How far it is ahead when the person is seen, and when the event is sent.
    status
        Of the condition ClockSynchronized, with its reason.
    opened
        Which moment counts: the claimed one, the true one, or that of the bus.
    known
        Who is named when seen and sent just now; seen six hours before, those who are CERTAIN.
    """

    seeing: dt.timedelta
    sending: dt.timedelta
    status: tuple[str, str]
    opened: str
    known: str


CLOCKS: Final = {
    "right": Clock(NO_TIME, NO_TIME, (TRUE, "Synchronized"), "claimed", ALL),
    "1 s ahead": Clock(SECOND, SECOND, (TRUE, "Synchronized"), "claimed", ALL),
    "1 s behind": Clock(-SECOND, -SECOND, (TRUE, "Synchronized"), "claimed", ALL),
    "1 h ahead": Clock(HOUR, HOUR, (FALSE, "ClockAhead"), "true", ALL),
    "1 h behind": Clock(-HOUR, -HOUR, (FALSE, "ClockBehind"), "true", ALL),
    "3 days ahead": Clock(3 * DAY, 3 * DAY, (FALSE, "ClockAhead"), "true", ALL),
    "3 days behind": Clock(-3 * DAY, -3 * DAY, (FALSE, "ClockBehind"), "true", CERTAIN),
    "at 1970": Clock(AT_1970, AT_1970, (FALSE, "ClockBehind"), "true", CERTAIN),
    "at 2200": Clock(AT_2200, AT_2200, (FALSE, "ClockAhead"), "true", ALL),
    "set back 3 days": Clock(3 * DAY, NO_TIME, (FALSE, "ClockJumped"), "received", CERTAIN),
    "set forward 1 h": Clock(-HOUR, NO_TIME, (FALSE, "ClockJumped"), "claimed", ALL),
    "set forward from 1970": Clock(AT_1970, NO_TIME, (FALSE, "ClockJumped"), "received", CERTAIN),
}
CAMERAS: Final = {name: ResourceKey("default", f"cam-{number}") for number, name in enumerate(CLOCKS)}
IN_ORDER: Final = {name for name, clock in CLOCKS.items() if clock.opened == "true" or name == "right"}
"""Clocks under which sightings open when they truly did; the others claim a second or an hour, or wait for the bus."""

FIELDS: Final = (
    "sightingId openedAt openedNotBefore receivedAt clockOffsetMs camera { name } identity { subject { name } }"
)
PAGE: Final = (
    f"query($after: String) {{ sightings(first: 7, after: $after) {{ pageInfo {{ hasNextPage endCursor }}"
    f" nodes {{ {FIELDS} }} }} }}"
)
BY_ID: Final = f"query($id: UUID!) {{ sighting(sightingId: $id) {{ {FIELDS} }} }}"


@pytest.fixture
def site() -> str:
    """Return the site of the API that the tests run."""
    return SITE


@dataclass(frozen=True)
class Seen:
    """A sighting that was published, with the true moment at which it opened."""

    clock: str
    id: uuid.UUID
    true: dt.datetime
    late: bool


async def see(bus: Bus, name: str, person: int, ago: dt.timedelta) -> Seen:
    """Publish a sighting as the stream process of a camera does."""
    await asyncio.sleep(0.002)  # ids hold whole milliseconds: the next sighting is to be of another one
    clock, true = CLOCKS[name], dt.datetime.now(dt.UTC) - ago
    claimed = true + clock.seeing
    sighting = a_sighting(axis(person), site=bus.site, sighting_id=new_sighting_id(claimed), camera=CAMERAS[name].name)
    sighting = sighting.model_copy(update={"last_seen_at": claimed + SECOND})
    sent_at = dt.datetime.now(dt.UTC) + clock.sending
    headers = {MSG_ID_HEADER: sighting.event_id, SENT_AT_HEADER: sent_at.isoformat()}
    subject = bus_subject(bus.site, MessageKind.SIGHTING, CAMERAS[name])
    await bus.jetstream.publish(subject, body(sighting), headers=headers)
    return Seen(name, sighting.sighting_id, true, late=ago > NO_TIME)


async def send_heartbeats(bus: Bus) -> None:
    """Send heartbeats of all cameras, under the clock of when they saw somebody and then under that of now."""
    for name, clock in CLOCKS.items():
        heartbeat = beat(site=bus.site, camera=CameraRef(namespace="default", name=CAMERAS[name].name))
        for ahead in (clock.seeing, *[clock.sending] * WINDOW):
            at = dt.datetime.now(dt.UTC) + ahead
            await bus.client.publish(
                bus_subject(bus.site, MessageKind.CAMERA, CAMERAS[name]), encode_heartbeat(heartbeat, at)
            )
    await bus.client.flush()


async def ask(api: Api, query: str, **variables: Any) -> dict[str, Any]:
    headers = {"authorization": f"Bearer {TOKEN}"}
    async with httpx.AsyncClient(timeout=20, headers=headers, trust_env=False) as client:
        response = await client.post(f"{api.http}/graphql", json={"query": query, "variables": variables})
    found = response.json()
    assert "errors" not in found, found
    data: dict[str, Any] = found["data"]
    return data


async def pages(api: Api) -> list[dict[str, Any]]:
    """Read the list of sightings to its end, page by page."""
    nodes: list[dict[str, Any]] = []
    after = None
    while True:
        page = (await ask(api, PAGE, after=after))["sightings"]
        nodes += page["nodes"]
        if not page["pageInfo"]["hasNextPage"]:
            return nodes
        after = page["pageInfo"]["endCursor"]


@contextlib.asynccontextmanager
async def operator_of(nats_server: NatsServer) -> AsyncIterator[Heartbeats]:
    """Run the operator's listener."""
    heartbeats = Heartbeats(lambda _: None, lambda _: None)
    listener = BusListener(nats_server.address(SITE), heartbeats)
    running = asyncio.create_task(listener.run())
    try:
        yield heartbeats
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)


def operator_conditions(heartbeats: Heartbeats) -> dict[str, tuple[str, str]]:
    """Return the condition ClockSynchronized of each Camera."""
    found = {}
    for name, key in CAMERAS.items():
        facts = CameraFacts(problem=None, suspended=False, pod=PodFacts(None), heartbeat=heartbeats.get(key))
        clock = next(one for one in condition_updates(facts) if one.type == "ClockSynchronized")
        found[name] = (clock.status.value, clock.reason)
    return found


async def test_wrong_clocks_are_reported(bus: Bus, database_url: str, shared_nats: NatsServer) -> None:
    """By the operator, the API and `vigil status`."""
    wanted = {name: clock.status for name, clock in CLOCKS.items()}
    for key in CAMERAS.values():
        await database.add_camera(database_url, SITE, key.name)
    async with operator_of(shared_nats) as heartbeats, running_api(database_url, shared_nats) as api:

        async def reported() -> bool:
            await send_heartbeats(bus)  # again and again: the operator and the API may not listen yet
            nodes = (await ask(api, STATUS))["cameras"]["nodes"]
            clocks = {
                node["name"]: one for node in nodes for one in node["conditions"] if one["type"] == "ClockSynchronized"
            }
            shown = {
                name: (clocks[key.name]["status"].title(), clocks[key.name]["reason"])
                for name, key in CAMERAS.items()
                if key.name in clocks
            }
            return shown == wanted == operator_conditions(heartbeats)

        await eventually(reported, 30, "the clocks are reported")
        nodes = (await ask(api, STATUS))["cameras"]["nodes"]
    lines = camera_errors([CameraReport.model_validate(node) for node in nodes])
    for name, (status, reason) in wanted.items():
        assert any(f"{CAMERAS[name].name}: {reason}: " in line for line in lines) == (status == FALSE), name


async def test_wrong_clocks_lose_nothing_and_name_nobody(
    identity: Callable[..., Awaitable[Any]], bus: Bus, database_url: str, shared_nats: NatsServer
) -> None:
    for stream in streams(SITE):
        await bus.jetstream.purge_stream(stream.name)
    await database.add_model(database_url)
    for number, (name, window) in enumerate(PEOPLE.items()):
        await database.add_subject(database_url, name, axis(number), **window)
    for key in CAMERAS.values():
        await database.add_camera(database_url, SITE, key.name)
    seen = [
        await see(bus, name, person, ago) for ago in (LATE, NO_TIME) for name in CLOCKS for person in range(len(PEOPLE))
    ]
    await identity()

    async def recorded() -> bool:
        return await database.rows(database_url, "SELECT last FROM event_counter") == [{"last": len(seen)}]

    await eventually(recorded, 30, "all sightings are recorded")
    assert await database.rows(database_url, "SELECT message FROM rejected_events") == []
    matches = await database.matches(database_url)
    assert [match.sighting.sighting_id for match in matches] == [one.id for one in seen], "in the order of the bus"

    async with running_api(database_url, shared_nats) as api:
        nodes = await pages(api)
        assert (await ask(api, BY_ID, id=nodes[0]["sightingId"]))["sighting"] == nodes[0]
        async with listening(api, api.cursor(0), fields=f"sighting {{ {FIELDS} }}") as listener:
            await eventually(lambda: len(listener.received) == len(seen), 30, "all events come")
    by_id = {node["sightingId"]: node for node in nodes}
    assert (len(nodes), len(by_id)) == (len(seen), len(seen)), "each on one page"
    assert [event["sighting"] for event in listener.received] == [by_id[str(one.id)] for one in seen]
    truly = [str(one.id) for one in sorted(seen, key=lambda one: one.true, reverse=True) if one.clock in IN_ORDER]
    assert [node["sightingId"] for node in nodes if node["sightingId"] in set(truly)] == truly
    assert nodes == sorted(nodes, key=lambda node: moment(node["openedAt"]), reverse=True)
    check_table(seen, by_id)


def check_table(seen: list[Seen], by_id: dict[str, dict[str, Any]]) -> None:
    """Compare who was named and which moments count with the table."""
    found: dict[tuple[str, bool], tuple[set[str], list[str]]] = {}
    for one in seen:
        node = by_id[str(one.id)]
        opened, named = found.setdefault((one.clock, one.late), (set(), []))
        opened.add(opening(node, one.true))
        subject = node["identity"]["subject"]
        named += [subject["name"]] if subject else []
    table = {key: (", ".join(sorted(opened)), ", ".join(sorted(named))) for key, (opened, named) in found.items()}
    wanted = {(name, False): (clock.opened, clock.known) for name, clock in CLOCKS.items()}
    assert table == wanted | {(name, True): (clock.opened, CERTAIN) for name, clock in CLOCKS.items()}


def moment(text: str) -> dt.datetime:
    return dt.datetime.fromisoformat(text)


def opening(node: dict[str, Any], true: dt.datetime) -> str:
    """Return which moment counts as that of opening."""
    opened, received = moment(node["openedAt"]), moment(node["receivedAt"])
    if node["openedNotBefore"] is None:
        return "claimed"
    assert moment(node["openedNotBefore"]) <= min(true, opened)
    if opened == received:
        return "received"
    return "true" if abs(opened - true) < 30 * SECOND else f"{opened - true} off"
