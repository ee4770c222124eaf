"""How identity stands, in numbers."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final

from vigil_contracts.registry import RegistryStatus
from vigil_gateway.services.detector import DetectorReader
from vigil_gateway.services.models import Models
from vigil_gateway.storage.postgres.pool import Database

_COUNTS: Final = """
    SELECT (SELECT count(*) FROM cameras WHERE deleted_at IS NULL) AS cameras,
        (SELECT count(*) FROM subjects) AS subjects,
        (SELECT count(*) FROM subject_embeddings WHERE model_id = $1) AS vectors,
        (SELECT last FROM event_counter) AS last_seq,
        (SELECT count(*) FROM rejected_events) AS rejected_events,
        (SELECT last FROM gallery_version) AS gallery_version
"""


class StatusReader:
    """Reads the numbers when asked.

    Attributes
    ----------
    backlog
        Gives the number of sighting events on the bus that are not yet dealt with; None when the bus does not say.
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
        """Give the numbers; raises DatabaseError."""
        model_id = self._models.current.model_id if self._models.current else None
        row = (await self._database.fetch(_COUNTS, model_id or ""))[0]
        backlog, detector = await asyncio.gather(self.backlog(), self._detector.read())
        return RegistryStatus(**dict(row), site=self._site, model_id=model_id, backlog=backlog, detector=detector)
