"""Publish what was committed, in the site's order. Of all identity processes of a site one does it at a time.

Who holds an advisory lock of Postgres is the relay, as long as its connection lives: when the process or its machine
dies, Postgres frees the lock and another takes over within seconds. Should the old one still be publishing at that
moment, JetStream drops what comes twice, because `Nats-Msg-Id` is the event's place in the order.
"""

import asyncio
import datetime as dt
import random
from contextlib import suppress
from typing import Any, Final

import asyncpg
import structlog
from nats.errors import Error as NatsError
from nats.js.api import PubAck

from vigil_contracts import bus
from vigil_contracts.bus import CONTENT_TYPE, MSG_ID_HEADER, Kind
from vigil_contracts.events import Match, encode_match
from vigil_gateway.bus.connection import BUS_ERRORS, Bus, BusAwayError
from vigil_gateway.services.metrics import ServiceMetrics
from vigil_gateway.storage.errors import DatabaseError
from vigil_gateway.storage.postgres.ledger import NOTIFY_CHANNEL
from vigil_gateway.storage.postgres.pool import Database, told_as_away

log = structlog.get_logger(__name__)

LOCK: Final = 0x7669_6769_6C03
"""Key of the advisory lock of the relay ("vigil", 3)."""

BATCH: Final = 128
PUBLISH_TIMEOUT_S: Final = 5.0
LEAD_EVERY_S: Final = 1.0
"""Between two attempts to become the relay, with jitter."""

LOOK_EVERY_S: Final = 2.0
"""Should a notification be lost; it also notices a connection that is dead."""

FIRST_PAUSE_S: Final = 0.1
MAX_PAUSE_S: Final = 2.0

_PENDING: Final = "SELECT seq, payload::text FROM events WHERE published_at IS NULL ORDER BY seq LIMIT $1"
_MARK: Final = """
    UPDATE events SET published_at = now(), stream_seq = told.stream_seq
    FROM unnest($1::bigint[], $2::bigint[]) AS told (seq, stream_seq) WHERE events.seq = told.seq
"""


class Relay:
    """Carries the outbox to the bus.

    Parameters
    ----------
    wake
        Set after each commit of this process; those of others come as notifications of Postgres.
    """

    def __init__(self, database: Database, bus_: Bus, wake: asyncio.Event, metrics: ServiceMetrics) -> None:
        self._database = database
        self._bus = bus_
        self._wake = wake
        self._metrics = metrics

    async def run(self) -> None:
        """Be the relay whenever no other is, until cancelled."""
        pause = FIRST_PAUSE_S
        while True:
            try:
                await self._bus.wait_ready()
                await self._serve()
                pause = FIRST_PAUSE_S
            except (DatabaseError, BusAwayError, *BUS_ERRORS) as error:
                part = "database" if isinstance(error, DatabaseError) else "bus"
                self._metrics.errors.labels(part).inc()
                log.warning("relay interrupted; it goes on when it can", reason=f"{type(error).__name__}: {error}")
            await asyncio.sleep(pause * random.uniform(0.5, 1.0))  # noqa: S311 - jitter, not a secret
            pause = min(pause * 2, MAX_PAUSE_S)

    async def _serve(self) -> None:
        connection = await self._database.dedicated()
        try:
            while True:
                if await self._is_leader(connection):
                    await self._lead(connection)
                await asyncio.sleep(LEAD_EVERY_S * random.uniform(0.5, 1.0))  # noqa: S311 - jitter, not a secret
        finally:
            self._metrics.leading.set(0)
            with suppress(asyncpg.PostgresError, asyncpg.InterfaceError, OSError, TimeoutError):
                await connection.close(timeout=1)

    async def _is_leader(self, connection: Any) -> bool:  # noqa: ANN401 - asyncpg has no types
        with told_as_away():
            taken: bool = await connection.fetchval("SELECT pg_try_advisory_lock($1)", LOCK)
            return taken

    async def _lead(self, connection: Any) -> None:  # noqa: ANN401 - asyncpg has no types
        log.info("this process is the relay")
        self._metrics.leading.set(1)
        with told_as_away():
            await connection.add_listener(NOTIFY_CHANNEL, lambda *_: self._wake.set())
        while True:
            self._wake.clear()
            while await self._publish_page(connection) == BATCH:
                pass
            with suppress(TimeoutError):
                async with asyncio.timeout(LOOK_EVERY_S):
                    await self._wake.wait()

    async def _publish_page(self, connection: Any) -> int:  # noqa: ANN401 - asyncpg has no types
        with told_as_away():
            rows = await connection.fetch(_PENDING, BATCH)
        if not rows:
            return 0
        told = await self._publish([(row["seq"], row["payload"]) for row in rows])
        with told_as_away():
            await connection.execute(_MARK, [seq for seq, _ in told], [place for _, place in told])
        self._metrics.published.inc(len(told))
        if len(told) < len(rows):
            msg = f"only {len(told)} of {len(rows)} events were taken by JetStream"
            raise BusAwayError(msg)
        return len(rows)

    async def _publish(self, rows: list[tuple[int, str]]) -> list[tuple[int, int | None]]:
        """Send all, then wait for the answers; gives (seq, place in the stream) of those before the first failure."""
        sent: list[tuple[int, asyncio.Future[PubAck] | None]] = []
        try:
            async with asyncio.timeout(PUBLISH_TIMEOUT_S):
                for seq, payload in rows:
                    sent.append((seq, await self._send(seq, payload)))
                if pending := [future for _, future in sent if future is not None]:
                    await asyncio.wait(pending)
        except (TimeoutError, NatsError) as error:
            log.warning("matches not taken by the bus in time", reason=f"{type(error).__name__}: {error}")
        told: list[tuple[int, int | None]] = []
        for seq, future in sent:
            if future is not None and (not future.done() or future.cancelled() or future.exception() is not None):
                break
            told.append((seq, future.result().seq if future is not None else None))
        for _, future in sent:
            if future is not None and not future.done():
                future.cancel()
        return told

    async def _send(self, seq: int, payload: str) -> "asyncio.Future[PubAck] | None":
        """Send one event; None when it cannot be read, which only a person at the database can bring about."""
        try:
            match = Match.model_validate_json(payload)
            subject = bus.subject(self._bus.address.site, Kind.MATCH, match.sighting.camera.key)
        except ValueError as error:
            log.warning("event cannot be read and is not published", seq=seq, reason=str(error)[:500])
            return None
        headers = {MSG_ID_HEADER: f"match:{seq}", "Content-Type": CONTENT_TYPE}
        body = encode_match(match, dt.datetime.now(dt.UTC))
        return await self._bus.jetstream.publish_async(subject, body, headers=headers)
