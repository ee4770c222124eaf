"""Delete what was seen longer ago than its camera or its Site says.

A Camera may say how long its sightings are kept, a Site says it for all of its cameras; the shorter of the two holds,
so that a Site that is shortened needs no change of its cameras. Where nobody says anything, sightings are kept. A
camera or Site that was removed goes on counting: what it saw is still there.

With a sighting go its revisions, the gallery's answers and its events in the resume log, so that the log gets holes,
which subscribers step over. On the bus, where messages are kept for a week in any case, those of cameras with a shorter
retention are deleted too, as soon as identity has dealt with them: they hold the embeddings of strangers.
"""

import asyncio
import datetime as dt
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

import structlog

from vigil_contracts.bus import Kind, subject
from vigil_contracts.ids import ResourceKey
from vigil_contracts.resources.common import parse_duration
from vigil_gateway.bus.expiry import Expiry, Places
from vigil_gateway.bus.site_bus import SiteBus
from vigil_gateway.services.metrics import ServiceMetrics
from vigil_gateway.storage.errors import DatabaseError
from vigil_gateway.storage.postgres import expired
from vigil_gateway.storage.postgres.pool import Database
from vigil_runtime.backoff import jittered
from vigil_runtime.bus import BUS_ERRORS

log = structlog.get_logger(__name__)

EVERY_S: Final = 300.0
"""Between two rounds, with jitter: nothing is kept for much longer than was said."""

BATCH: Final = 500
"""Sightings in one transaction: some thousand rows, well below a statement's time."""

BREATH_S: Final = 0.05
"""Between two transactions, so that live sightings have the database too."""


@dataclass(frozen=True, slots=True)
class Kept:
    """How long a camera's sightings are kept."""

    camera: ResourceKey
    retention: dt.timedelta


def shorter(camera: str | None, site: str | None) -> dt.timedelta | None:
    """Give the shorter of two Durations, either of which may be unsaid; None when both are."""
    return min((parse_duration(text) for text in (camera, site) if text), default=None)


class Retention:
    """Deletes what is too old, in this process or in whichever is at it."""

    def __init__(self, database: Database, bus: SiteBus, metrics: ServiceMetrics) -> None:
        self._database = database
        self._expiry = Expiry(bus)
        self._site = bus.address.site
        self._metrics = metrics

    async def run(self) -> None:
        """Enforce again and again until cancelled."""
        while True:
            try:
                await self.enforce()
            except DatabaseError as error:
                self._metrics.errors.labels("database").inc()
                log.info("retention put off", reason=str(error))
            await asyncio.sleep(jittered(EVERY_S))

    async def enforce(self) -> None:
        """Delete all that is too old now; raises DatabaseError."""
        now = dt.datetime.now(dt.UTC)
        kept = list(self._read(await expired.cameras(self._database)))
        for one in kept:
            await self._delete_sightings(one.camera, _back(now, one.retention))
        await self._delete_rejected(kept, now)
        try:
            await self._purge(kept, now)
        except BUS_ERRORS as error:
            self._metrics.errors.labels("bus").inc()
            log.info("messages on the bus not deleted yet", reason=f"{type(error).__name__}: {error}")
            return
        self._metrics.retention_round.set(now.timestamp())

    def _read(self, rows: Iterable[dict[str, str]]) -> Iterable[Kept]:
        for row in rows:
            key = ResourceKey(row["namespace"], row["name"])
            try:
                retention = shorter(row["camera"], row["site"])
            except ValueError as error:
                log.warning(
                    "retention cannot be read; nothing of the camera is deleted", camera=str(key), why=str(error)
                )
                continue
            if retention is not None:
                yield Kept(key, retention)

    async def _delete_sightings(self, camera: ResourceKey, before: dt.datetime) -> None:
        deleted = 0
        while True:
            counts = await expired.delete_sightings(self._database, camera, before, BATCH)
            if not counts:
                break
            deleted += counts["sightings"]
            for table, count in counts.items():
                self._metrics.retained_out.labels(f"postgres.{table}").inc(count)
            await asyncio.sleep(BREATH_S)
        if deleted:
            log.info("sightings deleted by retention", camera=str(camera), count=deleted, before=before.isoformat())

    async def _delete_rejected(self, kept: list[Kept], now: dt.datetime) -> None:
        since = [(subject(self._site, Kind.SIGHTING, one.camera), _back(now, one.retention)) for one in kept]
        while since and (count := await expired.delete_rejected(self._database, since, BATCH)):
            self._metrics.retained_out.labels("postgres.rejected_events").inc(count)
            await asyncio.sleep(BREATH_S)

    async def _purge(self, kept: list[Kept], now: dt.datetime) -> None:
        places: dict[dt.timedelta, Places] = {}
        for one in kept:
            if one.retention >= self._expiry.max_age:
                continue
            if one.retention not in places:
                places[one.retention] = await self._expiry.before(now - one.retention)
            await self._expiry.purge(one.camera, places[one.retention])


def _back(now: dt.datetime, retention: dt.timedelta) -> dt.datetime:
    """Go back from now; never before the beginning of the calendar that Postgres and Python share."""
    try:
        return max(now - retention, dt.datetime(1, 1, 3, tzinfo=dt.UTC))
    except OverflowError:
        return dt.datetime(1, 1, 3, tzinfo=dt.UTC)
