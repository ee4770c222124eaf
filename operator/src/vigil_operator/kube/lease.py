"""One operator at a time: a Lease (coordination.k8s.io/v1) that is acquired before anything is written.

As in client-go, the holder renews the Lease every third of its duration. A standby measures with its own clock for how
long the record has not changed, so that clocks need not agree. A holder that cannot renew for two thirds of the
duration has lost the Lease and ends, before a standby can acquire it.

The official client's leader election does not replace this: it lets two operators lead while a request hangs, and never
returns the Lease (docs/decisions/0009-the-official-client-with-our-own-lease.md).
"""

import asyncio
import contextlib
import datetime as dt
import time
import uuid

import structlog

from vigil_operator.kube.client import Api
from vigil_operator.kube.errors import ConflictError, KubeError, NotFoundError
from vigil_operator.kube.kinds import ADDRESSES, Key, Kind, Object
from vigil_runtime.backoff import spread

log = structlog.get_logger(__name__)


class LeaseLostError(Exception):
    """Another operator may be at work by now; this one must end at once."""


class Leadership:
    """Acquires the Lease, renews it and returns it.

    Parameters
    ----------
    holder
        Our name in the Lease, unique for this process.
    lease_s
        The duration of the Lease in seconds.
    """

    def __init__(self, api: Api, namespace: str, name: str, holder: str, lease_s: int) -> None:
        self._api = api
        self._key = Key(Kind.LEASE, namespace, name)
        self._holder = holder
        self._lease_s = lease_s
        self._lease: Object | None = None
        self._seen: tuple[object, float] = (None, 0.0)
        self.held = False
        self.acquired = asyncio.Event()
        self.status = "waiting for the Lease"
        """Why nothing is done yet, for /readyz; empty while the Lease is held."""

    @property
    def uid(self) -> uuid.UUID | None:
        """The Lease's uid, which identifies the installation whichever operator leads; None before it is acquired."""
        return uuid.UUID(self._lease["metadata"]["uid"]) if self._lease is not None else None

    async def acquire(self) -> None:
        """Wait until this process holds the Lease."""
        while not self.held:
            try:
                self.held = await self._try_to_acquire()
            except KubeError as error:
                self._set_status(f"the Lease {self._key.namespace}/{self._key.name} cannot be acquired: {error}")
            if not self.held:
                await asyncio.sleep(spread(self._lease_s / 5))
        self.status = ""
        self.acquired.set()
        log.info("leading", lease=f"{self._key.namespace}/{self._key.name}", holder=self._holder)

    async def hold(self) -> None:
        """Renew the Lease until cancelled; LeaseLostError when another operator may hold it by now."""
        renewed = time.monotonic()
        while True:
            await asyncio.sleep(spread(self._lease_s * 0.3, 0.1))
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
                log.warning("the Lease could not be renewed; trying again", error=str(error) or "no response in time")

    async def release(self) -> None:
        """Return the Lease, so that the next operator need not wait for its end; an error is ignored."""
        if not self.held or self._lease is None:
            return
        self.held = False
        self._lease["spec"] |= {"holderIdentity": "", "leaseDurationSeconds": 1}
        with contextlib.suppress(KubeError, TimeoutError):
            async with asyncio.timeout(3):
                await self._api.replace(Kind.LEASE, self._lease)

    def _lost(self, error: Exception) -> str:
        return (
            f"the Lease {self._key.namespace}/{self._key.name} was lost ({str(error) or 'no response in time'}); "
            "the process ends so that two operators never write at once"
        )

    async def _try_to_acquire(self) -> bool:
        try:
            lease = await self._api.get(self._key)
        except NotFoundError:
            return await self._create()
        spec = lease.get("spec") or {}
        record = (spec.get("holderIdentity"), spec.get("renewTime"), spec.get("leaseTransitions"))
        if record != self._seen[0]:
            self._seen = (record, time.monotonic())
        duration = spec.get("leaseDurationSeconds") or self._lease_s
        holder = spec.get("holderIdentity")
        if holder and holder != self._holder and time.monotonic() - self._seen[1] < duration:
            self._set_status(f"standby: {holder} holds the Lease {self._key.namespace}/{self._key.name}")
            return False
        lease["spec"] = self._spec(transitions=(spec.get("leaseTransitions") or 0) + 1)
        return await self._write(lease)

    async def _create(self) -> bool:
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
            # Somebody may have set a label; only another holder means that the Lease is lost.
            lease = await self._api.get(self._key)
            if (lease.get("spec") or {}).get("holderIdentity") != self._holder:
                raise
            self._lease = await self._api.replace(Kind.LEASE, self._renewed(lease))

    def _renewed(self, lease: Object) -> Object:
        return lease | {"spec": {**lease["spec"], "renewTime": _now()}}

    def _spec(self, *, transitions: int) -> Object:
        return {
            "holderIdentity": self._holder,
            "leaseDurationSeconds": self._lease_s,
            "acquireTime": _now(),
            "renewTime": _now(),
            "leaseTransitions": transitions,
        }

    def _set_status(self, status: str) -> None:
        if status != self.status:
            log.info(status)
            self.status = status


def _now() -> str:
    return dt.datetime.now(dt.UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
