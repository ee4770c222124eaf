"""The gallery on a Qdrant server, shared by all identity processes of a site."""

import time
import uuid
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Final

import grpc
import httpx
import numpy as np
import structlog
from numpy.typing import NDArray
from qdrant_client import AsyncQdrantClient, models
from qdrant_client.http.exceptions import ApiException

from vigil_gateway.storage.errors import GalleryError
from vigil_gateway.storage.qdrant.gallery import Entry, Neighbours, by_subject, collection_name
from vigil_gateway.storage.qdrant.server_settings import changes, search_params
from vigil_gateway.storage.qdrant.server_settings import vectors as vectors_of

log = structlog.get_logger(__name__)

TIMEOUT_S: Final = 5
PAGE: Final = 500
DEFAULT_GRPC_PORT: Final = 6334

CHANGED_S: Final = 60.0
"""After a change of settings a collection counts as optimised no earlier than this: the optimiser begins later."""

ASK_AGAIN_S: Final = 5.0
"""Between two requests for the state of a collection that is not optimised."""


@dataclass(slots=True)
class _State:
    """Whether a collection is optimised, and when to ask for it, on the monotonic clock."""

    optimised: bool = False
    not_before: float = 0.0


@asynccontextmanager
async def _gallery_errors() -> AsyncIterator[None]:
    """Raise errors of the client as GalleryError."""
    try:
        yield
    except (ApiException, httpx.HTTPError, grpc.RpcError, OSError, ValueError) as error:
        msg = f"Qdrant: {type(error).__name__}: {error}; check that it runs and VIGIL_QDRANT_URL"
        raise GalleryError(msg) from error


class ServerGallery:
    """Collections of a Qdrant server, one per site and model.

    Parameters
    ----------
    client
        Connects when it is first used.
    prefix
        The beginning of the names of this site's collections.
    """

    def __init__(self, client: AsyncQdrantClient, prefix: str) -> None:
        self._client = client
        self._prefix = prefix
        self._states: dict[str, _State] = {}

    async def open(self) -> None:
        """Ask the server for its collections."""
        async with _gallery_errors():
            await self._client.get_collections()

    async def close(self) -> None:
        """Close the connections."""
        await self._client.close()

    async def search(self, model_id: str, vectors: NDArray[np.float32], limit: int) -> list[Neighbours]:
        """Return the nearest Subjects of each of the vectors [N,D], by one request."""
        if not len(vectors):
            return []
        name = self._name(model_id)
        async with _gallery_errors():
            exact = not await self._is_optimised(name)
            params = search_params(vectors.shape[1], limit, exact=exact)
            requests = [
                models.QueryRequest(query=vector.tolist(), limit=limit, with_payload=["subject"], params=params)
                for vector in vectors
            ]
            responses = await self._client.query_batch_points(name, requests)
            return [
                by_subject(
                    [(uuid.UUID((point.payload or {})["subject"]), point.score) for point in response.points],
                    complete=len(response.points) < limit,
                )
                for response in responses
            ]

    async def put(self, model_id: str, entries: Sequence[Entry]) -> None:
        """Add embeddings; returns when they can be found."""
        for start in range(0, len(entries), PAGE):
            points = [
                models.PointStruct(
                    id=str(entry.point_id), vector=entry.vector.tolist(), payload={"subject": str(entry.subject_id)}
                )
                for entry in entries[start : start + PAGE]
            ]
            async with _gallery_errors():
                await self._client.upsert(self._name(model_id), points, wait=True)

    async def discard(self, model_id: str, points: Sequence[uuid.UUID]) -> None:
        """Remove embeddings; returns when they can no longer be found."""
        if points:
            async with _gallery_errors():
                selector = models.PointIdsList(points=[str(point) for point in points])
                await self._client.delete(self._name(model_id), selector, wait=True)

    async def points(self, model_id: str, subject_id: uuid.UUID | None = None) -> set[uuid.UUID]:
        """Return the ids of all embeddings of a model, or of one Subject's only."""
        only = None
        if subject_id is not None:
            match = models.FieldCondition(key="subject", match=models.MatchValue(value=str(subject_id)))
            only = models.Filter(must=[match])
        found: set[uuid.UUID] = set()
        offset = None
        while True:
            async with _gallery_errors():
                records, offset = await self._client.scroll(
                    self._name(model_id),
                    scroll_filter=only,
                    limit=PAGE,
                    offset=offset,
                    with_payload=False,
                    with_vectors=False,
                )
            found.update(uuid.UUID(str(record.id)) for record in records)
            if offset is None:
                return found

    async def create(self, model_id: str, size: int) -> None:
        """Make the collection if it is missing, or change its settings; replace one whose vectors have another size."""
        name = self._name(model_id)
        async with _gallery_errors():
            if await self._client.collection_exists(name):
                found = (await self._client.get_collection(name)).config.params.vectors
                if isinstance(found, models.VectorParams) and found.size == size:
                    await self._change(name, found)
                    return
                await self._client.delete_collection(name)
            await self._client.create_collection(name, vectors_config=vectors_of(size))
            await self._client.create_payload_index(name, "subject", models.PayloadSchemaType.UUID)
            self._states[name] = _State(optimised=True)

    async def _change(self, name: str, found: models.VectorParams) -> None:
        """Apply the settings of this version to a collection of another one, in place; the server optimises it anew."""
        wanted = changes(found)
        if wanted is None:
            self._states.setdefault(name, _State())
            return
        await self._client.update_collection(name, vectors_config={"": wanted})
        self._states[name] = _State(not_before=time.monotonic() + CHANGED_S)
        log.info("gallery settings changed; searched in full until the server has optimised it", collection=name)

    async def _is_optimised(self, name: str) -> bool:
        """Return whether no part of a collection can have a graph any more; asks the server until it is so."""
        state, now = self._states.setdefault(name, _State()), time.monotonic()
        if not state.optimised and now >= state.not_before:
            state.not_before = now + ASK_AGAIN_S
            info = await self._client.get_collection(name)
            state.optimised = info.status == models.CollectionStatus.GREEN
        return state.optimised

    async def models(self) -> list[str]:
        """Return the names of this site's collections, without the prefix."""
        async with _gallery_errors():
            names = [collection.name for collection in (await self._client.get_collections()).collections]
        return sorted(name.removeprefix(self._prefix) for name in names if name.startswith(self._prefix))

    async def rewrite(self, model_id: str) -> None:
        """Do nothing: the server writes its segments anew when enough of them was removed."""

    async def settle(self, model_id: str) -> None:
        """Do nothing: the server optimises by itself."""

    def _name(self, model_id: str) -> str:
        return self._prefix + collection_name(model_id)


def server_gallery(url: str, api_key: str | None, site: str, grpc_port: int | None = None) -> ServerGallery:
    """Return the gallery of a site on a server; connects to nothing yet.

    Parameters
    ----------
    grpc_port
        Search by gRPC, at this port of the same host; None: by HTTP.
    """
    client = AsyncQdrantClient(
        url=url,
        api_key=api_key,
        timeout=TIMEOUT_S,
        check_compatibility=False,
        prefer_grpc=grpc_port is not None,
        grpc_port=grpc_port or DEFAULT_GRPC_PORT,
    )
    return ServerGallery(client, f"vigil-{site}-")
