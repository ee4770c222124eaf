"""Concurrent changes of the gallery: a repair or rebuild leaves alone what is not committed yet."""

import asyncio
import uuid
from collections.abc import AsyncIterator, Sequence
from typing import Any

import pytest
from tests.integration.gateway_identity import database
from tests.integration.gateway_identity.making import MODEL, axis
from tests.integration.gateway_identity.running import DEADLINE_S, Bench, Bus
from tests.support.servers import NatsServer
from tests.support.waiting import eventually

from vigil_contracts.ids import ResourceKey
from vigil_gateway.bus.site_bus import SiteBus
from vigil_gateway.identity.factory import GALLERY
from vigil_gateway.principal import TOKEN_HOLDER
from vigil_gateway.services.erasure import Eraser
from vigil_gateway.services.gallery_sync import GallerySync
from vigil_gateway.storage.qdrant.gallery import Entry
from vigil_gateway.storage.qdrant.reconcile import reconcile

pytestmark = pytest.mark.integration

WAITING = "SELECT count(*) AS n FROM pg_locks WHERE locktype = 'advisory' AND NOT granted"


class GivenUpError(Exception):
    """What ends an enrolment in these tests."""


@pytest.fixture
async def sync(pipeline: Bench) -> GallerySync:
    await database.add_model(pipeline.url)
    await pipeline.models.load()
    return GallerySync(pipeline.database, pipeline.gallery, pipeline.models)


async def enroll(connection: Any, sync: GallerySync, subject_id: uuid.UUID) -> None:
    """Change what an enrolment changes in its transaction."""
    named = "INSERT INTO subjects (id, namespace, name, display_name, consent) VALUES ($1, 'default', 'ann', 'Ann', $2)"
    await connection.execute(named, subject_id, "Granted")
    vector = axis(0).astype("<f4").tobytes()
    await connection.execute("INSERT INTO subject_embeddings VALUES ($1, 'one', $2, $3)", subject_id, MODEL, vector)
    await sync.follow(GALLERY, connection, subject_id)


async def waits(pipeline: Bench, *tasks: "asyncio.Task[Any]") -> None:
    """Wait until all of these tasks wait for a lock, or one has ended."""

    async def so() -> bool:
        (row,) = await database.rows(pipeline.url, WAITING)
        return row["n"] == len(tasks) or any(task.done() for task in tasks)

    await eventually(so, DEADLINE_S, "what must wait, waits")


async def test_an_enrolment_during_a_repair_holds(pipeline: Bench, sync: GallerySync) -> None:
    """A Subject that is enrolled while the gallery is repaired is in it afterwards."""
    ann = uuid.uuid4()
    sync.doubtful.add(ann)
    async with sync.changing(ann), pipeline.database.transaction() as connection:
        await enroll(connection, sync, ann)
        repairing = asyncio.create_task(sync.repair(GALLERY))
        rebuilding = asyncio.create_task(reconcile(pipeline.database, pipeline.gallery, MODEL))
        await waits(pipeline, repairing, rebuilding)
    await asyncio.gather(repairing, rebuilding)
    (found,) = await pipeline.gallery.search(MODEL, axis(0)[None], 5)
    assert [one.subject_id for one in found.nearest] == [ann]
    assert not sync.doubtful


async def test_a_repair_removes_a_rolled_back_enrolment(pipeline: Bench, sync: GallerySync) -> None:
    """An enrolment that was rolled back after it reached the gallery is removed from it."""
    ann = uuid.uuid4()

    async def give_up() -> None:
        async with sync.changing(ann), pipeline.database.transaction() as connection:
            await enroll(connection, sync, ann)
            raise GivenUpError

    with pytest.raises(GivenUpError):
        await give_up()
    assert await pipeline.gallery.points(MODEL, ann)
    assert sync.doubtful == {ann}
    await sync.repair(GALLERY)
    assert not await pipeline.gallery.points(MODEL, ann)
    assert not sync.doubtful


@pytest.fixture
async def site_bus(bus: Bus, shared_nats: NatsServer) -> AsyncIterator[SiteBus]:
    """Yield identity's connection to the bus."""
    made = SiteBus(shared_nats.address(bus.site), "test")
    running = asyncio.create_task(made.run())
    await made.wait_ready()
    yield made
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)


async def test_an_erasure_during_a_rebuild_holds(
    pipeline: Bench, sync: GallerySync, site_bus: SiteBus, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A Subject that is erased while the gallery is rebuilt does not return to it."""
    ann = await database.add_subject(pipeline.url, "ann", axis(0))
    putting, go_on, put = asyncio.Event(), asyncio.Event(), pipeline.gallery.put

    async def put_slowly(model_id: str, entries: Sequence[Entry]) -> None:
        putting.set()
        await go_on.wait()
        await put(model_id, entries)

    monkeypatch.setattr(pipeline.gallery, "put", put_slowly)
    eraser = Eraser(pipeline.database, sync, site_bus)
    rebuilding = asyncio.create_task(reconcile(pipeline.database, pipeline.gallery, MODEL))
    await putting.wait()
    erasing = asyncio.create_task(eraser.erase_subject(TOKEN_HOLDER, ResourceKey("default", "ann")))
    await waits(pipeline, erasing)
    go_on.set()
    assert await rebuilding == (1, 0)
    receipt = await erasing
    assert receipt.counts["qdrant.vectors"] == 1
    assert not await pipeline.gallery.points(MODEL, ann)
