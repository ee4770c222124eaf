"""The gallery on a Qdrant server, shared by all identity processes of a site."""

import uuid
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Final

import httpx
import numpy as np
from numpy.typing import NDArray
from qdrant_client import AsyncQdrantClient, models
from qdrant_client.http.exceptions import ApiException

from vigil_gateway.storage.errors import GalleryError
from vigil_gateway.storage.qdrant.gallery import Entry, Neighbours, by_subject, collection_name

TIMEOUT_S: Final = 5
PAGE: Final = 500
SEARCH_BREADTH: Final = 256
"""HNSW's `ef`; the default of 100 misses more enrolled Subjects."""


@asynccontextmanager
async def _gallery_errors() -> AsyncIterator[None]:
    """Raise errors of the client as GalleryError."""
    try:
        yield
    except (ApiException, httpx.HTTPError, OSError, ValueError) as error:
        msg = f"Qdrant: {type(error).__name__}: {error}"
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
        requests = [
            models.QueryRequest(
                query=vector.tolist(),
                limit=limit,
                with_payload=["subject"],
                params=models.SearchParams(hnsw_ef=max(SEARCH_BREADTH, limit)),
            )
            for vector in vectors
        ]
        async with _gallery_errors():
            responses = await self._client.query_batch_points(self._name(model_id), requests)
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
        """Make the collection if it is missing; replace one whose vectors have another size."""
        name = self._name(model_id)
        async with _gallery_errors():
            if await self._client.collection_exists(name):
                vectors = (await self._client.get_collection(name)).config.params.vectors
                if isinstance(vectors, models.VectorParams) and vectors.size == size:
                    return
                await self._client.delete_collection(name)
            await self._client.create_collection(
                name, vectors_config=models.VectorParams(size=size, distance=models.Distance.DOT)
            )
            await self._client.create_payload_index(name, "subject", models.PayloadSchemaType.UUID)

    async def models(self) -> list[str]:
        """Return the names of this site's collections, without the prefix."""
        async with _gallery_errors():
            names = [collection.name for collection in (await self._client.get_collections()).collections]
        return sorted(name.removeprefix(self._prefix) for name in names if name.startswith(self._prefix))

    async def settle(self, model_id: str) -> None:
        """Do nothing: the server optimises by itself."""

    def _name(self, model_id: str) -> str:
        return self._prefix + collection_name(model_id)


def server_gallery(url: str, api_key: str | None, site: str) -> ServerGallery:
    """Return the gallery of a site on a server; connects to nothing yet."""
    client = AsyncQdrantClient(url=url, api_key=api_key, timeout=TIMEOUT_S, check_compatibility=False)
    return ServerGallery(client, f"vigil-{site}-")
