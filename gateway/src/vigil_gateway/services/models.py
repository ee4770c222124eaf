"""Which embedders there are: Triton says which one is served now, Postgres remembers those before."""

import asyncio
from typing import Final

import structlog

from vigil_gateway.services.model import Model
from vigil_gateway.storage.errors import DatabaseError, GalleryError
from vigil_gateway.storage.postgres.pool import Database
from vigil_gateway.storage.qdrant.gallery import Gallery
from vigil_gateway.storage.qdrant.reconcile import reconcile
from vigil_vision.faces.model_info import EmbedderInfo
from vigil_vision.faces.models import TritonFaceModels
from vigil_vision.triton import InferenceError

log = structlog.get_logger(__name__)

ASK_EVERY_S: Final = 10.0
ASK_TIMEOUT_S: Final = 3.0

_LOAD: Final = "SELECT id, embedding_size, threshold_permille, margin_permille FROM models ORDER BY served_at, id"
_REMEMBER: Final = """
    INSERT INTO models (id, embedding_size, threshold_permille, margin_permille) VALUES ($1, $2, $3, $4)
    ON CONFLICT (id) DO UPDATE SET threshold_permille = EXCLUDED.threshold_permille,
        margin_permille = EXCLUDED.margin_permille, served_at = now()
"""


class ModelChangedError(Exception):
    """A model keeps its id but makes vectors of another length: somebody served another file under the same name."""


class Models:
    """The models that are known, and the one that is served.

    Attributes
    ----------
    known
        By id; a model gets in once its collection in the gallery is complete.
    current
        The one that Triton serves, or served last; None before the first.
    loaded
        Those that Postgres remembers are known: the gallery is whole.
    reason
        Why Triton did not answer when it was last asked; empty when it did.
    """

    def __init__(self, database: Database, gallery: Gallery, inference: TritonFaceModels) -> None:
        self.known: dict[str, Model] = {}
        self.current: Model | None = None
        self.loaded = False
        self.reason = "Triton has not been asked yet"
        self._database = database
        self._gallery = gallery
        self._inference = inference
        self._ask_now = asyncio.Event()

    def sizes(self) -> dict[str, int]:
        """Give the embedding size of every known model."""
        return {model_id: model.size for model_id, model in self.known.items()}

    def ask(self) -> None:
        """Ask Triton soon: an event spoke of a model that is not known."""
        self._ask_now.set()

    async def load(self) -> None:
        """Read what is remembered and bring the gallery to it; raises DatabaseError, GalleryError."""
        for row in await self._database.fetch(_LOAD):
            model = Model(
                row["id"], row["embedding_size"], row["threshold_permille"] / 1000, row["margin_permille"] / 1000
            )
            await self._take(model)
        self.loaded = True

    async def refresh(self) -> bool:
        """Ask Triton which model it serves; gives whether anything changed.

        Raises
        ------
        InferenceError
            Triton does not answer.
        DatabaseError, GalleryError
            What it answered could not be kept.
        """
        try:
            async with asyncio.timeout(ASK_TIMEOUT_S * 2):
                card = await asyncio.to_thread(self._inference.embedder_info)
        except (InferenceError, TimeoutError) as error:
            self.reason = str(error) or "Triton did not answer in time"
            raise
        model = _model(card)
        if model == self.current:
            self.reason = ""
            return False
        there = self.known.get(model.model_id)
        if there is not None and there.size != model.size:
            self.reason = f"model {model.model_id} now makes {model.size} numbers instead of {there.size}"
            raise ModelChangedError(self.reason)
        await self._database.value(
            _REMEMBER, model.model_id, model.size, round(model.threshold * 1000), round(model.margin * 1000)
        )
        await self._take(model)
        self.reason = ""
        return True

    async def _take(self, model: Model) -> None:
        """Make the model's collection complete, and only then let events meet it."""
        await self._gallery.create(model.model_id, model.size)
        await reconcile(self._database, self._gallery, model.model_id)
        await self._gallery.settle(model.model_id)
        self.known[model.model_id] = model
        self.current = model
        log.info("model known", model=model.model_id, threshold=model.threshold, margin=model.margin)

    async def watch(self, on_change: asyncio.Event) -> None:
        """Ask Triton again and again until cancelled; `on_change` is set when there is a new model."""
        while True:
            try:
                if await self.refresh():
                    on_change.set()
            except (InferenceError, DatabaseError, GalleryError, ModelChangedError, TimeoutError) as error:
                log.debug("model not learnt", reason=str(error))
            try:
                async with asyncio.timeout(ASK_EVERY_S if self.current else 1.0):
                    await self._ask_now.wait()
                    await asyncio.sleep(
                        1.0
                    )  # an unknown model in every event must not become a question for every event
            except TimeoutError:
                pass
            self._ask_now.clear()


def _model(card: EmbedderInfo) -> Model:
    return Model(card.model_id, card.embedding_size, card.match_threshold, card.match_margin)
