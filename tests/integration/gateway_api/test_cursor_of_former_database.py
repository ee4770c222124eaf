"""A cursor is taken for a place in the history that it is of, and in no other."""

import base64
import uuid
from typing import Any

import pytest
from tests.integration.gateway_api.clients import listening
from tests.integration.gateway_api.identity import Identity, a_match
from tests.integration.gateway_api.running import Api, eventually, running_api
from tests.support.servers import NatsServer

pytestmark = pytest.mark.integration


def unnamed(seq: int) -> str:
    """Return a cursor as it was made before cursors named their history."""
    return base64.urlsafe_b64encode(f"v1:{seq}".encode()).decode().rstrip("=")


async def refused(api: Api, after: str) -> dict[str, Any]:
    async with listening(api, after=after) as listener:
        await eventually(lambda: listener.last is not None, "an error")
    assert listener.last is not None
    error: dict[str, Any] = listener.last["payload"][0]
    return error


async def resumed(api: Api, after: str, count: int) -> list[int]:
    async with listening(api, after=after) as listener:
        await eventually(lambda: len(listener.received) == count, "events")
    return listener.seqs


async def test_cursor_of_former_database(database_url: str, nats_server: NatsServer, identity: Identity) -> None:
    """The new database already has more events than the cursor's number."""
    for _ in range(5):
        await identity.write(a_match())
    async with running_api(database_url, nats_server) as api:
        assert await resumed(api, api.cursor(3), 2) == [4, 5]
        former = api.cursor(3)
    await identity.database.execute("UPDATE installation SET id = $1", uuid.uuid4())
    async with running_api(database_url, nats_server) as api:
        for cursor in (former, unnamed(3)):
            error = await refused(api, cursor)
            assert error["extensions"] == {"code": "HISTORY_RESET", "newest": api.cursor(5)}
            assert "another history" in error["message"]
        await identity.write(a_match())
        assert await resumed(api, error["extensions"]["newest"], 1) == [6]


async def test_a_cursor_from_before_a_restored_backup_is_refused(
    database_url: str, nats_server: NatsServer, identity: Identity
) -> None:
    """Other events took the numbers of those that were lost; one that was not lost still is a place."""
    for _ in range(5):
        await identity.write(a_match())
    async with running_api(database_url, nats_server, ring_events=2) as api:
        lost = [await received_cursor(api, seq) for seq in (4, 5)]
        kept = await received_cursor(api, 1)
    await identity.database.execute("DELETE FROM events WHERE seq > 2; UPDATE event_counter SET last = 2")
    for _ in range(8):
        await identity.write(a_match())
    for ring in (2, 50):  # the event is read from Postgres, or is in memory
        async with running_api(database_url, nats_server, ring_events=ring) as api:
            for cursor in lost:
                assert (await refused(api, cursor))["extensions"]["code"] == "HISTORY_RESET"
            assert await resumed(api, kept, 9) == list(range(2, 11))


async def received_cursor(api: Api, seq: int) -> str:
    """Return the cursor that a subscriber received with an event."""
    async with listening(api, after=api.cursor(seq - 1)) as listener:
        await eventually(lambda: listener.received, "the event")
    cursor: str = listener.received[0]["cursor"]
    return cursor


async def test_unnamed_cursors_of_before_the_upgrade_resume(
    database_url: str, nats_server: NatsServer, identity: Identity
) -> None:
    for _ in range(5):
        await identity.write(a_match())
    await identity.database.execute("UPDATE installation SET unnamed_until = 3")
    async with running_api(database_url, nats_server) as api:
        assert await resumed(api, unnamed(3), 2) == [4, 5]
        assert (await refused(api, unnamed(4)))["extensions"]["code"] == "HISTORY_RESET"


async def test_another_database_ends_subscriptions(api: Api, identity: Identity) -> None:
    async with listening(api) as listener:
        await identity.database.execute("UPDATE installation SET id = $1", uuid.uuid4())
        await eventually(lambda: listener.ws.close_code is not None, "the connection ends")
        assert listener.ws.close_code == 4411
