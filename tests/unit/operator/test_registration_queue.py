"""Cameras are registered beside their reconciles, over a real HTTP server."""

import asyncio
from collections.abc import AsyncIterator

import pytest
from aiohttp import web
from tests.support.waiting import eventually
from tests.unit.operator.builders import cache, camera_object

from vigil_operator.kube.kinds import Key, Kind
from vigil_operator.reconcile.camera.memory import CameraMemories
from vigil_operator.reconcile.camera.registration import CONCURRENT, CameraRegistrar, RegistrationQueue
from vigil_runtime.registry.client import RegistryClient as Registry


class Identity:
    """Answers, refuses for a while, or hangs."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.failures = 0
        self.answers = asyncio.Event()
        self.url = ""

    async def handle(self, request: web.Request) -> web.Response:
        self.asked.append(f"{request.method} {request.path.removeprefix('/registry/v1/')}")
        await self.answers.wait()
        if self.failures:
            self.failures -= 1
            return web.Response(status=503)
        return web.json_response({"erasedAt": "2026-05-01T12:00:00Z"})


@pytest.fixture
async def identity() -> AsyncIterator[Identity]:
    made = Identity()
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", made.handle)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    made.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    yield made
    await runner.cleanup()


@pytest.fixture
async def registry(identity: Identity) -> AsyncIterator[Registry]:
    made = Registry(identity.url, "for-tests")
    yield made
    await made.close()


def key(name: str) -> Key:
    return Key(Kind.CAMERA, "default", name)


async def test_a_hanging_identity_blocks_only_its_own_workers(identity: Identity, registry: Registry) -> None:
    names = [f"camera-{number}" for number in range(20)]
    made = RegistrationQueue(cache(*map(camera_object, names)), CameraRegistrar(registry), CameraMemories())
    running = asyncio.create_task(made.run())
    for name in names:
        made.request(key(name))  # returns at once
    await eventually(lambda: len(identity.asked) == CONCURRENT, 5, "as many requests as are allowed")
    identity.answers.set()
    await eventually(lambda: len(set(identity.asked)) == 20, 10, "every Camera is registered when it answers")
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)


async def test_a_failed_registration_is_repeated(identity: Identity, registry: Registry) -> None:
    identity.answers.set()
    identity.failures = 1
    made = RegistrationQueue(cache(camera_object("front")), CameraRegistrar(registry), CameraMemories())
    running = asyncio.create_task(made.run())
    made.request(key("front"))
    await eventually(lambda: len(identity.asked) == 2, 10, "it is sent again")
    assert len(set(identity.asked)) == 1
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)


async def test_an_invalid_camera_is_skipped_and_a_gone_one_removed(identity: Identity, registry: Registry) -> None:
    identity.answers.set()
    seen = cache(camera_object("front"), camera_object("odd", sampling={"fps": "many"}))
    made = RegistrationQueue(seen, CameraRegistrar(registry), CameraMemories())
    running = asyncio.create_task(made.run())
    made.request(key("odd"))
    made.request(key("front"))
    await eventually(lambda: identity.asked, 5, "front is registered")
    seen.remove(Kind.CAMERA, camera_object("front", 2))
    await eventually(lambda: made.idle, 5, "all is sent")
    made.request(key("front"))
    await eventually(lambda: len(identity.asked) > 1, 5, "front is removed")
    assert [one.split()[0] for one in identity.asked[:2]] == ["PUT", "DELETE"]
    assert not [one for one in identity.asked if "odd" in one]
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)


async def test_an_unconfirmed_registration_is_removed_once(identity: Identity, registry: Registry) -> None:
    """The same holds for a Camera that became invalid, as it may have been registered before a restart."""
    identity.answers.set()
    identity.failures = 1  # identity may have written it down all the same
    seen = cache(camera_object("front"), camera_object("odd", sampling={"fps": "many"}))
    made = RegistrationQueue(seen, CameraRegistrar(registry), CameraMemories())
    running = asyncio.create_task(made.run())
    made.request(key("front"))
    await eventually(lambda: identity.asked and made.idle, 5, "it was tried")
    for name in ("front", "odd"):
        seen.remove(Kind.CAMERA, camera_object(name, 2))
    for _ in range(2):  # what is left of a Camera has it looked at again
        made.request(key("front"))
        made.request(key("odd"))
        await eventually(lambda: len(identity.asked) >= 3 and made.idle, 5, "both are removed")
    assert sorted(identity.asked[1:]) == ["DELETE cameras/default/front", "DELETE cameras/default/odd"]
    seen.put(Kind.CAMERA, camera_object("front", 3))
    made.request(key("front"))
    await eventually(lambda: len(identity.asked) == 4 and made.idle, 5, "it is registered anew")
    seen.remove(Kind.CAMERA, camera_object("front", 4))
    made.request(key("front"))
    await eventually(lambda: len(identity.asked) == 5, 5, "and removed again")
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
