"""The gallery as identity sees it: a narrow seam with two sides, a Qdrant server and Qdrant embedded.

It is an index only. What it holds can be made anew at any time from `subject_embeddings` in Postgres; whether a Subject
may be recognised is never read from it. One collection per model: vectors of two models never meet.
"""

import hashlib
import re
import uuid
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final, Protocol

import numpy as np
from numpy.typing import NDArray

_POINTS: Final = uuid.UUID("5b0c1f6e-55a2-4f2e-9a3d-0d4b7b1f7e10")
"""Namespace (RFC 9562 §5.5) of point ids; never to be changed, else every gallery is built anew."""


@dataclass(frozen=True, slots=True, eq=False)
class Entry:
    """One embedding of a Subject.

    Attributes
    ----------
    vector
        [D] float32, unit length.
    """

    subject_id: uuid.UUID
    photo: str
    vector: NDArray[np.float32]

    @property
    def point_id(self) -> uuid.UUID:
        """Where it stands in the index; says also what it holds, so that ids alone tell whether an index is right."""
        return point_id(self.subject_id, self.photo, hashlib.sha256(self.vector.astype("<f4").tobytes()).hexdigest())


@dataclass(frozen=True, slots=True)
class Neighbour:
    """A Subject near a face.

    Attributes
    ----------
    similarity
        Cosine of the nearest of the Subject's embeddings, -1 to 1.
    """

    subject_id: uuid.UUID
    similarity: float


@dataclass(frozen=True, slots=True)
class Neighbours:
    """The nearest Subjects.

    Attributes
    ----------
    nearest
        Nearest first, each Subject once.
    complete
        No Subject is missing behind the last one: the gallery has no more.
    """

    nearest: tuple[Neighbour, ...]
    complete: bool


class Gallery(Protocol):
    """An index of embeddings by model. All raise GalleryError when it does not answer."""

    async def open(self) -> None:
        """Make sure that it answers."""

    async def close(self) -> None:
        """Let go of it."""

    async def search(self, model_id: str, vectors: NDArray[np.float32], limit: int) -> list[Neighbours]:
        """Find the nearest Subjects of each of the vectors [N,D] among the `limit` nearest embeddings of each."""

    async def put(self, model_id: str, entries: Sequence[Entry]) -> None:
        """Add embeddings; those that are there already are left."""

    async def discard(self, model_id: str, points: Sequence[uuid.UUID]) -> None:
        """Take embeddings out."""

    async def points(self, model_id: str, subject_id: uuid.UUID | None = None) -> set[uuid.UUID]:
        """Give the ids of all embeddings of a model, or of one Subject's."""

    async def create(self, model_id: str, size: int) -> None:
        """Make the collection of a model unless it is there; one whose vectors have another size is made anew."""

    async def models(self) -> list[str]:
        """Name the models' collections that are there, as `collection_name` does."""

    async def settle(self, model_id: str) -> None:
        """Make searching fast after many changes; searches go on meanwhile."""


def point_id(subject_id: uuid.UUID, photo: str, digest: str) -> uuid.UUID:
    """Name a point after what it holds.

    Parameters
    ----------
    digest
        sha256 of the vector's little-endian float32 bytes, in hexadecimal.
    """
    return uuid.uuid5(_POINTS, f"{subject_id}/{photo}/{digest}")


def collection_name(model_id: str) -> str:
    """Name a model's collection: readable, safe as a file name, and different for different models."""
    readable = re.sub(r"[^A-Za-z0-9]+", "-", model_id).strip("-")[:80]
    return f"{readable}-{hashlib.sha256(model_id.encode()).hexdigest()[:8]}"


def by_subject(found: Iterable[tuple[uuid.UUID, float]], *, complete: bool) -> Neighbours:
    """Keep the nearest embedding of each Subject."""
    best: dict[uuid.UUID, float] = {}
    for subject_id, similarity in found:
        best[subject_id] = max(similarity, best.get(subject_id, -2.0))
    ordered = sorted(best.items(), key=lambda item: (-item[1], item[0]))
    return Neighbours(tuple(Neighbour(subject_id, similarity) for subject_id, similarity in ordered), complete)
