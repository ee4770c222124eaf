"""Publish committed events in the site's order; of all identity processes of a site, one does so at a time.

The relay is the process that holds an advisory lock of Postgres, as long as its connection lives. When the process or
its machine dies, Postgres frees the lock and another process takes over within seconds. If the old one still publishes
at that moment, JetStream drops the repeated events, because `Nats-Msg-Id` contains the event's position in the order.
"""

import asyncio
import datetime as dt
import json
import re
from contextlib import suppress
from typing import Final

import structlog
from nats.js.api import PubAck

from vigil_contracts.bus import CONTENT_TYPE, MSG_ID_HEADER
from vigil_contracts.events import AnyEvent
from vigil_contracts.ids import ResourceKey
from vigil_gateway.bus.site_bus import SiteBus
from vigil_gateway.principal import Permission, Principal
from vigil_gateway.services.metrics import ServiceMetrics
from vigil_gateway.storage.errors import DatabaseError
from vigil_gateway.storage.postgres import outbox
from vigil_gateway.storage.postgres.pool import Connection, Database, storage_errors
from vigil_gateway.storage.postgres.rows import EventRow, PublishedRow
from vigil_gateway.storage.postgres.sightings import NOTIFY_CHANNEL
from vigil_runtime.backoff import STORE, Backoff, jittered
from vigil_runtime.bus import BUS_ERRORS, BusAwayError

log = structlog.get_logger(__name__)

BATCH: Final = 128
PUBLISH_TIMEOUT_S: Final = 5.0
LEAD_EVERY_S: Final = 1.0
"""Between two attempts to become the relay, with jitter."""

CHECK_EVERY_S: Final = 2.0
"""Between two looks at the outbox, in case a notification is lost; a dead connection is noticed so too."""


class Relay:
    """Publishes the outbox on the bus.

    Parameters
    ----------
    principal
        As which events are read.
    wake
        Set after each commit of this process; Postgres notifies of commits of others.
    """

    def __init__(
        self, principal: Principal, database: Database, bus: SiteBus, wake: asyncio.Event, metrics: ServiceMetrics
    ) -> None:
        self._principal = principal
        self._database = database
        self._bus = bus
        self._wake = wake
        self._metrics = metrics
        self._backoff = Backoff(*STORE)

    async def run(self) -> None:
        """Relay events whenever no other process does, until cancelled."""
        self._principal.require(Permission.READ_SIGHTINGS)
        while True:
            try:
                await self._bus.wait_ready()
                await self._bus.make_streams()  # somebody may have removed them
                await self._serve()
            except (DatabaseError, *BUS_ERRORS) as error:
                part = "database" if isinstance(error, DatabaseError) else "bus"
                self._metrics.errors.labels(part).inc()
                log.warning("relay interrupted; retrying", reason=f"{type(error).__name__}: {error}")
            await asyncio.sleep(self._backoff.next_s())

    async def _serve(self) -> None:
        async with self._database.dedicated() as connection:
            try:
                while True:
                    if await self._is_leader(connection):
                        await self._lead(connection)
                    await asyncio.sleep(jittered(LEAD_EVERY_S))
            finally:
                self._metrics.leading.set(0)

    async def _is_leader(self, connection: Connection) -> bool:
        with storage_errors():
            return await outbox.try_lock(connection)

    async def _lead(self, connection: Connection) -> None:
        log.info("this process is the relay")
        self._metrics.leading.set(1)
        with storage_errors():
            await connection.add_listener(NOTIFY_CHANNEL, lambda *_: self._wake.set())
        while True:
            self._wake.clear()
            while await self._publish_page(connection) == BATCH:
                pass
            with suppress(TimeoutError):
                async with asyncio.timeout(CHECK_EVERY_S):
                    await self._wake.wait()

    async def _publish_page(self, connection: Connection) -> int:
        with storage_errors():
            rows = await outbox.pending(connection, BATCH)
        if not rows:
            return 0
        published = await self._publish(rows)
        with storage_errors():
            await outbox.mark_published(connection, published)
        self._metrics.published.inc(len(published))
        if len(published) < len(rows):
            msg = f"JetStream accepted only {len(published)} of {len(rows)} events"
            raise BusAwayError(msg)
        self._backoff.reset()
        return len(rows)

    async def _publish(self, rows: list[EventRow]) -> list[PublishedRow]:
        """Send all, then wait for the acknowledgements; return the rows before the first failure."""
        sent: list[tuple[int, asyncio.Future[PubAck] | None]] = []
        try:
            async with asyncio.timeout(PUBLISH_TIMEOUT_S):
                for row in rows:
                    future = await self._send(row)
                    sent.append((row.seq, future))
                if pending := [future for _, future in sent if future is not None]:
                    await asyncio.wait(pending)
        except BUS_ERRORS as error:
            log.warning("events not accepted by the bus in time", reason=f"{type(error).__name__}: {error}")
        published: list[PublishedRow] = []
        for seq, future in sent:
            if future is not None and (not future.done() or future.cancelled() or future.exception() is not None):
                break
            published.append(PublishedRow(seq, future.result().seq if future is not None else None))
        for _, future in sent:
            if future is not None and not future.done():
                future.cancel()
        return published

    async def _send(self, row: EventRow) -> "asyncio.Future[PubAck] | None":
        """Send one event; return None when its subject is not one of this site."""
        try:
            body = envelope(row, self._bus.address.site, dt.datetime.now(dt.UTC))
        except ValueError as error:
            log.warning("event cannot be published", seq=row.seq, reason=str(error)[:500])
            return None
        headers = {MSG_ID_HEADER: message_id(row.subject, row.seq), "Content-Type": CONTENT_TYPE}
        return await self._bus.jetstream.publish_async(row.subject, body, headers=headers)


def message_id(subject: str, seq: int) -> str:
    """Return the id by which JetStream recognises that an event was published before: `match:7`."""
    return f"{subject.split('.')[2]}:{seq}"


def envelope(row: EventRow, site: str, at: dt.datetime) -> bytes:
    """Wrap an event for the bus, whatever its type; raise ValueError when its subject is not one of this site.

    A subject `vigil.<site>.<kind>.<namespace>_<name>` is of a camera, which becomes the event's source.
    """
    if not re.fullmatch(rf"vigil\.{re.escape(site)}\.[a-z0-9-]+(\.[A-Za-z0-9_-]+)+", row.subject):
        msg = f"{row.subject!r} is not a subject of site {site!r}"
        raise ValueError(msg)
    about = row.subject.split(".", 3)[3]
    source = f"/sites/{site}"
    with suppress(ValueError):
        key = ResourceKey.from_token(about)
        source, about = f"{source}/cameras/{key.namespace}/{key.name}", str(key)
    event = AnyEvent(
        id=message_id(row.subject, row.seq), source=source, type=row.type, subject=about, time=at,
        data=json.loads(row.payload),
    )  # fmt: skip
    return event.model_dump_json(by_alias=True, exclude_none=True).encode()
