"""Change the gallery together with Postgres, and remember where the two may differ."""

import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import numpy as np
import structlog
from numpy.typing import NDArray

from vigil_gateway.principal import Permission, Principal
from vigil_gateway.services.models import Models
from vigil_gateway.storage.errors import GalleryError
from vigil_gateway.storage.postgres import embeddings
from vigil_gateway.storage.postgres.pool import Connection, Database
from vigil_gateway.storage.qdrant.gallery import Entry, Gallery, Neighbours
from vigil_gateway.storage.qdrant.reconcile import reconcile, unchanging

log = structlog.get_logger(__name__)


class GallerySync:
    """Changes one Subject's embeddings in all collections.

    Attributes
    ----------
    doubtful
        Subjects whose change was rolled back when it may have reached the gallery already.
    """

    def __init__(self, database: Database, gallery: Gallery, models: Models) -> None:
        self.doubtful: set[uuid.UUID] = set()
        self._database = database
        self._gallery = gallery
        self._models = models

    @asynccontextmanager
    async def changing(self, subject_id: uuid.UUID) -> AsyncIterator[None]:
        """Surround a transaction that changes the gallery; when it fails, `repair` compares the Subject."""
        try:
            yield
        except BaseException:
            self.doubtful.add(subject_id)
            raise

    async def follow(self, principal: Principal, connection: Connection, subject_id: uuid.UUID) -> None:
        """Make a Subject's embeddings in the gallery those of an open transaction; raises GalleryError."""
        principal.require(Permission.ENROLL_SUBJECTS)
        await embeddings.hold_gallery(connection)
        rows = await embeddings.of_subject(connection, subject_id)
        changed = False
        for model_id in list(self._models.known):
            entries = [
                Entry(subject_id, row.photo, np.frombuffer(row.vector, "<f4"))
                for row in rows
                if row.model_id == model_id
            ]
            wanted = {entry.point_id for entry in entries}
            there = await self._gallery.points(model_id, subject_id)
            await self._gallery.put(model_id, [entry for entry in entries if entry.point_id not in there])
            await self._gallery.discard(model_id, sorted(there - wanted))
            changed = changed or there != wanted
        if changed:
            await embeddings.count_gallery_change(connection)

    async def search(
        self, principal: Principal, model_id: str, vectors: NDArray[np.float32], limit: int
    ) -> list[Neighbours]:
        """Return the nearest Subjects of each of the vectors [N,D]; raises GalleryError."""
        principal.require(Permission.READ_SUBJECTS)
        return await self._gallery.search(model_id, vectors, limit)

    async def vectors(self, principal: Principal, subject_id: uuid.UUID) -> int:
        """Return the number of a Subject's vectors in all collections; raises GalleryError."""
        principal.require(Permission.ERASE_SUBJECTS)
        self._check_open()
        return sum([len(await self._gallery.points(model_id, subject_id)) for model_id in list(self._models.known)])

    def _check_open(self) -> None:
        if not self._models.loaded:
            msg = "the gallery is not open yet, so nothing can be removed from it; try again"
            raise GalleryError(msg)

    async def remove(self, principal: Principal, subject_id: uuid.UUID) -> int:
        """Remove a Subject from all collections and return the number of vectors; raises GalleryError."""
        principal.require(Permission.ERASE_SUBJECTS)
        self._check_open()
        count = 0
        for model_id in list(self._models.known):
            there = await self._gallery.points(model_id, subject_id)
            await self._gallery.discard(model_id, sorted(there))
            count += len(there)
        if count:
            async with self._database.connection() as connection:
                await embeddings.count_gallery_change(connection)
        return count

    async def rewrite(self, principal: Principal) -> None:
        """Write all collections anew, so that no file holds what was removed; raises DatabaseError, GalleryError."""
        principal.require(Permission.ERASE_SUBJECTS)
        self._check_open()
        for model_id in list(self._models.known):
            async with unchanging(self._database):
                await self._gallery.rewrite(model_id)
            await self._gallery.settle(model_id)

    async def repair(self, principal: Principal) -> None:
        """Bring doubtful Subjects to what Postgres holds; raises DatabaseError, GalleryError."""
        principal.require(Permission.ENROLL_SUBJECTS)
        for subject_id in list(self.doubtful):
            self.doubtful.discard(subject_id)  # first: another change of it may be rolled back meanwhile
            async with self.changing(subject_id):
                for model_id in list(self._models.known):
                    await reconcile(self._database, self._gallery, model_id, subject_id)
            log.info("gallery repaired", subject_id=str(subject_id))
