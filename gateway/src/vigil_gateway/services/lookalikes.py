"""Find one person who is enrolled under two names.

A face that is equally similar to two Subjects is of neither, so that the second enrolment of a person makes both
unrecognisable. The gallery shows it at once: templates of the two are as similar as those of one person.
"""

import datetime as dt
import uuid
from typing import Final

import numpy as np
import structlog

from vigil_contracts.registry import Lookalike
from vigil_gateway.principal import Permission, Principal
from vigil_gateway.services.gallery_sync import GallerySync
from vigil_gateway.services.model import Model
from vigil_gateway.storage.errors import StorageError
from vigil_gateway.storage.postgres import embeddings, sightings
from vigil_gateway.storage.postgres.pool import Database

log = structlog.get_logger(__name__)

SEARCH_LIMIT: Final = 64
"""Embeddings asked for with each photo: the Subject's own are at most ten of them."""

MAX_LOOKALIKES: Final = 5
"""Lookalikes that are reported of one Subject."""


class Lookalikes:
    """Compares a Subject with all others."""

    def __init__(self, database: Database, gallery: GallerySync) -> None:
        self._database = database
        self._gallery = gallery

    async def find(self, principal: Principal, subject_id: uuid.UUID, model: Model | None) -> list[Lookalike]:
        """Return the Subjects that may be recognised now and are as similar as the same person, most similar first.

        None are found while a store is away: an enrolment does not fail for it, and the next report has them.
        """
        principal.require(Permission.READ_SUBJECTS)
        if model is None:
            return []
        try:
            return await self._find(principal, subject_id, model)
        except StorageError as error:
            log.warning("Subject not compared with the others", subject_id=str(subject_id), reason=str(error))
            return []

    async def _find(self, principal: Principal, subject_id: uuid.UUID, model: Model) -> list[Lookalike]:
        async with self._database.connection() as connection:
            rows = await embeddings.of_subject(connection, subject_id)
            own = [np.frombuffer(row.vector, "<f4") for row in rows if row.model_id == model.model_id]
            if not own:
                return []
            found = await self._gallery.search(principal, model.model_id, np.stack(own), SEARCH_LIMIT)
            similar: dict[uuid.UUID, float] = {}
            for near in (near for one in found for near in one.nearest):
                if near.similarity >= model.threshold and near.subject_id != subject_id:
                    similar[near.subject_id] = max(near.similarity, similar.get(near.subject_id, 0.0))
            others = await sightings.subjects(connection, similar)
        now = dt.datetime.now(dt.UTC)
        named = [
            Lookalike(namespace=row.namespace, name=row.name, similarity=min(similar[row.id], 1.0))
            for row in others
            if row.active(now)
        ]
        return sorted(named, key=lambda one: (-one.similarity, one.namespace, one.name))[:MAX_LOOKALIKES]
