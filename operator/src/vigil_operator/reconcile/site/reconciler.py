"""Sites: what their parts are doing, looked at now and then, and written down when the meaning changed."""

import random
import time
from collections import defaultdict
from dataclasses import dataclass, field, replace
from typing import Final

from vigil_contracts.ids import ResourceKey
from vigil_contracts.registry import RegistryStatus
from vigil_contracts.resources import Site, check
from vigil_contracts.resources.site import Bus, EndpointStatus, InferenceEndpoint
from vigil_operator.kube.compare import fingerprint
from vigil_operator.kube.kinds import Key, Kind, Object
from vigil_operator.reconcile import conditions as statuses
from vigil_operator.reconcile.conditions import Verdict
from vigil_operator.reconcile.context import ReconcileContext, Result
from vigil_operator.reconcile.registration import RegistrationMemory
from vigil_operator.reconcile.site import conditions as site_verdicts
from vigil_operator.reconcile.site import endpoints as site_endpoints
from vigil_operator.reconcile.site.conditions import Seen
from vigil_operator.reconcile.status_memory import StatusMemory
from vigil_operator.reconcile.status_writer import StatusWriter
from vigil_operator.registry.gallery import Gallery
from vigil_operator.resources.names import BUS_TOKEN
from vigil_operator.routes import BY_SITE
from vigil_runtime.registry.client import RegistryClient as Registry
from vigil_runtime.registry.client import registered
from vigil_runtime.registry.errors import RegistryError, RegistryRefusedError

LOOK_S: Final = 20.0
"""Between two looks at a Site's parts, with jitter: none of them tells when it comes or goes."""

NO_TRITON: Final = "default"
"""Name of the endpoint that the installation gives to Sites that name none; a number follows when there are several."""


@dataclass(slots=True)
class SiteMemory:
    """What is remembered of a Site; all of it may be lost.

    Attributes
    ----------
    may_be_registered
        Identity was asked to register it, whatever came of that.
    """

    may_be_registered: bool = False
    registration: RegistrationMemory = field(default_factory=RegistrationMemory)
    status: StatusMemory = field(default_factory=StatusMemory)


class SiteReconciler:
    """Tells identity of Sites, and of Sites how they are."""

    def __init__(self, context: ReconcileContext, registry: Registry | None, gallery: Gallery) -> None:
        self._context = context
        self._registry = registry
        self._gallery = gallery
        self._memories: defaultdict[Key, SiteMemory] = defaultdict(SiteMemory)
        self._statuses = StatusWriter(context, "Look")

    async def reconcile(self, key: Key) -> Result:
        """Look at one Site and its parts."""
        obj = self._context.cache.get(key)
        if obj is None or obj["metadata"].get("deletionTimestamp"):
            return await self._leave(key)
        gallery = await self._measure(key.name)  # a Site that breaks a rule has Cameras, too
        site = check(registered("Site", obj))
        if isinstance(site, list):
            result = await self._write(key, obj, site_verdicts.invalid(site), {})
            return replace(result, again_s=_look_s())
        if not isinstance(site, Site):
            msg = f"{key} was read as a {type(site).__name__}"
            raise TypeError(msg)
        told = await self._register(key, obj)
        seen = await self._look(key, site, told, gallery)
        result = await self._write(key, obj, site_verdicts.verdicts(seen), self._parts(key, seen))
        return replace(result, again_s=_look_s())

    async def measure(self) -> None:
        """Find out what Triton can do for the Cameras that are looked after; every look at a Site asks it again."""
        await self._measure(self._context.settings.site)

    async def _register(self, key: Key, obj: Object) -> str:
        """Tell identity of the Site, so that its retention holds; gives why that could not be done now."""
        if self._registry is None:
            return ""
        mark, memory = fingerprint(registered("Site", obj)), self._memories[key]
        memory.may_be_registered = True
        registration = memory.registration
        if registration.registered == mark:
            registration.accept(mark)
            return ""
        if registration.refused == mark and time.monotonic() < registration.retry_at:
            return ""
        try:
            await self._registry.put_site(obj)
        except RegistryRefusedError as error:
            registration.refuse(mark, str(error), time.monotonic())
            return ""
        except RegistryError as error:
            return str(error)
        registration.accept(mark)
        return ""

    async def _look(self, key: Key, site: Site, trouble: str, gallery: RegistryStatus | str) -> Seen:
        return Seen(
            name=key.name,
            served=self._served(gallery),
            endpoints=await site_endpoints.check_all(self._endpoints(site)),
            bus_error=self._context.heartbeats.bus_error(key.name, key.namespace),
            bus_secret_missing=self._secret_missing(key, site),
            gallery=trouble or gallery,
            refusal=self._memories[key].registration.refusal,
            listened=key.name == self._context.settings.site or site.spec.bus != Bus(),
        )

    def _served(self, gallery: RegistryStatus | str) -> str:
        """Name the Site that the gateway serves, which may be set to another than the operator."""
        told = gallery.site if isinstance(gallery, RegistryStatus) else None
        return told or self._context.settings.site

    async def _measure(self, site: str) -> RegistryStatus | str:
        """Ask identity how it stands, and note what Triton can do for the Cameras of a Site."""
        try:
            gallery = await self._gallery.status()
        except RegistryError as error:
            if self._registry is None:
                self._context.capacities.set(site, None)  # nobody will ever know
            return str(error)
        if self._served(gallery) != site:
            self._context.capacities.set(site, None)  # nor of one that is not served
        elif gallery.detector is not None:  # until a Triton has answered identity, what it said last holds
            self._context.capacities.set(site, site_verdicts.capacity(gallery.detector))
        return gallery

    def _endpoints(self, site: Site) -> list[InferenceEndpoint]:
        if site.spec.inference.endpoints:
            return site.spec.inference.endpoints
        given = self._context.settings.triton_endpoints
        names = [NO_TRITON] if len(given) == 1 else [f"{NO_TRITON}-{number}" for number in range(1, len(given) + 1)]
        return [InferenceEndpoint(name=name, address=address) for name, address in zip(names, given, strict=True)]

    def _secret_missing(self, key: Key, site: Site) -> str:
        ref = site.spec.bus.credentials_secret_ref
        if ref is None:
            return self._token_unnamed(site)
        secret = self._context.cache.get(Key(Kind.SECRET, key.namespace, ref.name))
        if secret is None:
            return f"there is no Secret {ref.name} in namespace {key.namespace}; create it with the key {BUS_TOKEN}"
        if BUS_TOKEN not in (secret.get("data") or {}):
            return f"Secret {ref.name} has no key {BUS_TOKEN}; put the bus's token there"
        return ""

    def _token_unnamed(self, site: Site) -> str:
        """Say that a bus of the Site's own has no token: the installation's is not sent to what a Site names."""
        if site.spec.bus.url in {None, self._context.settings.nats_url}:
            return ""
        return (
            f"spec.bus.url names another bus than the installation's, and no Secret with its token; put it into one "
            f"under the key {BUS_TOKEN} and name that in spec.bus.credentialsSecretRef"
        )

    def _parts(self, key: Key, seen: Seen) -> Object:
        cameras = self._context.cache.find(Kind.CAMERA, BY_SITE, key.namespace, key.name)
        return {
            "endpoints": [_endpoint(endpoint) for endpoint in seen.endpoints],
            "cameras": len(cameras),
            **(site_verdicts.gallery_status(seen.gallery) if seen.name == seen.served else {}),
        }

    async def _write(self, key: Key, obj: Object, verdicts: list[Verdict], parts: Object) -> Result:
        """Write what is to be said, unless it is said already."""
        generation = int(obj["metadata"].get("generation") or 0)
        made = statuses.conditions(statuses.status_of(obj), verdicts, generation, self._context.now())
        status = {"observedGeneration": generation, "conditions": made, **parts}
        return await self._statuses.write(key, obj, status, self._memories[key].status)

    async def _leave(self, key: Key) -> Result:
        """Let go of a Site; its Cameras say themselves that it is not there."""
        self._memories[key].status.clear()
        again_s, look_s = await self._take_out(key), await self._measure_without(key)
        waits = [wait for wait in (again_s, look_s) if wait is not None]
        return Result("Gone" if again_s is None else "Waiting", min(waits, default=None))

    async def _take_out(self, key: Key) -> float | None:
        """Tell identity that a Site is gone; gives the seconds to try again after, when it failed."""
        memory = self._memories[key]
        if self._registry is not None and memory.may_be_registered:
            try:
                await self._registry.delete_site(ResourceKey(key.namespace, key.name))
            except RegistryError as error:
                return max(memory.registration.backoff.next_s(), error.retry_after_s or 0.0)
        self._memories.pop(key, None)
        return None

    async def _measure_without(self, key: Key) -> float | None:
        """Find out what Triton can do for Cameras whose Site is no object here; gives when to look again."""
        cameras = self._context.cache.find(Kind.CAMERA, BY_SITE, key.namespace, key.name)
        if self._registry is None or key.name != self._context.settings.site or not cameras:
            return None
        await self._measure(key.name)
        return _look_s()

    async def close(self) -> None:
        """Nothing is held."""


def _endpoint(endpoint: EndpointStatus) -> Object:
    return endpoint.model_dump(mode="json", by_alias=True)


def _look_s() -> float:
    return LOOK_S * random.uniform(0.8, 1.2)  # noqa: S311 - spreads load, guards nothing
