"""Run one listener for the installation's bus and one for each bus that a Site names.

The author of a Site chooses an address. So the installation's token is sent to the installation's own bus alone; every
other bus gets the token in the Site's own Secret; and no Site replaces the bus of another, whatever its name.
"""

import asyncio
import base64
import contextlib
from collections.abc import Iterable
from typing import NamedTuple

import structlog

from vigil_contracts.ids import DNS_LABEL
from vigil_operator.bus.listener import BusListener
from vigil_operator.kube.cache import Change
from vigil_operator.kube.errors import KubeError, NotFoundError
from vigil_operator.kube.kinds import Key, Kind, Object
from vigil_operator.kube.readable import may_read
from vigil_operator.reconcile.context import ReconcileContext
from vigil_operator.resources.names import BUS_TOKEN
from vigil_operator.settings import Settings
from vigil_runtime.backoff import KUBERNETES, Backoff
from vigil_runtime.bus_address import BusAddress, BusCredentials

log = structlog.get_logger(__name__)


class BusOwner(NamedTuple):
    """The owner of a bus: a Site, or the installation (without a namespace)."""

    namespace: str | None
    site: str


class WantedBus(NamedTuple):
    """A bus that a Site names.

    Attributes
    ----------
    secret
        Name of the Secret with its token, in the Site's namespace; None: the installation's token.
    """

    url: str
    secret: str | None


class Buses:
    """Listens to the bus of the installation's Site and of every other that names one."""

    def __init__(self, context: ReconcileContext) -> None:
        self._context = context
        self._changed = asyncio.Event()
        self._running: dict[BusOwner, tuple[BusListener, asyncio.Task[None]]] = {}
        self._adjusted = asyncio.Event()
        self._backoff = Backoff(*KUBERNETES)
        context.cache.listen(self._note)

    @property
    def addresses(self) -> dict[BusOwner, BusAddress]:
        """The buses that are listened to."""
        return {owner: listener.address for owner, (listener, _) in self._running.items()}

    async def run(self) -> None:
        """Keep the listeners until cancelled."""
        try:
            while True:
                self._changed.clear()
                again_s = await self._adjust()
                self._adjusted.set()
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(again_s):
                        await self._changed.wait()
        finally:
            await self._stop(set(self._running))

    async def settled(self) -> None:
        """Wait until the last heartbeats of every bus were read, or could not be."""
        await self._adjusted.wait()
        for listener, _ in list(self._running.values()):
            await listener.settled.wait()

    def _note(self, change: Change) -> None:
        if change.key.kind is Kind.SITE or (change.key.kind is Kind.SECRET and self._is_token(change.key)):
            self._changed.set()

    def _is_token(self, key: Key) -> bool:
        return any(_secret(site) == key.name for site in self._context.cache.all(Kind.SITE, key.namespace))

    async def _adjust(self) -> float | None:
        """Start and end listeners; return the seconds until tokens that could not be read are read again."""
        settings = self._context.settings
        own = settings.bus_address
        wanted, unread = {BusOwner(None, settings.site): own}, dict[BusOwner, KubeError]()
        for owner, bus in wanted_buses(self._context.cache.all(Kind.SITE), settings).items():
            try:
                address = await self._address(owner, bus)
            except KubeError as error:
                unread[owner] = error
                continue
            if address is not None and address != own:
                wanted[owner] = address
        addresses = self.addresses
        await self._stop(
            {owner for owner in addresses if owner not in unread and wanted.get(owner) != addresses[owner]}
        )
        for owner in wanted.keys() - self._running.keys():
            listener = BusListener(wanted[owner], self._context.heartbeats, owner.namespace)
            self._running[owner] = (listener, asyncio.create_task(listener.run(), name=f"bus {owner.site}"))
        return self._again_s(unread)

    def _again_s(self, unread: dict[BusOwner, KubeError]) -> float | None:
        if not unread:
            self._backoff.reset()
            return None
        for owner, error in unread.items():
            site = f"{owner.namespace}/{owner.site}"
            log.warning("token of a bus not read; trying again", site=site, reason=str(error))
        return self._backoff.next_s()

    async def _address(self, owner: BusOwner, bus: WantedBus) -> BusAddress | None:
        """Return the address with its token; None without a token, which the Site's condition reports."""
        if bus.secret is None:
            return BusAddress(bus.url, self._context.settings.bus_credentials, owner.site)
        token = await self._token(Key(Kind.SECRET, owner.namespace or "", bus.secret))
        return BusAddress(bus.url, BusCredentials(token=token), owner.site) if token is not None else None

    async def _token(self, key: Key) -> str | None:
        seen = self._context.cache.get(key)
        # A Secret of another type, such as a service account's, has such a key too; those are never in the cache.
        if seen is None or not may_read(seen, Kind.SITE) or BUS_TOKEN not in (seen.get("data") or {}):
            return None
        try:
            secret = await self._context.api.get(key)
            data = (secret.get("data") or {}) if may_read(secret, Kind.SITE) else {}
            return base64.b64decode(data.get(BUS_TOKEN, "")).decode() or None
        except (NotFoundError, ValueError):
            return None

    async def _stop(self, owners: set[BusOwner]) -> None:
        tasks = [self._running.pop(owner)[1] for owner in owners]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def wanted_buses(sites: Iterable[Object], settings: Settings) -> dict[BusOwner, WantedBus]:
    """Return the buses that Sites name and that may be listened to.

    A Site that names another bus than the installation's and no Secret is left out; its condition reports it.
    """
    found: dict[BusOwner, WantedBus] = {}
    for site in sites:
        url, secret = _url(site), _secret(site)
        name = site["metadata"]["name"]
        if not DNS_LABEL.fullmatch(name) or (url is None and secret is None):
            continue
        if secret is not None or url == settings.nats_url:
            owner = BusOwner(site["metadata"].get("namespace") or "default", name)
            found[owner] = WantedBus(url or settings.nats_url, secret)
    return found


def _url(site: Object) -> str | None:
    url = _bus(site).get("url")
    return url if isinstance(url, str) and url else None


def _bus(site: Object) -> Object:
    found = (site.get("spec") or {}).get("bus")
    return found if isinstance(found, dict) else {}


def _secret(site: Object) -> str | None:
    ref = _bus(site).get("credentialsSecretRef")
    name = ref.get("name") if isinstance(ref, dict) else None
    return name if isinstance(name, str) else None
