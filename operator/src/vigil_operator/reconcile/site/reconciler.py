"""Reconcile Sites: check their parts regularly, and write the status when its meaning changed."""

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
from vigil_operator.kube.readable import READABLE_BY, may_read, remedy
from vigil_operator.reconcile import conditions as statuses
from vigil_operator.reconcile.conditions import ConditionUpdate
from vigil_operator.reconcile.context import ReconcileContext, Result
from vigil_operator.reconcile.registration_memory import RegistrationMemory
from vigil_operator.reconcile.site import conditions as site_conditions
from vigil_operator.reconcile.site import endpoints as site_endpoints
from vigil_operator.reconcile.site.conditions import SiteFacts
from vigil_operator.reconcile.status_memory import StatusMemory
from vigil_operator.reconcile.status_writer import StatusWriter
from vigil_operator.registry.identity_status import IdentityStatus
from vigil_operator.resources.names import BUS_TOKEN
from vigil_operator.routes import BY_SITE
from vigil_runtime.backoff import spread
from vigil_runtime.registry.client import RegistryClient as Registry
from vigil_runtime.registry.client import registered
from vigil_runtime.registry.errors import RegistryError, RegistryRefusedError

CHECK_S: Final = 20.0
"""Between two checks of a Site's parts, with jitter: none of them announces that it comes or goes."""

DEFAULT_ENDPOINT: Final = "default"
"""Name of the installation's endpoint for Sites that name none; a number follows when there are several."""


@dataclass(slots=True)
class SiteMemory:
    """Memory of a Site between two reconciles; all of it may be lost.

    Attributes
    ----------
    may_be_registered
        Identity was asked to register it, with any result.
    """

    may_be_registered: bool = False
    registration: RegistrationMemory = field(default_factory=RegistrationMemory)
    status: StatusMemory = field(default_factory=StatusMemory)


class SiteReconciler:
    """Registers Sites with identity and writes their status."""

    def __init__(self, context: ReconcileContext, registry: Registry | None, identity: IdentityStatus) -> None:
        self._context = context
        self._registry = registry
        self._identity = identity
        self._memories: defaultdict[Key, SiteMemory] = defaultdict(SiteMemory)
        self._statuses = StatusWriter(context, "Check")

    async def reconcile(self, key: Key) -> Result:
        """Check one Site and its parts."""
        obj = self._context.cache.get(key)
        if obj is None or obj["metadata"].get("deletionTimestamp"):
            return await self._leave(key)
        identity = await self._measure(key.name)  # an invalid Site has Cameras, too
        site = check(registered("Site", obj))
        if isinstance(site, list):
            result = await self._write(key, obj, site_conditions.invalid(site), {})
            return replace(result, again_s=_check_s())
        if not isinstance(site, Site):
            msg = f"{key} was read as a {type(site).__name__}"
            raise TypeError(msg)
        error = await self._register(key, obj)
        facts = await self._check(key, site, error, identity)
        result = await self._write(key, obj, site_conditions.condition_updates(facts), self._parts(key, facts))
        return replace(result, again_s=_check_s())

    async def measure(self) -> None:
        """Read the inference capacity of the installation's Site; every check of a Site reads it again."""
        await self._measure(self._context.settings.site)

    async def _register(self, key: Key, obj: Object) -> str:
        """Register the Site, so that its retention holds; return why that could not be done now."""
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

    async def _check(self, key: Key, site: Site, error: str, identity: RegistryStatus | str) -> SiteFacts:
        return SiteFacts(
            name=key.name,
            served=self._served(identity),
            endpoints=await site_endpoints.check_all(self._endpoints(site)),
            bus_problem=self._context.heartbeats.bus_problem(key.name, key.namespace),
            bus_secret_missing=self._secret_missing(key, site),
            bus_secret_unreadable=self._secret_unreadable(key, site),
            identity=error or identity,
            refusal=self._memories[key].registration.refusal,
            listened=key.name == self._context.settings.site or site.spec.bus != Bus(),
        )

    def _served(self, identity: RegistryStatus | str) -> str:
        """Return the name of the Site that the gateway serves, whose setting may differ from the operator's."""
        served = identity.site if isinstance(identity, RegistryStatus) else None
        return served or self._context.settings.site

    async def _measure(self, site: str) -> RegistryStatus | str:
        """Return the status of identity, or its error, and note the inference capacity of a Site."""
        try:
            identity = await self._identity.status()
        except RegistryError as error:
            if self._registry is None:
                self._context.capacities.set(site, None)  # it stays unknown
            return str(error)
        if self._served(identity) != site:
            self._context.capacities.set(site, None)  # as that of a Site that is not served
        elif identity.detector is not None:  # until a Triton has answered identity, the last capacity holds
            self._context.capacities.set(site, site_conditions.capacity(identity.detector))
        return identity

    def _endpoints(self, site: Site) -> list[InferenceEndpoint]:
        if site.spec.inference.endpoints:
            return site.spec.inference.endpoints
        addresses = self._context.settings.triton_endpoints
        names = (
            [DEFAULT_ENDPOINT]
            if len(addresses) == 1
            else [f"{DEFAULT_ENDPOINT}-{number}" for number in range(1, len(addresses) + 1)]
        )
        return [InferenceEndpoint(name=name, address=address) for name, address in zip(names, addresses, strict=True)]

    def _secret_missing(self, key: Key, site: Site) -> str:
        ref = site.spec.bus.credentials_secret_ref
        if ref is None:
            return self._token_unnamed(site)
        secret = self._context.cache.get(Key(Kind.SECRET, key.namespace, ref.name))
        if secret is None:
            return (
                f"there is no Secret {ref.name} in namespace {key.namespace}; create it with the key {BUS_TOKEN} and "
                f"the label {READABLE_BY}={Kind.SITE}"
            )
        if BUS_TOKEN not in (secret.get("data") or {}):
            return f"Secret {ref.name} has no key {BUS_TOKEN}; put the bus's token there"
        return ""

    def _secret_unreadable(self, key: Key, site: Site) -> str:
        ref = site.spec.bus.credentials_secret_ref
        if ref is None:
            return ""
        secret_key = Key(Kind.SECRET, key.namespace, ref.name)
        secret = self._context.cache.get(secret_key)
        return remedy(secret_key, Kind.SITE) if secret is not None and not may_read(secret, Kind.SITE) else ""

    def _token_unnamed(self, site: Site) -> str:
        """Return the error of a bus of the Site's own without a token: the installation's is not sent there."""
        if site.spec.bus.url in {None, self._context.settings.nats_url}:
            return ""
        return (
            f"spec.bus.url names another bus than the installation's, and no Secret has its token; put the token into "
            f"a Secret under the key {BUS_TOKEN} and name that in spec.bus.credentialsSecretRef"
        )

    def _parts(self, key: Key, facts: SiteFacts) -> Object:
        cameras = self._context.cache.find(Kind.CAMERA, BY_SITE, key.namespace, key.name)
        return {
            "endpoints": [_endpoint(endpoint) for endpoint in facts.endpoints],
            "cameras": len(cameras),
            **(site_conditions.gallery_status(facts.identity) if facts.name == facts.served else {}),
        }

    async def _write(self, key: Key, obj: Object, updates: list[ConditionUpdate], parts: Object) -> Result:
        """Write the status, unless it is there already."""
        generation = int(obj["metadata"].get("generation") or 0)
        made = statuses.conditions(statuses.status_of(obj), updates, generation, self._context.now())
        status = {"observedGeneration": generation, "conditions": made, **parts}
        return await self._statuses.write(key, obj, status, self._memories[key].status)

    async def _leave(self, key: Key) -> Result:
        """Forget a Site that is gone; the conditions of its Cameras report that it is not there."""
        self._memories[key].status.clear()
        again_s, check_s = await self._remove(key), await self._measure_without(key)
        waits = [wait for wait in (again_s, check_s) if wait is not None]
        return Result("Gone" if again_s is None else "Waiting", min(waits, default=None))

    async def _remove(self, key: Key) -> float | None:
        """Remove a Site from identity; return the seconds until the next attempt after a failure."""
        memory = self._memories[key]
        if self._registry is not None and memory.may_be_registered:
            try:
                await self._registry.delete_site(ResourceKey(key.namespace, key.name))
            except RegistryError as error:
                return max(memory.registration.backoff.next_s(), error.retry_after_s or 0.0)
        self._memories.pop(key, None)
        return None

    async def _measure_without(self, key: Key) -> float | None:
        """Read the inference capacity for Cameras without a Site object; return when to check again, in seconds."""
        cameras = self._context.cache.find(Kind.CAMERA, BY_SITE, key.namespace, key.name)
        if self._registry is None or key.name != self._context.settings.site or not cameras:
            return None
        await self._measure(key.name)
        return _check_s()

    async def close(self) -> None:
        """Nothing is held."""


def _endpoint(endpoint: EndpointStatus) -> Object:
    return endpoint.model_dump(mode="json", by_alias=True)


def _check_s() -> float:
    return spread(CHECK_S)
