"""Which buses are listened to, and with whose token."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from tests.support.waiting import eventually
from tests.unit.operator.builders import NOW, beat, settings
from tests.unit.operator.contexts import OWN, context_of

from vigil_contracts.bus import MessageKind, bus_subject
from vigil_contracts.conditions import SiteCondition, SiteReason
from vigil_contracts.events import CameraRef, encode_heartbeat
from vigil_contracts.ids import ResourceKey
from vigil_contracts.resources import Site, check
from vigil_operator.bus.heartbeats import BusProblem, Heartbeats
from vigil_operator.bus.listener import BusListener
from vigil_operator.kube.cache import Cache
from vigil_operator.kube.kinds import Key, Kind, Object
from vigil_operator.kube.readable import READABLE_BY
from vigil_operator.reconcile.site.buses import Buses, BusOwner, WantedBus, wanted_buses
from vigil_operator.reconcile.site.conditions import condition_updates
from vigil_operator.reconcile.site.reconciler import SiteReconciler
from vigil_operator.registry.identity_status import IdentityStatus
from vigil_operator.settings import Settings
from vigil_runtime.bus_address import BusAddress, BusCredentials
from vigil_runtime.registry.client import registered


def site(name: str, namespace: str, version: int = 1, **bus: Any) -> Object:
    """Return a Site as the API server stores it."""
    metadata = {"name": name, "namespace": namespace, "resourceVersion": str(version)}
    return {"metadata": metadata, "spec": {"bus": bus}}


def token_secret(name: str, namespace: str, readable_by: str = "Site") -> Object:
    labels = {READABLE_BY: readable_by}
    metadata = {"name": name, "namespace": namespace, "resourceVersion": "1", "labels": labels}
    return {"metadata": metadata, "type": "Opaque", "data": {"token": "eA=="}}


def given(**more: Any) -> Settings:
    return settings().model_copy(update={"nats_url": OWN, **more})


@asynccontextmanager
async def listening(*sites: Object, secrets: tuple[Object, ...] = ()) -> AsyncIterator[tuple[Buses, Cache]]:
    """Run the listeners of these Sites beside an API server that is away."""
    cache = Cache()
    context = context_of(cache)
    buses = Buses(context)
    for secret in secrets:
        cache.put(Kind.SECRET, secret)
    for one in sites:
        cache.put(Kind.SITE, one)
    running = asyncio.create_task(buses.run())
    try:
        await asyncio.wait_for(buses._adjusted.wait(), 30)
        yield buses, cache
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
        await context.api.close()


async def test_the_own_token_is_sent_to_the_own_bus_alone() -> None:
    foreign = site("default", "tenant", url="nats://elsewhere:4222")
    same = site("annex", "tenant", url=OWN)
    async with listening(foreign, same) as (buses, _):
        urls = {address.url for address in buses.addresses.values() if address.credentials.token is not None}
        assert urls == {OWN}
        assert set(buses.addresses) == {BusOwner(None, "default"), BusOwner("tenant", "annex")}


@pytest.mark.parametrize(("url", "field"), [("nats://elsewhere:4222", "credentialsSecretRef"), (OWN, ""), (None, "")])
async def test_another_bus_without_a_secret_lacks_its_token(url: str | None, field: str) -> None:
    """The Site names the field in which the Secret belongs."""
    context = context_of(Cache())
    reconciler = SiteReconciler(context, None, IdentityStatus(None, lambda: None))
    found = check(registered("Site", site("default", "tenant", url=url) if url else site("default", "tenant")))
    assert isinstance(found, Site), found
    missing = reconciler._secret_missing(Key(Kind.SITE, "tenant", "default"), found)
    await context.api.close()
    assert field in missing
    assert bool(missing) is bool(field)


def test_sites_of_one_name_in_two_namespaces_have_a_bus_each() -> None:
    sites = [
        site("hq", "one", url="nats://a:4222", credentialsSecretRef={"name": "bus"}),
        site("hq", "two", url="nats://b:4222", credentialsSecretRef={"name": "bus"}),
    ]
    assert wanted_buses(sites, given()) == {
        BusOwner("one", "hq"): WantedBus("nats://a:4222", "bus"),
        BusOwner("two", "hq"): WantedBus("nats://b:4222", "bus"),
    }


async def test_an_unreadable_secret_delays_no_other_bus() -> None:
    unread = site("default", "tenant", url="nats://a:4222", credentialsSecretRef={"name": "bus"})
    async with listening(unread, secrets=(token_secret("bus", "tenant"),)) as (buses, cache):
        assert set(buses.addresses) == {BusOwner(None, "default")}
        cache.put(Kind.SITE, site("annex", "other", url=OWN))
        await eventually(lambda: BusOwner("other", "annex") in buses.addresses, 20, "the new Site's bus is listened to")


async def test_a_secret_that_is_not_watched_is_never_sent_to_a_bus() -> None:
    """A service account's token lies under the same key; what is not watched is not even asked for."""
    asks = site("default", "tenant", url="nats://a:4222", credentialsSecretRef={"name": "sa-token"})
    async with listening(asks) as (buses, _):
        assert set(buses.addresses) == {BusOwner(None, "default")}
        assert buses._backoff.failures == 0


async def test_a_secret_that_no_site_may_name_is_not_read() -> None:
    """The API server is away: a Secret that is asked for would fail, and be asked for again."""
    asks = site("default", "tenant", url="nats://a:4222", credentialsSecretRef={"name": "login"})
    async with listening(asks, secrets=(token_secret("login", "tenant", "Camera"),)) as (buses, cache):
        assert set(buses.addresses) == {BusOwner(None, "default")}
        assert buses._backoff.failures == 0
        context = context_of(cache)
        found = check(registered("Site", asks))
        assert isinstance(found, Site), found
        reconciler = SiteReconciler(context, None, IdentityStatus(None, lambda: None))
        facts = await reconciler._check(Key(Kind.SITE, "tenant", "default"), found, "", "identity is away")
        connected = next(one for one in condition_updates(facts) if one.type == SiteCondition.CONNECTED)
        await context.api.close()
    assert connected.reason == SiteReason.BUS_CREDENTIALS_NOT_READABLE
    assert "kubectl label secret login -n tenant --overwrite vigil.dev/readable-by=Site" in connected.message


def test_a_sites_bus_speaks_for_its_own_namespace_only() -> None:
    heartbeats = Heartbeats(lambda _: None, lambda _: None)
    listener = BusListener(BusAddress(OWN, BusCredentials(), "default"), heartbeats, "tenant")
    for namespace in ("tenant", "victim"):
        camera = ResourceKey(namespace, "front")
        sent = beat(camera=CameraRef(namespace=camera.namespace, name=camera.name))
        listener.receive(bus_subject("default", MessageKind.CAMERA, camera), encode_heartbeat(sent, NOW))
    assert heartbeats.get(ResourceKey("tenant", "front")) is not None
    assert heartbeats.get(ResourceKey("victim", "front")) is None


def test_no_camera_sends_heartbeats_of_another() -> None:
    heartbeats = Heartbeats(lambda _: None, lambda _: None)
    listener = BusListener(BusAddress(OWN, BusCredentials(), "default"), heartbeats)
    speaker = ResourceKey("default", "gate")
    listener.receive(bus_subject("default", MessageKind.CAMERA, speaker), encode_heartbeat(beat(), NOW))
    assert heartbeats.size == 0


def test_nothing_is_remembered_of_cameras_that_are_gone() -> None:
    heartbeats = Heartbeats(lambda _: None, lambda _: None)
    listener = BusListener(BusAddress(OWN, BusCredentials(), "default"), heartbeats)
    for number in range(5):
        camera = ResourceKey("default", f"c{number}")
        sent = beat(camera=CameraRef(namespace=camera.namespace, name=camera.name))
        listener.receive(bus_subject("default", MessageKind.CAMERA, camera), encode_heartbeat(sent, NOW))
        heartbeats.forget(camera)
    assert heartbeats.size == 0
    assert "_meanings" not in vars(listener)


def test_an_error_of_a_sites_own_bus_is_that_sites_alone() -> None:
    heartbeats = Heartbeats(lambda _: None, lambda _: None)
    refused = BusProblem(SiteReason.BUS_UNREACHABLE, "refused")
    heartbeats.set_bus_problem("hq", refused, "one")
    errors = [heartbeats.bus_problem("hq", namespace) for namespace in ("one", "two", None)]
    assert errors == [refused, None, None]
    heartbeats.forget_bus("hq", "one")
    assert heartbeats.bus_problem("hq", "one") is None
