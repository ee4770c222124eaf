"""The bus of a site: a connection that is of use once the site's streams are there."""

import asyncio

import structlog

from vigil_contracts.bus_permissions import BusRole
from vigil_runtime.backoff import STORE, Backoff, retry
from vigil_runtime.bus import BUS_ERRORS, BusConnection, describe_error, ensure_streams
from vigil_runtime.bus_address import BusAddress

log = structlog.get_logger(__name__)


class SiteBus(BusConnection):
    """The connection of one process to the bus of its site."""

    def __init__(self, address: BusAddress, name: str) -> None:
        super().__init__(address, name, BusRole.IDENTITY)
        self._prepared_for = 0  # the number of the connection on which the streams were made last
        self._prepared = asyncio.Event()

    @property
    def ready(self) -> bool:
        """Whether NATS is connected and has the site's streams."""
        return self.connected and self._prepared_for == self.connections

    async def wait_ready(self) -> None:
        """Wait until NATS is connected and has the site's streams."""
        while not self.ready:
            self._prepared.clear()
            await self._prepared.wait()

    async def run(self) -> None:
        """Hold the connection, and make the streams after each connection, until cancelled."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._keep_streams())
            await super().run()

    async def _keep_streams(self) -> None:
        """Make the streams that are missing: another server may have come up, or the same one with an empty disk."""
        number = 0
        while True:
            number = await self.wait_connected(after=number)
            await retry(self._make_streams, on=BUS_ERRORS, backoff=Backoff(*STORE))
            if self.last_error and self.connected:
                self.last_error = ""
            self._prepared_for = number
            self._prepared.set()

    async def make_streams(self) -> None:
        """Make the streams that are missing; only identity may.

        Raises
        ------
        BusAwayError, nats.errors.Error, TimeoutError, OSError
            The bus is away.
        """
        await ensure_streams(self.jetstream, self.address.site)

    async def _make_streams(self) -> None:
        try:
            await self.make_streams()
        except BUS_ERRORS as error:
            self.errors += 1
            reason = f"the site's streams cannot be made: {describe_error(error)}"
            if self.connected and reason != self.last_error:
                log.warning("streams not made; retrying", reason=reason)
                self.last_error = reason
            raise
