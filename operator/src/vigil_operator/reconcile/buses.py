"""One listener for the bus of each Site, as Sites and their Secrets come, change and go."""

import asyncio
import contextlib

import structlog

from vigil_contracts.ids import DNS_LABEL
from vigil_operator.bus.listener import BusAddress, BusListener
from vigil_operator.kube.cache import Change
from vigil_operator.kube.errors import KubeError, NotFoundError
from vigil_operator.kube.kinds import Key, Kind, Object
from vigil_operator.queue import Backoff
from vigil_operator.reconcile.base import World

log = structlog.get_logger(__name__)


class Buses:
    """Listens to the bus of the installation's Site and of every other that names one."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._changed = asyncio.Event()
        self._running: dict[str, tuple[BusListener, asyncio.Task[None]]] = {}
        self._adjusted = asyncio.Event()
        self._backoff: Backoff[None] = Backoff(first_s=1.0, most_s=30.0)
        world.cache.listen(self._note)

    async def run(self) -> None:
        """Keep the listeners until cancelled."""
        try:
            while True:
                self._changed.clear()
                try:
                    await self._adjust()
                    self._backoff.forget(None)
                    self._adjusted.set()
                except KubeError as error:
                    log.warning("the bus's token cannot be read; trying again", reason=str(error))
                    with contextlib.suppress(TimeoutError):
                        await asyncio.wait_for(self._changed.wait(), self._backoff.next_s(None))
                    continue
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

    async def _adjust(self) -> None:
        wanted = await self._wanted()
        gone = {site for site, (listener, _) in self._running.items() if wanted.get(site) != listener.address}
        await self._stop(gone)
        for site, address in wanted.items():
            if site not in self._running:
                listener = BusListener(address, self._world.heartbeats)
                self._running[site] = (listener, asyncio.create_task(listener.run(), name=f"bus {site}"))

    async def _wanted(self) -> dict[str, BusAddress]:
        settings = self._world.settings
        token = settings.nats_token.get_secret_value() if settings.nats_token is not None else None
        wanted = {settings.site: BusAddress(settings.site, settings.nats_url, token)}
        for site in self._world.cache.all(Kind.SITE):
            name = site["metadata"]["name"]
            if not DNS_LABEL.fullmatch(name):
                continue
            bus = _bus(site)
            if bus.get("url") or _secret(site):
                own = await self._token(site) if _secret(site) else token
                wanted[name] = BusAddress(name, bus.get("url") or settings.nats_url, own)
        return wanted

    async def _token(self, site: Object) -> str | None:
        import base64

        key = Key(Kind.SECRET, site["metadata"]["namespace"], _secret(site) or "")
        try:
            data = (await self._world.api.get(key)).get("data") or {}
            return base64.b64decode(data.get("token", "")).decode() or None
        except (NotFoundError, ValueError):
            return None  # the Site says what is missing

    async def _stop(self, sites: set[str]) -> None:
        tasks = [self._running.pop(site)[1] for site in sites]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def _bus(site: Object) -> Object:
    found = (site.get("spec") or {}).get("bus")
    return found if isinstance(found, dict) else {}


def _secret(site: Object) -> str | None:
    name = (_bus(site).get("credentialsSecretRef") or {}).get("name")
    return name if isinstance(name, str) else None
