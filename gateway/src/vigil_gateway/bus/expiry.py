"""Delete a camera's messages from the site's stream before the stream's own maximum age does."""

import datetime as dt
from contextlib import suppress
from dataclasses import dataclass
from typing import Final
from uuid import uuid4

from nats.js.api import AckPolicy, ConsumerConfig, DeliverPolicy
from nats.js.errors import NotFoundError

from vigil_contracts.bus import MessageKind, bus_subject, event_stream
from vigil_contracts.ids import ResourceKey
from vigil_gateway.bus.consumer import DURABLE
from vigil_gateway.bus.site_bus import SiteBus

PROBE_LIVES_S: Final = 30.0
"""After which the server deletes a probe that this process did not delete."""


@dataclass(frozen=True, slots=True)
class Positions:
    """The last messages to delete, by their sequence number in the stream.

    Attributes
    ----------
    sighting
        Of sightings: none that identity has not processed.
    match
        Of their matches.
    """

    sighting: int
    match: int


class Expiry:
    """Deletes messages that identity has processed and whose retention has ended."""

    def __init__(self, bus: SiteBus) -> None:
        self._bus = bus
        self._site = bus.address.site
        self._stream = event_stream(self._site)
        self._purged: dict[ResourceKey, Positions] = {}

    @property
    def max_age(self) -> dt.timedelta:
        """Age at which the stream deletes by itself, so that a longer retention needs nothing here."""
        return dt.timedelta(seconds=self._stream.max_age_s)

    async def before(self, moment: dt.datetime) -> Positions:
        """Return the last messages that were stored before a moment.

        The server positions a consumer with a start time when it is made, before it delivers anything.

        Raises
        ------
        BusAwayError, nats.errors.Error, TimeoutError, OSError
            The bus is away.
        """
        jetstream, name = self._bus.jetstream, f"retention-{uuid4().hex[:12]}"
        config = ConsumerConfig(
            name=name,
            deliver_policy=DeliverPolicy.BY_START_TIME,
            opt_start_time=moment,
            ack_policy=AckPolicy.NONE,
            inactive_threshold=PROBE_LIVES_S,
            mem_storage=True,
        )
        placed = await jetstream.add_consumer(self._stream.name, config)
        with suppress(NotFoundError):
            await jetstream.delete_consumer(self._stream.name, name)
        last = placed.delivered.stream_seq if placed.delivered else 0
        return Positions(sighting=min(last, await self._processed()), match=last)

    async def _processed(self) -> int:
        try:
            info = await self._bus.jetstream.consumer_info(self._stream.name, DURABLE)
        except NotFoundError:
            return 0
        return info.ack_floor.stream_seq if info.ack_floor else 0

    async def purge(self, camera: ResourceKey, last: Positions) -> None:
        """Delete a camera's messages up to and including these positions; raises as `before`."""
        if self._purged.get(camera) == last:
            return
        for kind, position in ((MessageKind.SIGHTING, last.sighting), (MessageKind.MATCH, last.match)):
            if position > 0:
                name = bus_subject(self._site, kind, camera)
                await self._bus.jetstream.purge_stream(self._stream.name, seq=position + 1, subject=name)
        self._purged[camera] = last
