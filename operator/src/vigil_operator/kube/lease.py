"""One operator at a time: a Lease (coordination.k8s.io/v1) that is acquired before anything is written.

As in client-go: who holds it renews it every third of its duration; who waits measures, by its own clock, how long the
record has not changed, so that clocks need not agree; who cannot renew for two thirds of the duration has lost it and
ends, before anybody else can have it.
"""

import asyncio
import contextlib
import datetime as dt
import random
import time
import uuid

import structlog

from vigil_operator.kube.client import Api
from vigil_operator.kube.errors import ConflictError, KubeError, NotFoundError
from vigil_operator.kube.kinds import ADDRESSES, Key, Kind, Object

log = structlog.get_logger(__name__)


class LeaseLostError(Exception):
    """Another operator may be at work by now; this one must end at once."""


class Leadership:
    """The Lease, from waiting for it to giving it back.

    Parameters
    ----------
    identity
        Who holds it, unique for this process.
    """

    def __init__(self, api: Api, namespace: str, name: str, identity: str, lease_s: int) -> None:
        self._api = api
        self._key = Key(Kind.LEASE, namespace, name)
        self._identity = identity
        self._lease_s = lease_s
        self._lease: Object | None = None
        self._seen: tuple[object, float] = (None, 0.0)
        self.held = False
        self.acquired = asyncio.Event()
        self.told = "waiting for the Lease"
        """For /readyz: why nothing is done yet."""

    @property
    def uid(self) -> uuid.UUID | None:
        """The Lease's own uid, which is the installation's: it stays when operators come and go; None: not acquired."""
        return uuid.UUID(self._lease["metadata"]["uid"]) if self._lease is not None else None

    async def acquire(self) -> None:
        """Wait until the Lease is ours, however long that takes."""
        while not self.held:
            try:
                self.held = await self._try()
            except KubeError as error:
                self._say(f"the Lease {self._key.namespace}/{self._key.name} cannot be had: {error}")
            if not self.held:
                await asyncio.sleep(self._lease_s / 5 * random.uniform(0.8, 1.2))  # noqa: S311 - spreads load
        self.told = ""
        self.acquired.set()
        log.info("leading", lease=f"{self._key.namespace}/{self._key.name}", identity=self._identity)

    async def hold(self) -> None:
        """Renew until cancelled; raises LeaseLostError."""
        renewed = time.monotonic()
        while True:
            await asyncio.sleep(self._lease_s / 3 * random.uniform(0.8, 1.0))  # noqa: S311 - spreads load
            left = renewed + self._lease_s * 2 / 3 - time.monotonic()
            try:
                async with asyncio.timeout(max(left, 0.1)):
                    started = time.monotonic()
                    await self._renew()
                    renewed = started
            except (KubeError, TimeoutError) as error:
                if isinstance(error, ConflictError) or time.monotonic() > renewed + self._lease_s * 2 / 3:
                    self.held = False
                    raise LeaseLostError(self._lost(error)) from error
                log.warning("the Lease could not be renewed; trying again", error=str(error) or "no answer in time")

    async def release(self) -> None:
        """Give the Lease back, so that the next operator need not wait for its end; best effort."""
        if not self.held or self._lease is None:
            return
        self.held = False
        self._lease["spec"] |= {"holderIdentity": "", "leaseDurationSeconds": 1}
        with contextlib.suppress(KubeError, TimeoutError):
            async with asyncio.timeout(3):
                await self._api.replace(Kind.LEASE, self._lease)

    def _lost(self, error: Exception) -> str:
        return (
            f"the Lease {self._key.namespace}/{self._key.name} was lost ({str(error) or 'no answer in time'}); "
            "the process ends so that two operators never write at once"
        )

    async def _try(self) -> bool:
        try:
            lease = await self._api.get(self._key)
        except NotFoundError:
            return await self._make()
        spec = lease.get("spec") or {}
        record = (spec.get("holderIdentity"), spec.get("renewTime"), spec.get("leaseTransitions"))
        if record != self._seen[0]:
            self._seen = (record, time.monotonic())
        duration = spec.get("leaseDurationSeconds") or self._lease_s
        holder = spec.get("holderIdentity")
        if holder and holder != self._identity and time.monotonic() - self._seen[1] < duration:
            self._say(f"standby: {holder} holds the Lease {self._key.namespace}/{self._key.name}")
            return False
        lease["spec"] = self._spec(transitions=(spec.get("leaseTransitions") or 0) + 1)
        return await self._write(lease)

    async def _make(self) -> bool:
        lease = {
            "apiVersion": ADDRESSES[Kind.LEASE].api_version,
            "kind": Kind.LEASE.value,
            "metadata": {"name": self._key.name, "namespace": self._key.namespace},
            "spec": self._spec(transitions=0),
        }
        try:
            self._lease = await self._api.create(Kind.LEASE, lease)
        except ConflictError:
            return False
        return True

    async def _write(self, lease: Object) -> bool:
        try:
            self._lease = await self._api.replace(Kind.LEASE, lease)
        except ConflictError:
            return False
        return True

    async def _renew(self) -> None:
        lease = dict(self._lease or {})
        try:
            self._lease = await self._api.replace(Kind.LEASE, self._renewed(lease))
        except ConflictError:
            # A label that somebody set is no loss; another holder is.
            lease = await self._api.get(self._key)
            if (lease.get("spec") or {}).get("holderIdentity") != self._identity:
                raise
            self._lease = await self._api.replace(Kind.LEASE, self._renewed(lease))

    def _renewed(self, lease: Object) -> Object:
        return lease | {"spec": {**lease["spec"], "renewTime": _now()}}

    def _spec(self, *, transitions: int) -> Object:
        return {
            "holderIdentity": self._identity,
            "leaseDurationSeconds": self._lease_s,
            "acquireTime": _now(),
            "renewTime": _now(),
            "leaseTransitions": transitions,
        }

    def _say(self, text: str) -> None:
        if text != self.told:
            log.info(text)
            self.told = text


def _now() -> str:
    return dt.datetime.now(dt.UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
