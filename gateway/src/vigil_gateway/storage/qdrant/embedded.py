"""The gallery inside this process, by Qdrant Edge; for one identity process on one machine.

Every search compares every embedding, quantised to 2 bits a number (TurboQuant), and the best `CANDIDATES` of them are
compared in full. Among 100,000 of 512 numbers that takes 4 ms on one core. It finds the same nearest Subject as a full
comparison with all of them: in 400 of 400 searches each among 1,000, 10,000 and 100,000, of 128 and of 512 numbers, at
cosines of 0.74, 0.5, 0.4 and 0.36 to the person who is searched for. A graph (HNSW, `ef` 256) took
3 to 9 ms for the same, missed 4 to 26 of 100 enrolled people, and a minute and a half to build. The time
grows with their number: from some 250,000 on it exceeds 10 ms, and a Qdrant server should be used.
"""

import asyncio
import fcntl
import os
import shutil
import threading
import uuid
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Final, TypeVar

import numpy as np
import qdrant_edge as qdrant
import structlog
from numpy.typing import NDArray

from vigil_gateway.storage.errors import GalleryError
from vigil_gateway.storage.qdrant.gallery import Entry, Neighbours, by_subject, collection_name

log = structlog.get_logger(__name__)

CANDIDATES: Final = 200
"""Best embeddings of the coarse comparison that are compared in full; 100 suffice among 100,000."""

LAYOUT: Final = "2"
"""Version of `_config`, to be increased with it, because a shard keeps the layout that it was made with."""

OPTIMISE_ABOVE: Final = 20_000
"""Embeddings below which removed and rewritten ones slow a search too little to optimise."""

NEW: Final = ".new"
"""Suffix of the folder of a shard that is being written anew; what a killed process left of it is not used."""

PAGE: Final = 2_000
CALL_TIMEOUT_S: Final = 30.0
Result = TypeVar("Result")


class EmbeddedGallery:
    """Shards of Qdrant Edge in a folder, one per model.

    Parameters
    ----------
    folder
        Used by this process alone, which a lock file ensures.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._shards: dict[str, Any] = {}
        self._sizes: dict[str, int] = {}
        self._changes: dict[str, int] = {}
        self._lock_file: int | None = None
        self._worker = ThreadPoolExecutor(1, "gallery")
        self._settling = threading.Lock()

    async def open(self) -> None:
        """Lock the folder.

        Raises
        ------
        RuntimeError
            Another process uses it, or it cannot be written.
        """
        if self._lock_file is not None:
            return
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            self._lock_file = os.open(self._folder / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            fcntl.flock(self._lock_file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            msg = (
                f"the gallery folder {self._folder} is in use by another identity process; end that one, or let both "
                "use a Qdrant server (VIGIL_QDRANT_URL)"
            )
            raise RuntimeError(msg) from None
        except OSError as error:
            msg = f"the gallery folder {self._folder} cannot be used: {error}; correct it, or set VIGIL_QDRANT_PATH"
            raise RuntimeError(msg) from error

    async def close(self) -> None:
        """Write what is not yet written, and release the folder."""
        await self._run(self._close_all)
        self._worker.shutdown(wait=False, cancel_futures=True)
        if self._lock_file is not None:
            os.close(self._lock_file)
            self._lock_file = None

    def _close_all(self) -> None:
        for shard in self._shards.values():
            shard.flush()
            shard.close()
        self._shards.clear()

    async def search(self, model_id: str, vectors: NDArray[np.float32], limit: int) -> list[Neighbours]:
        """Return the nearest Subjects of each of the vectors [N,D]."""
        if not len(vectors):
            return []

        def query() -> list[Neighbours]:
            shard = self._shard(model_id)
            candidates = qdrant.QuantizationSearchParams(rescore=True, oversampling=max(1.0, CANDIDATES / limit))
            params = qdrant.SearchParams(quantization=candidates)
            queries = [
                qdrant.QueryRequest(
                    query=qdrant.Query.Nearest(vector.tolist()), limit=limit, with_payload=True, params=params
                )
                for vector in vectors
            ]
            responses = shard.query_batch(qdrant.QueryBatchRequest(queries))
            return [_neighbours(response, limit) for response in responses]

        return await self._run(query)

    async def put(self, model_id: str, entries: Sequence[Entry]) -> None:
        """Add embeddings."""

        def write() -> None:
            shard = self._shard(model_id)
            for start in range(0, len(entries), PAGE):
                points = [
                    qdrant.Point(
                        id=str(entry.point_id),
                        vector=entry.vector.tolist(),
                        payload={"subject": str(entry.subject_id)},
                    )
                    for entry in entries[start : start + PAGE]
                ]
                shard.update(qdrant.UpdateOperation.upsert_points(points))
            shard.flush()
            self._changes[model_id] = self._changes.get(model_id, 0) + len(entries)

        await self._run(write)

    async def discard(self, model_id: str, points: Sequence[uuid.UUID]) -> None:
        """Remove embeddings."""

        def write() -> None:
            shard = self._shard(model_id)
            shard.update(qdrant.UpdateOperation.delete_points([str(point) for point in points]))
            shard.flush()
            self._changes[model_id] = self._changes.get(model_id, 0) + len(points)

        if points:
            await self._run(write)

    async def points(self, model_id: str, subject_id: uuid.UUID | None = None) -> set[uuid.UUID]:
        """Return the ids of all embeddings of a model, or of one Subject's only."""
        only = None
        if subject_id is not None:
            match = qdrant.FieldCondition(key="subject", match=qdrant.MatchValue(str(subject_id)))
            only = qdrant.Filter(must=[match])

        def read() -> set[uuid.UUID]:
            shard, found, offset = self._shard(model_id), set[uuid.UUID](), None
            while True:
                request = qdrant.ScrollRequest(
                    offset=offset, limit=PAGE, filter=only, with_payload=False, with_vector=False
                )
                records, offset = shard.scroll(request)
                found.update(uuid.UUID(str(record.id)) for record in records)
                if offset is None:
                    return found

        return await self._run(read)

    async def create(self, model_id: str, size: int) -> None:
        """Load the shard of a model, or make it; replace one that cannot be read or has another size or layout."""
        await self._run(lambda: self._load(model_id, size))

    def _load(self, model_id: str, size: int) -> None:
        if self._sizes.get(model_id) == size and model_id in self._shards:
            return
        folder = self._folder / collection_name(model_id)
        if folder.exists():
            try:
                self._shards[model_id] = _loaded(folder, size)
            except Exception as error:  # noqa: BLE001 - an index can be rebuilt, whatever its fault
                log.warning("gallery cannot be read; rebuilding it", model=model_id, reason=str(error))
                shutil.rmtree(folder)
        if model_id not in self._shards:
            folder.mkdir(parents=True)
            self._shards[model_id] = qdrant.EdgeShard.create(str(folder), _config(size))
            _layout_file(folder).write_text(LAYOUT)
        self._sizes[model_id] = size
        self._changes[model_id] = OPTIMISE_ABOVE  # how many were removed from it is not known

    async def models(self) -> list[str]:
        """Return the names of the collections in the folder."""
        return sorted(entry.name for entry in self._folder.iterdir() if entry.is_dir() and entry.suffix != NEW)

    async def rewrite(self, model_id: str) -> None:
        """Copy what is left into a new shard, because a removed point stays in the files of the old one."""
        folder = self._folder / collection_name(model_id)
        new = folder.with_name(f"{folder.name}{NEW}")
        old = await self._run(lambda: self._shard(model_id))

        def copy() -> None:
            shutil.rmtree(new, ignore_errors=True)
            new.mkdir()
            shard = qdrant.EdgeShard.create(str(new), _config(self._sizes[model_id]))
            for page in _pages(old):
                shard.update(qdrant.UpdateOperation.upsert_points(page))
            shard.flush()
            shard.close()

        def replace() -> None:
            self._shards.pop(model_id).close()
            shutil.rmtree(folder)
            new.rename(folder)
            self._shards[model_id] = qdrant.EdgeShard.load(str(folder), _config(self._sizes[model_id]))
            self._changes[model_id] = OPTIMISE_ABOVE

        # In a separate thread: searches in the old shard go on until the new one is complete.
        try:
            await asyncio.to_thread(copy)
        except Exception as error:
            msg = f"embedded gallery: {type(error).__name__}: {error}"
            raise GalleryError(msg) from error
        await self._run(replace)

    async def settle(self, model_id: str) -> None:
        """Optimise if there are enough embeddings and many of them are new or removed."""
        count = len(await self.points(model_id))
        if count < OPTIMISE_ABOVE or self._changes.get(model_id, 0) * 5 < count:
            return
        self._changes[model_id] = 0
        shard = self._shard(model_id)

        def optimize() -> None:
            with self._settling:
                shard.optimize()
                shard.flush()

        # In a separate thread, because it takes seconds for 100,000 and searches must not wait.
        await asyncio.to_thread(optimize)
        log.info("gallery optimised", model=model_id, embeddings=count)

    def _shard(self, model_id: str) -> Any:  # noqa: ANN401 - Qdrant Edge has no useful types
        try:
            return self._shards[model_id]
        except KeyError:
            msg = f"the gallery has no collection for model {model_id} yet; it is made when the model is loaded"
            raise GalleryError(msg) from None

    async def _run(self, work: Callable[[], Result]) -> Result:
        """Run in the only worker thread, which serialises changes and searches."""
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(CALL_TIMEOUT_S):
                return await loop.run_in_executor(self._worker, work)
        except GalleryError:
            raise
        except Exception as error:
            msg = f"embedded gallery: {type(error).__name__}: {error}"
            raise GalleryError(msg) from error


def _pages(shard: Any) -> Iterator[list[Any]]:  # noqa: ANN401 - Qdrant Edge has no useful types
    offset = None
    while True:
        request = qdrant.ScrollRequest(offset=offset, limit=PAGE, with_payload=True, with_vector=True)
        records, offset = shard.scroll(request)
        if records:
            yield [
                qdrant.Point(id=str(record.id), vector=list(record.vector), payload=record.payload)
                for record in records
            ]
        if offset is None:
            return


def _loaded(folder: Path, size: int) -> Any:  # noqa: ANN401 - Qdrant Edge has no useful types
    layout = _layout_file(folder)
    if not layout.exists() or layout.read_text() != LAYOUT:
        msg = "it was made by another version"
        raise GalleryError(msg)
    return qdrant.EdgeShard.load(str(folder), _config(size))


def _layout_file(folder: Path) -> Path:
    """Return the file beside a shard that contains the version of its layout."""
    return folder.with_name(f"{folder.name}.form")


def _config(size: int) -> Any:  # noqa: ANN401 - Qdrant Edge has no useful types
    return qdrant.EdgeConfig(
        vectors=qdrant.EdgeVectorParams(size=size, distance=qdrant.Distance.Dot),
        hnsw_config=qdrant.HnswIndexConfig(m=0, ef_construct=100, full_scan_threshold=10_000),  # 0: no graph
        quantization_config=qdrant.TurboQuantQuantizationConfig(
            bits=qdrant.TurboQuantBitSize.Bits2, memory=qdrant.Memory.Pinned
        ),
        # One segment, so that a search is one pass; the index can be rebuilt, so that no log of changes is needed.
        optimizers=qdrant.EdgeOptimizersConfig(default_segment_number=1, max_segment_size=10_000_000),
        wal_enabled=False,
        max_search_threads=1,
    )


def _neighbours(points: list[Any], limit: int) -> Neighbours:
    found = [(uuid.UUID(str(point.payload["subject"])), float(point.score)) for point in points]
    return by_subject(found, complete=len(found) < limit)
