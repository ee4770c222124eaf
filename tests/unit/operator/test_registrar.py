"""A Camera that identity refuses: logged once, counted, and sent again."""

import asyncio
from collections.abc import AsyncIterator

import pytest
from aiohttp import web
from structlog.testing import capture_logs
from tests.unit.operator.builders import camera_object
from tests.unit.operator.contexts import identity_that

from vigil_operator.kube.kinds import Key, Kind
from vigil_operator.reconcile import registration_memory
from vigil_operator.reconcile.camera.registration import CameraRegistrar
from vigil_operator.reconcile.registration_memory import RegistrationMemory
from vigil_runtime.backoff import Steps
from vigil_runtime.registry.client import RegistryClient as Registry

KEY = Key(Kind.CAMERA, "default", "front")


class Identity:
    """Answers every request with one status."""

    def __init__(self) -> None:
        self.status, self.asked = 422, 0

    async def handle(self, _: web.Request) -> web.Response:
        self.asked += 1
        return web.json_response({"detail": "spec.colour: unknown field"}, status=self.status)


@pytest.fixture
async def identity() -> AsyncIterator[tuple[Identity, Registry]]:
    made = Identity()
    async with identity_that(made.handle) as registry:
        yield made, registry


async def test_a_refused_camera_is_logged_once_and_retried(
    identity: tuple[Identity, Registry], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each refusal is counted."""
    answers, registry = identity
    counted: list[tuple[str, str]] = []
    registry.on_refused = lambda method, kind: counted.append((method, kind))
    monkeypatch.setattr(registration_memory, "REFUSAL", Steps(0.2, 600.0))
    registrar, memory = CameraRegistrar(registry), RegistrationMemory()
    with capture_logs() as logged:
        again_s = await registrar.put(KEY, camera_object(), memory)
        assert again_s is not None
        waiting_s = await registrar.put(KEY, camera_object(), memory)  # another reconcile asks nothing meanwhile
        assert answers.asked == 1
        assert waiting_s is not None
        await asyncio.sleep(waiting_s)
        assert await registrar.put(KEY, camera_object(), memory) is not None
    assert [one["log_level"] for one in logged] == ["warning"]
    assert "unknown field" in logged[0]["reason"]
    assert counted == [("PUT", "cameras")] * 2
    answers.status = 204
    assert await registrar.put(KEY, camera_object(source={"url": "rtsp://10.0.0.6/"}), memory) is None
    assert await registrar.put(KEY, camera_object(source={"url": "rtsp://10.0.0.6/"}), memory) is None
    assert answers.asked == 3
