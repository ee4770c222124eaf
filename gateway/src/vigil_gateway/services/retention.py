"""Delete sightings that are older than the retention of their camera or Site.

A Camera may set a retention, and a Site one for all of its cameras; the shorter one applies, so that a shorter Site
needs no change of its cameras. Without either, a default applies: nothing is kept for ever. The retention of a removed
camera or Site still applies, because its sightings are still stored.

A sighting's revisions, match and events are deleted with it; the event log then has gaps, which subscribers skip. The
bus keeps matches for a week; those of cameras with a shorter retention are deleted there too. It keeps a sighting until
identity has processed it.
"""

import asyncio
import datetime as dt
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

import structlog

from vigil_contracts.bus import MessageKind, bus_subject
from vigil_contracts.ids import ResourceKey
from vigil_contracts.resources.common import parse_duration
from vigil_gateway.bus.expiry import Expiry
from vigil_gateway.bus.site_bus import SiteBus
from vigil_gateway.principal import Permission, Principal
from vigil_gateway.services.metrics import ServiceMetrics
from vigil_gateway.storage.errors import DatabaseError
from vigil_gateway.storage.postgres import rejected
from vigil_gateway.storage.postgres import retention as stored
from vigil_gateway.storage.postgres.pool import Database
from vigil_gateway.storage.postgres.resource_rows import RetentionRow
from vigil_runtime.backoff import jittered
from vigil_runtime.bus import BUS_ERRORS

log = structlog.get_logger(__name__)

EVERY_S: Final = 300.0
"""Between two rounds, at most: nothing is kept for much longer than its retention."""

BATCH: Final = 500
"""Sightings in one transaction: some thousand rows, well below a statement's time."""

PAUSE_S: Final = 0.05
"""Between two transactions, so that live sightings are not delayed."""


@dataclass(frozen=True, slots=True)
class CameraRetention:
    """How long the sightings of a camera are kept."""

    camera: ResourceKey
    retention: dt.timedelta


def effective_retention(camera: str | None, site: str | None, default: dt.timedelta) -> dt.timedelta:
    """Return the shorter of two Durations, each of which may be missing; the default when both are."""
    return min((parse_duration(text) for text in (camera, site) if text), default=default)


class Retention:
    """Deletes sightings whose retention has ended; of several processes, one deletes at a time.

    Parameters
    ----------
    default
        How long sightings are kept where neither camera nor Site sets it.

    Attributes
    ----------
    expiry
        Deletes messages on the bus.
    """

    def __init__(
        self, principal: Principal, database: Database, bus: SiteBus, metrics: ServiceMetrics, default: dt.timedelta
    ) -> None:
        self._principal = principal
        self._database = database
        self.expiry = Expiry(bus)
        self._site = bus.address.site
        self._metrics = metrics
        self._default = default

    async def run(self) -> None:
        """Enforce periodically until cancelled."""
        while True:
            try:
                await self.enforce()
            except DatabaseError as error:
                self._metrics.errors.labels("database").inc()
                log.info("retention postponed", reason=str(error))
            await asyncio.sleep(jittered(EVERY_S))

    async def enforce(self) -> None:
        """Delete everything whose retention has ended; raises DatabaseError."""
        self._principal.require(Permission.DELETE_SIGHTINGS)
        now = dt.datetime.now(dt.UTC)
        async with self._database.connection() as connection:
            rows = await stored.retentions(connection)
        cameras = list(self._read(rows))
        for one in cameras:
            await self._delete_sightings(one.camera, _back(now, one.retention))
        await self._delete_rejected(cameras, now)
        try:
            await self._purge(cameras, now)
        except BUS_ERRORS as error:
            self._metrics.errors.labels("bus").inc()
            log.info("messages on the bus not deleted yet", reason=f"{type(error).__name__}: {error}")
            return
        self._metrics.retention_round.set(now.timestamp())

    def _read(self, rows: Iterable[RetentionRow]) -> Iterable[CameraRetention]:
        for row in rows:
            try:
                retention = effective_retention(row.camera, row.site, self._default)
            except ValueError as error:
                log.warning("invalid retention; nothing is deleted", camera=str(row.key), reason=str(error))
                continue
            yield CameraRetention(row.key, retention)

    async def _delete_sightings(self, camera: ResourceKey, before: dt.datetime) -> None:
        deleted = 0
        while True:
            async with self._database.transaction() as connection:
                counts = await stored.delete_sightings(connection, camera, before, BATCH)
            if not counts:
                break
            deleted += counts["sightings"]
            for table, count in counts.items():
                self._metrics.retained_out.labels(f"postgres.{table}").inc(count)
            await asyncio.sleep(PAUSE_S)
        if deleted:
            log.info("sightings deleted by retention", camera=str(camera), count=deleted, before=before.isoformat())

    async def _delete_rejected(self, cameras: list[CameraRetention], now: dt.datetime) -> None:
        since = [
            (bus_subject(self._site, MessageKind.SIGHTING, one.camera), _back(now, one.retention)) for one in cameras
        ]
        count = 1
        while since and count:
            async with self._database.connection() as connection:
                count = await rejected.delete_of_subjects(connection, since, BATCH)
            self._metrics.retained_out.labels("postgres.rejected_events").inc(count)
            await asyncio.sleep(PAUSE_S)

    async def _purge(self, cameras: list[CameraRetention], now: dt.datetime) -> None:
        positions: dict[dt.timedelta, int] = {}
        for one in cameras:
            if one.retention >= self.expiry.max_age:
                continue
            if one.retention not in positions:
                positions[one.retention] = await self.expiry.before(now - one.retention)
            await self.expiry.purge(one.camera, positions[one.retention])


def _back(now: dt.datetime, retention: dt.timedelta) -> dt.datetime:
    """Return now less the retention, not before the beginning of the calendar that Postgres and Python share."""
    try:
        return max(now - retention, dt.datetime(1, 1, 3, tzinfo=dt.UTC))
    except OverflowError:
        return dt.datetime(1, 1, 3, tzinfo=dt.UTC)
