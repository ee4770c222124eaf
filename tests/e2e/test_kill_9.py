"""Any process may be killed: it comes back, and every event is kept and delivered exactly once."""

import asyncio
from collections import Counter
from collections.abc import Callable

import asyncpg
import pytest
from tests.e2e.subscriber import Subscriber
from tests.e2e.system import System, camera, subject
from tests.support.shared import shared
from tests.support.waiting import eventually

from vigil_cli.standalone.servers.ports import Ports
from vigil_cli.standalone.servers.postgres import url

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(600)]

NAMES = [f"camera-{number}" for number in range(4)]
VICTIMS = ["stream-default_camera-0", "triton", "nats", "postgres", "identity", "api"]


async def rows(vigil: System) -> tuple[int, int]:
    """Count the stored revisions, and those of them that differ in sighting or revision."""
    port = Ports(vigil.state / "ports.json").known["postgres"]
    connection = await asyncpg.connect(url(port, vigil.database_password))
    try:
        counted = await connection.fetchrow(
            "SELECT count(*) AS all, count(DISTINCT (sighting_id, revision)) AS different FROM sighting_revisions"
        )
        return counted["all"], counted["different"]
    finally:
        await connection.close()


def published(vigil: System) -> dict[str, int]:
    counters = {name: beat.get("counters") or {} for name, beat in vigil.cameras().items()}
    return {name: found.get("eventsPublished", 0) for name, found in counters.items()}


def settled(vigil: System) -> bool:
    """Return whether all cameras are suspended and have sent everything."""
    beats = vigil.cameras()
    return set(beats) == set(NAMES) and all(
        beat.get("state") == "SUSPENDED"
        and beat.get("outboxPending") == 0
        and beat["counters"]["eventsCreated"] == beat["counters"]["eventsPublished"]
        for beat in beats.values()
    )


async def test_each_killed_process_loses_and_repeats_no_event(
    system: Callable[..., System],
) -> None:
    clip = shared("video/short_hamilton_clip.mp4")
    vigil = system()
    vigil.write("cameras.yaml", *(camera(name, "File", f"file:{clip}") for name in NAMES))
    people = sorted((shared("faces") / "lin-manuel-miranda").iterdir())
    vigil.write("people.yaml", subject("lin-manuel-miranda", "Lin-Manuel Miranda", people))
    vigil.start()
    client = Subscriber(vigil.subscription_url, vigil.token)
    listening = asyncio.create_task(client.run())
    try:
        await eventually(lambda: vigil.streaming() == set(NAMES), 90, "all cameras stream")
        for victim in VICTIMS:
            before = len(client.events)
            seconds = await asyncio.to_thread(vigil.kill_9, victim)
            await eventually(
                lambda: vigil.streaming() == set(NAMES), 60, f"all cameras stream after {victim} was killed"
            )
            await eventually(lambda: len(client.events) > before + 10, 60, f"events arrive after {victim} was killed")  # noqa: B023
            print(f"{victim}: started again after {seconds:.2f} s")  # noqa: T201 - shown by pytest -rP
        vigil.write("cameras.yaml", *(camera(name, "File", f"file:{clip}", suspend=True) for name in NAMES))
        await eventually(lambda: settled(vigil), 60, "all cameras are suspended and have sent everything")
        total = sum(published(vigil).values())
        await eventually(lambda: len(client.events) >= total, 30, f"{total} events arrived")
        stored, different = await rows(vigil)
    finally:
        listening.cancel()
        await asyncio.gather(listening, return_exceptions=True)
    deliveries = Counter((event["sighting"]["id"], event["revision"]) for event in client.events)
    print(  # noqa: T201 - shown by pytest -rP
        f"published {total}, stored {stored}, received {len(client.events)} over {client.connections} connections"
    )
    assert client.refused == []
    assert stored == different == total
    assert [key for key, times in deliveries.items() if times > 1] == []
    assert len(deliveries) == total
    assert vigil.stop() == 0
