"""The status of identity in numbers."""

import asyncio
import dataclasses
from collections.abc import Awaitable, Callable

from vigil_contracts.registry import RegistryStatus
from vigil_gateway.services.detector import DetectorReader
from vigil_gateway.services.models import Models
from vigil_gateway.storage.postgres.counts import counts
from vigil_gateway.storage.postgres.pool import Database


class StatusReader:
    """Reads the numbers at each request.

    Attributes
    ----------
    backlog
        Returns the number of sighting events on the bus that are not processed yet; None when it is not known.
    """

    def __init__(
        self,
        site: str,
        database: Database,
        models: Models,
        backlog: Callable[[], Awaitable[int | None]],
        detector: DetectorReader,
    ) -> None:
        self._site = site
        self._database = database
        self._models = models
        self._detector = detector
        self.backlog = backlog

    async def read(self) -> RegistryStatus:
        """Return the numbers; raises DatabaseError."""
        model_id = self._models.current.model_id if self._models.current else None
        async with self._database.connection() as connection:
            row = await counts(connection, model_id or "")
        backlog, detector = await asyncio.gather(self.backlog(), self._detector.read())
        return RegistryStatus(
            **dataclasses.asdict(row), site=self._site, model_id=model_id, backlog=backlog, detector=detector
        )
