"""One listener for the installation's bus and one for each bus that a Site names, as they come, change and go.

Whoever may write a Site chooses an address. So the installation's token goes to the installation's own bus alone; to
every other goes what the Site's own Secret holds; and no Site takes another's place, whatever its name.
"""

import asyncio
import base64
import contextlib
from collections.abc import Iterable
from typing import NamedTuple

import structlog

from vigil_contracts.ids import DNS_LABEL
from vigil_operator.bus.listener import BusAddress, BusListener
from vigil_operator.kube.cache import Change
from vigil_operator.kube.errors import KubeError, NotFoundError
from vigil_operator.kube.kinds import Key, Kind, Object
from vigil_operator.queue import Backoff
from vigil_operator.reconcile.context import World
from vigil_operator.resources.names import BUS_TOKEN
from vigil_operator.settings import Settings

log = structlog.get_logger(__name__)


class Place(NamedTuple):
    """Whose bus it is: that of a Site, or of the installation (without a namespace)."""

    namespace: str | None
    site: str


class Wish(NamedTuple):
    """A bus that is to be listened to.

    Attributes
    ----------
    secret
        Name of the Secret with its token, in the Site's namespace; None: the installation's token.
    """

    url: str
    secret: str | None


class Buses:
    """Listens to the bus of the installation's Site and of every other that names one."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._changed = asyncio.Event()
        self._running: dict[Place, tuple[BusListener, asyncio.Task[None]]] = {}
        self._adjusted = asyncio.Event()
        self._backoff: Backoff[None] = Backoff(first_s=1.0, most_s=30.0)
        world.cache.listen(self._note)

    @property
    def addresses(self) -> dict[Place, BusAddress]:
        """What is listened to."""
        return {place: listener.address for place, (listener, _) in self._running.items()}

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
        return any(_secret(site) == key.name for site in self._world.cache.all(Kind.SITE, key.namespace))

    async def _adjust(self) -> float | None:
        """Start and end listeners; gives the seconds after which to try again what could not be read."""
        settings = self._world.settings
        token = settings.nats_token.get_secret_value() if settings.nats_token is not None else None
        own = BusAddress(settings.site, settings.nats_url, token)
        wanted, unread = {Place(None, settings.site): own}, dict[Place, KubeError]()
        for place, wish in wishes(self._world.cache.all(Kind.SITE), settings).items():
            try:
                address = await self._address(place, wish, token)
            except KubeError as error:
                unread[place] = error
                continue
            if address is not None and (address.site, address.url, address.token) != (own.site, own.url, own.token):
                wanted[place] = address
        addresses = self.addresses
        await self._stop(
            {place for place in addresses if place not in unread and wanted.get(place) != addresses[place]}
        )
        for place in wanted.keys() - self._running.keys():
            listener = BusListener(wanted[place], self._world.heartbeats)
            self._running[place] = (listener, asyncio.create_task(listener.run(), name=f"bus {place.site}"))
        return self._again_s(unread)

    def _again_s(self, unread: dict[Place, KubeError]) -> float | None:
        if not unread:
            self._backoff.forget(None)
            return None
        for place, error in unread.items():
            site = f"{place.namespace}/{place.site}"
            log.warning("the bus's token cannot be read; trying again", site=site, reason=str(error))
        return self._backoff.next_s(None)

    async def _address(self, place: Place, wish: Wish, token: str | None) -> BusAddress | None:
        """Give where to listen and with what; None without a token, which the Site itself tells of."""
        if wish.secret is not None:
            token = await self._token(Key(Kind.SECRET, place.namespace or "", wish.secret))
            if token is None:
                return None
        return BusAddress(place.site, wish.url, token, place.namespace)

    async def _token(self, key: Key) -> str | None:
        seen = self._world.cache.get(key)
        # A Secret of another kind, such as a service account's, has such a key too; those are never in the cache.
        if seen is None or BUS_TOKEN not in (seen.get("data") or {}):
            return None
        try:
            data = (await self._world.api.get(key)).get("data") or {}
            return base64.b64decode(data.get(BUS_TOKEN, "")).decode() or None
        except (NotFoundError, ValueError):
            return None

    async def _stop(self, places: set[Place]) -> None:
        tasks = [self._running.pop(place)[1] for place in places]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def wishes(sites: Iterable[Object], settings: Settings) -> dict[Place, Wish]:
    """Say which Sites name a bus that may be listened to; one that names another and no Secret says so itself."""
    found: dict[Place, Wish] = {}
    for site in sites:
        url, secret = _url(site), _secret(site)
        name = site["metadata"]["name"]
        if not DNS_LABEL.fullmatch(name) or (url is None and secret is None):
            continue
        if secret is not None or url == settings.nats_url:
            place = Place(site["metadata"].get("namespace") or "default", name)
            found[place] = Wish(url or settings.nats_url, secret)
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
