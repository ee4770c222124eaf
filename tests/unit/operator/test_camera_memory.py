"""Nothing of a Camera remains in the operator after the Camera is gone."""

import asyncio
from collections.abc import AsyncIterator, Iterator, Mapping
from dataclasses import replace
from typing import Any

import pytest
from aiohttp import web
from tests.support.waiting import eventually
from tests.unit.operator.builders import beat, camera_object, secret, settings
from tests.unit.operator.contexts import context_of, identity_that

from vigil_contracts.ids import ResourceKey
from vigil_operator.kube.cache import Cache
from vigil_operator.kube.client import Api
from vigil_operator.kube.errors import ConflictError, NotFoundError
from vigil_operator.kube.kinds import ADDRESSES, Key, Kind, Object
from vigil_operator.reconcile.camera.memory import CameraMemories
from vigil_operator.reconcile.camera.reconciler import CameraReconciler
from vigil_operator.reconcile.camera.registration import CameraRegistrar, RegistrationQueue
from vigil_operator.reconcile.context import ReconcileContext
from vigil_operator.routes import add_indices

NAME = "front"
KEY = Key(Kind.CAMERA, "default", NAME)
IMAGE = "vigil/stream:0.1.0"


class Storing(Api):
    """An API server that stores what is applied; another field manager holds the first Deployment."""

    version = 100
    conflicts = 1

    async def apply(self, kind: Kind, manifest: Object, *, force: bool) -> Object:
        if kind is Kind.DEPLOYMENT and not force and self.conflicts:
            self.conflicts -= 1
            msg = "by the test"
            raise ConflictError(msg, ("spec.replicas",))
        return self._store(kind, manifest)

    async def apply_status(self, key: Key, uid: str, status: Object) -> Object:
        seen = self._cache.get(key) or {}
        assert seen["metadata"]["uid"] == uid
        return self._store(key.kind, seen | {"status": status})

    async def create(self, kind: Kind, manifest: Object) -> Object:
        assert kind is Kind.EVENT
        return manifest

    async def get(self, key: Key) -> Object:
        msg = f"no {key}"
        raise NotFoundError(msg, key.name)

    async def delete(self, key: Key) -> None:
        raise AssertionError(key)

    def _store(self, kind: Kind, manifest: Object) -> Object:
        self.version += 1
        metadata = {**manifest["metadata"], "resourceVersion": str(self.version)}
        return self._seen(kind, {**manifest, "apiVersion": ADDRESSES[kind].api_version, "metadata": metadata})


@pytest.fixture
async def context() -> AsyncIterator[ReconcileContext]:
    cache = Cache()
    add_indices(cache, settings())
    made = context_of(cache)
    yield replace(made, api=Storing(made.api._client, cache, made.metrics), settings=settings())
    await made.api.close()


def pod(image: str) -> Object:
    labels = {"vigil.dev/camera": NAME, "app.kubernetes.io/managed-by": "vigil-operator"}
    metadata = {"name": f"camera-{NAME}-1", "namespace": "default", "uid": "1", "resourceVersion": "1"}
    spec = {"serviceAccountName": f"camera-{NAME}", "containers": [{"name": "stream", "image": image}]}
    return {"metadata": metadata | {"labels": labels}, "spec": spec, "status": {"phase": "Running"}}


def mentions(value: Any, path: str, seen: set[int]) -> Iterator[str]:
    """Yield the path to each value that names the Camera, over attributes and containers; the cache is left out."""
    if isinstance(value, str):
        if NAME in value:
            yield path
        return
    if id(value) in seen or isinstance(value, type | Cache | Api) or callable(value):
        return
    seen.add(id(value))
    if isinstance(value, Mapping):
        parts = [(f"{path}[]", part) for item in list(value.items()) for part in item]
    elif isinstance(value, list | tuple | set | frozenset):
        parts = [(f"{path}[]", part) for part in value]
    else:
        slots = [name for kind in type(value).__mro__ for name in getattr(kind, "__slots__", ())]
        names = {*getattr(value, "__dict__", {}), *slots}
        parts = [(f"{path}.{name}", getattr(value, name)) for name in names if hasattr(value, name)]
    for place, part in parts:
        yield from mentions(part, place, seen)


async def test_nothing_of_a_camera_remains_after_its_deletion(context: ReconcileContext) -> None:
    """It is registered, written, alive and in conflict before; afterwards only its removal from identity is known."""

    async def accept(request: web.Request) -> web.Response:
        return web.json_response({"erasedAt": "2026-05-01T12:00:00Z"} if request.method == "DELETE" else {})

    memories = CameraMemories()
    async with identity_that(accept) as registry:
        registrations = RegistrationQueue(context.cache, CameraRegistrar(registry), memories)
        reconciler = CameraReconciler(context, memories, registrations)
        running = asyncio.create_task(registrations.run())
        context.cache.put(Kind.SECRET, secret("vigil-bus", token="for-tests"))
        context.cache.put(Kind.CAMERA, camera_object(NAME))
        context.heartbeats.note(ResourceKey("default", NAME), beat())
        await reconciler.reconcile(KEY)
        context.cache.put(Kind.POD, pod(IMAGE))
        await reconciler.reconcile(KEY)
        await eventually(lambda: registrations.idle, 5, "it is registered")
        assert len(list(mentions([reconciler, memories, context], "", set()))) > 1
        memory = memories.of(KEY)
        assert memory.registration.registered
        assert memory.status.stored
        assert memory.conflicts
        assert memory.granted_site

        for kind in Kind:
            for obj in list(context.cache.all(kind)):
                if kind is not Kind.SECRET:
                    context.cache.remove(kind, obj | {"metadata": obj["metadata"] | {"resourceVersion": "999"}})
        assert (await reconciler.reconcile(KEY)).again_s is None
        await eventually(lambda: registrations.idle, 5, "it is removed")
        assert len(memories) == 0
        assert context.heartbeats.size == 0
        left = set(mentions([reconciler, memories, context], "", set()))
        assert left == {"[]._registrations._registrar._removed[][]"}
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
