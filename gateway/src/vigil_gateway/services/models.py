"""The recognition models: the one that Triton serves, and those of before, which Postgres remembers."""

import asyncio
from typing import Final

import structlog

from vigil_gateway.principal import Permission, Principal
from vigil_gateway.services.model import Model
from vigil_gateway.storage.errors import DatabaseError, GalleryError
from vigil_gateway.storage.postgres import models as stored_models
from vigil_gateway.storage.postgres.pool import Database
from vigil_gateway.storage.postgres.resource_rows import ModelRow
from vigil_gateway.storage.qdrant.gallery import Gallery
from vigil_gateway.storage.qdrant.reconcile import reconcile
from vigil_vision.faces.model_info import EmbedderInfo
from vigil_vision.faces.models import TritonFaceModels
from vigil_vision.triton import InferenceError

log = structlog.get_logger(__name__)

ASK_EVERY_S: Final = 10.0
ASK_TIMEOUT_S: Final = 3.0


class ModelChangedError(Exception):
    """A model has the id of another one but vectors of another length: another file is served under the same name."""


class Models:
    """The models that are known, and the one that is served.

    Parameters
    ----------
    principal
        As which the embeddings of a model are read into its collection.

    Attributes
    ----------
    known
        By id; a model is known once its collection in the gallery is complete.
    current
        The one that Triton serves, or served last; None before the first.
    loaded
        Whether those that Postgres remembers are known, so that the gallery is complete.
    reason
        Why the last request to Triton failed; empty when it did not.
    """

    def __init__(self, principal: Principal, database: Database, gallery: Gallery, inference: TritonFaceModels) -> None:
        self.known: dict[str, Model] = {}
        self.current: Model | None = None
        self.loaded = False
        self.reason = "Triton has not been asked yet"
        self._principal = principal
        self._database = database
        self._gallery = gallery
        self._inference = inference
        self._refresh_now = asyncio.Event()

    def sizes(self) -> dict[str, int]:
        """Return the embedding size of every known model."""
        return {model_id: model.size for model_id, model in self.known.items()}

    def refresh_soon(self) -> None:
        """Read the served model soon, because an event names one that is not known."""
        self._refresh_now.set()

    async def load(self) -> None:
        """Read the remembered models and complete their collections; raises DatabaseError, GalleryError."""
        async with self._database.connection() as connection:
            rows = await stored_models.all_models(connection)
        for row in rows:
            model = Model(row.id, row.embedding_size, row.threshold_permille / 1000, row.margin_permille / 1000)
            await self._add(model)
        self.loaded = True

    async def refresh(self) -> bool:
        """Ask Triton which model it serves and return whether it is another one.

        Raises
        ------
        InferenceError
            Triton does not answer.
        DatabaseError, GalleryError
            The model could not be stored.
        """
        try:
            async with asyncio.timeout(ASK_TIMEOUT_S * 2):
                info = await asyncio.to_thread(self._inference.embedder_info)
        except (InferenceError, TimeoutError) as error:
            self.reason = str(error) or "Triton did not answer in time"
            raise
        model = _model(info)
        if model == self.current:
            self.reason = ""
            return False
        known = self.known.get(model.model_id)
        if known is not None and known.size != model.size:
            self.reason = f"model {model.model_id} now makes {model.size} numbers instead of {known.size}"
            raise ModelChangedError(self.reason)
        row = ModelRow(model.model_id, model.size, round(model.threshold * 1000), round(model.margin * 1000))
        async with self._database.connection() as connection:
            await stored_models.put_model(connection, row)
        await self._add(model)
        self.reason = ""
        return True

    async def _add(self, model: Model) -> None:
        """Complete the model's collection, and only then let events use it."""
        self._principal.require(Permission.READ_SUBJECTS)
        await self._gallery.create(model.model_id, model.size)
        await reconcile(self._database, self._gallery, model.model_id)
        await self._gallery.settle(model.model_id)
        self.known[model.model_id] = model
        self.current = model
        log.info("model known", model=model.model_id, threshold=model.threshold, margin=model.margin)

    async def watch(self, on_change: asyncio.Event) -> None:
        """Ask Triton periodically until cancelled; set `on_change` when there is a new model."""
        while True:
            try:
                if await self.refresh():
                    on_change.set()
            except (InferenceError, DatabaseError, GalleryError, ModelChangedError, TimeoutError) as error:
                log.debug("served model not known", reason=str(error))
            try:
                async with asyncio.timeout(ASK_EVERY_S if self.current else 1.0):
                    await self._refresh_now.wait()
                    await asyncio.sleep(1.0)  # events with an unknown model must not cause a request each
            except TimeoutError:
                pass
            self._refresh_now.clear()


def _model(info: EmbedderInfo) -> Model:
    return Model(
        info.model_id,
        info.embedding_size,
        info.match_threshold,
        info.match_margin,
        info.same_person,
        info.other_person,
    )
