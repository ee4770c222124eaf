"""A Site beside an identity: a refusal is reported until it is accepted; capacity is known without a Site."""

import time
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import pytest
from aiohttp import web
from tests.unit.operator.builders import camera_object, identity_status, settings
from tests.unit.operator.contexts import context_of, identity_that

from vigil_operator.kube.cache import Cache
from vigil_operator.kube.client import Api
from vigil_operator.kube.errors import AwayError
from vigil_operator.kube.kinds import Key, Kind, Object
from vigil_operator.reconcile.context import ReconcileContext
from vigil_operator.reconcile.site import endpoints as site_endpoints
from vigil_operator.reconcile.site.reconciler import SiteReconciler
from vigil_operator.registry.identity_status import IdentityStatus
from vigil_operator.routes import add_indices
from vigil_runtime.backoff import REFUSAL
from vigil_runtime.registry.client import RegistryClient as Registry

KEY = Key(Kind.SITE, "default", "default")
STATUS = identity_status(instances=2, reference_ms=10.0)


class Identity:
    """Says how it stands, and answers everything else with one status."""

    def __init__(self) -> None:
        self.code, self.puts, self.status = 422, 0, STATUS

    async def handle(self, request: web.Request) -> web.Response:
        if request.path.endswith("/status"):
            return web.json_response(self.status)
        self.puts += request.method == "PUT"
        return web.json_response({"detail": "spec.retention: unknown field"}, status=self.code)


class Statuses(Api):
    """An API server that keeps statuses, and is away for everything else."""

    async def apply_status(self, key: Key, uid: str, status: Object) -> Object:
        obj = self._cache.get(key)
        if obj is None or obj["metadata"].get("uid", "") != uid:
            msg = f"{key} is another one"
            raise AwayError(msg)
        return self._seen(key.kind, _next(obj) | {"status": status})


def _next(obj: Object) -> Object:
    version = str(int(obj["metadata"]["resourceVersion"]) + 1)
    return obj | {"metadata": obj["metadata"] | {"resourceVersion": version}}


def site(generation: int, version: int, kept: str) -> Object:
    metadata = {"name": "default", "namespace": "default", "generation": generation, "resourceVersion": str(version)}
    return {"metadata": metadata, "spec": {"retention": {"sightings": kept}}}


@pytest.fixture
async def identity() -> AsyncIterator[tuple[Identity, Registry]]:
    made = Identity()
    async with identity_that(made.handle) as registry:
        yield made, registry


@pytest.fixture
async def context(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[ReconcileContext]:
    """Yield a context whose inference endpoints answer."""

    async def well(_: str) -> str:
        return ""

    monkeypatch.setattr(site_endpoints, "check", well)
    cache = Cache()
    add_indices(cache, settings())
    made = context_of(cache)
    yield replace(made, api=Statuses(made.api._client, cache, made.metrics), settings=settings())
    await made.api.close()


def ready(context: ReconcileContext) -> tuple[str, str]:
    conditions = (context.cache.get(KEY) or {})["status"]["conditions"]
    found = next(one for one in conditions if one["type"] == "Ready")
    return found["reason"], found["message"]


async def test_a_refusal_is_reported_until_identity_accepts(
    identity: tuple[Identity, Registry], context: ReconcileContext
) -> None:
    answers, registry = identity
    reconciler = SiteReconciler(context, registry, IdentityStatus(registry, lambda: None))
    context.cache.put(Kind.SITE, site(1, 1, "30d"))
    for _ in range(3):  # looks again, and asks for nothing again
        await reconciler.reconcile(KEY)
        reason, message = ready(context)
        assert reason == "InvalidSpec"
        assert "spec.retention: unknown field (422)" in message
    assert answers.puts == 1
    status = (context.cache.get(KEY) or {})["status"]
    assert status["galleryVersion"] == "m@1/0", "the status of identity is reported all the same"
    assert context.capacities.get("default") == 200
    answers.code = 204
    registration = reconciler._memories[KEY].registration
    assert 0 < registration.retry_at - time.monotonic() <= REFUSAL.first_s
    registration.retry_at = 0.0
    await reconciler.reconcile(KEY)
    assert ready(context)[0] == "Resolved"
    assert answers.puts == 2


async def test_a_site_that_was_corrected_is_asked_for_at_once(
    identity: tuple[Identity, Registry], context: ReconcileContext
) -> None:
    answers, registry = identity
    reconciler = SiteReconciler(context, registry, IdentityStatus(registry, lambda: None))
    context.cache.put(Kind.SITE, site(1, 1, "30d"))
    await reconciler.reconcile(KEY)
    answers.code = 204
    context.cache.put(Kind.SITE, site(2, 10, "7d"))
    await reconciler.reconcile(KEY)
    assert ready(context)[0] == "Resolved"
    answers.code = 422
    context.cache.put(Kind.SITE, site(3, 20, "8d"))
    await reconciler.reconcile(KEY)
    assert ready(context)[0] == "InvalidSpec"


async def test_capacity_is_read_without_a_site_object(
    identity: tuple[Identity, Registry], context: ReconcileContext
) -> None:
    _, registry = identity
    reconciler = SiteReconciler(context, registry, IdentityStatus(registry, lambda: None))
    result = await reconciler.reconcile(KEY)
    assert (result.again_s, context.capacities.get("default")) == (None, None), "nobody asks"
    context.cache.put(Kind.CAMERA, camera_object())
    result = await reconciler.reconcile(KEY)
    assert context.capacities.get("default") == 200
    assert result.again_s is not None, "it is looked at again"


DETECTOR = STATUS["detector"]


@pytest.mark.parametrize(
    ("answers", "known", "capacity"),
    [
        ([{"detector": None}], False, None),
        ([{"detector": DETECTOR}, {"detector": None}], True, 200),
        ([{"detector": DETECTOR}, {"detector": {"modelId": "d@2"}}], True, None),
        ([{"site": "another"}], True, None),
    ],
    ids=["no Triton has answered", "none since", "another that reports nothing", "nobody serves the Site"],
)
async def test_the_last_capacity_holds_once_a_triton_answered(
    identity: tuple[Identity, Registry],
    context: ReconcileContext,
    answers: list[dict[str, Any]],
    known: bool,
    capacity: int | None,
) -> None:
    """Before that the capacity is unknown."""
    says, registry = identity
    for answer in answers:
        says.status = STATUS | answer
        await SiteReconciler(context, registry, IdentityStatus(registry, lambda: None)).measure()
    assert (context.capacities.is_known("default"), context.capacities.get("default")) == (known, capacity)


async def test_capacity_is_read_for_an_invalid_site(
    identity: tuple[Identity, Registry], context: ReconcileContext
) -> None:
    _, registry = identity
    context.cache.put(Kind.SITE, site(1, 1, "for a while"))
    result = await SiteReconciler(context, registry, IdentityStatus(registry, lambda: None)).reconcile(KEY)
    assert ready(context)[0] == "InvalidSpec"
    assert context.capacities.get("default") == 200
    assert result.again_s is not None, "it is looked at again"


async def test_without_identity_nobody_waits_for_its_word(context: ReconcileContext) -> None:
    await SiteReconciler(context, None, IdentityStatus(None, lambda: None)).measure()
    assert (context.capacities.is_known("default"), context.capacities.get("default")) == (True, None)


async def test_without_identity_nothing_is_looked_at_again(context: ReconcileContext) -> None:
    context.cache.put(Kind.CAMERA, camera_object())
    result = await SiteReconciler(context, None, IdentityStatus(None, lambda: None)).reconcile(KEY)
    assert result.again_s is None
