"""Delete a camera's matches from the site's stream before the stream's own maximum age does.

Its sightings need no expiry: they leave their stream as soon as identity has processed them.
"""

import datetime as dt
from contextlib import suppress
from typing import Final
from uuid import uuid4

from nats.js.api import AckPolicy, ConsumerConfig, DeliverPolicy
from nats.js.errors import NotFoundError

from vigil_contracts.bus import MessageKind, bus_subject, event_stream
from vigil_contracts.ids import ResourceKey
from vigil_gateway.bus.site_bus import SiteBus

PROBE_LIVES_S: Final = 30.0
"""After which the server deletes a probe that this process did not delete."""


class Expiry:
    """Deletes matches whose retention has ended."""

    def __init__(self, bus: SiteBus) -> None:
        self._bus = bus
        self._site = bus.address.site
        self._stream = event_stream(self._site)
        self._purged: dict[ResourceKey, int] = {}

    @property
    def max_age(self) -> dt.timedelta:
        """Age at which the stream deletes by itself, so that a longer retention needs nothing here."""
        return dt.timedelta(seconds=self._stream.max_age_s)

    async def before(self, moment: dt.datetime) -> int:
        """Return the sequence number of the last message that was stored before a moment; 0 when there is none.

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
        return placed.delivered.stream_seq if placed.delivered else 0

    async def purge(self, camera: ResourceKey, last: int) -> None:
        """Delete a camera's matches up to and including this sequence number; raises as `before`."""
        if last <= 0 or self._purged.get(camera) == last:
            return
        name = bus_subject(self._site, MessageKind.MATCH, camera)
        await self._bus.jetstream.purge_stream(self._stream.name, seq=last + 1, subject=name)
        self._purged[camera] = last
