"""The interface of the gallery, with two implementations: a Qdrant server and Qdrant embedded.

The gallery is an index only: it can be built at any time from `subject_embeddings` in Postgres, and whether a Subject
may be recognised is never read from it. Each model has its own collection, so that vectors of two models never meet.
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
"""Namespace (RFC 9562 §5.5) of point ids; a change would rebuild every gallery."""


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
        """Id in the index; it is derived from the content, so that ids alone show whether an index is correct."""
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
        Whether the gallery has no further Subject.
    """

    nearest: tuple[Neighbour, ...]
    complete: bool


class Gallery(Protocol):
    """An index of embeddings by model. Every method raises GalleryError when it fails."""

    async def open(self) -> None:
        """Check that the gallery can be used."""

    async def close(self) -> None:
        """Release the gallery."""

    async def search(self, model_id: str, vectors: NDArray[np.float32], limit: int) -> list[Neighbours]:
        """Return the nearest Subjects of each of the vectors [N,D], among the `limit` nearest embeddings of each."""

    async def put(self, model_id: str, entries: Sequence[Entry]) -> None:
        """Add embeddings; existing ones stay."""

    async def discard(self, model_id: str, points: Sequence[uuid.UUID]) -> None:
        """Remove embeddings."""

    async def points(self, model_id: str, subject_id: uuid.UUID | None = None) -> set[uuid.UUID]:
        """Return the ids of all embeddings of a model, or of one Subject's only."""

    async def create(self, model_id: str, size: int) -> None:
        """Make the collection of a model if it is missing; replace one whose vectors have another size."""

    async def models(self) -> list[str]:
        """Return the names of the existing collections, as `collection_name` makes them."""

    async def rewrite(self, model_id: str) -> None:
        """Write the files anew, without what was removed; the caller keeps changes of the gallery away meanwhile."""

    async def settle(self, model_id: str) -> None:
        """Optimise searches after many changes; searches continue meanwhile."""


def point_id(subject_id: uuid.UUID, photo: str, digest: str) -> uuid.UUID:
    """Return the id of a point, derived from its content.

    Parameters
    ----------
    digest
        sha256 of the vector's little-endian float32 bytes, in hexadecimal.
    """
    return uuid.uuid5(_POINTS, f"{subject_id}/{photo}/{digest}")


def collection_name(model_id: str) -> str:
    """Return the name of a model's collection: readable, safe as a file name, and unique to the model."""
    readable = re.sub(r"[^A-Za-z0-9]+", "-", model_id).strip("-")[:80]
    return f"{readable}-{hashlib.sha256(model_id.encode()).hexdigest()[:8]}"


def by_subject(found: Iterable[tuple[uuid.UUID, float]], *, complete: bool) -> Neighbours:
    """Return the Subjects of embeddings, each with the similarity of its nearest embedding."""
    best: dict[uuid.UUID, float] = {}
    for subject_id, similarity in found:
        best[subject_id] = max(similarity, best.get(subject_id, -2.0))
    ordered = sorted(best.items(), key=lambda item: (-item[1], item[0]))
    return Neighbours(tuple(Neighbour(subject_id, similarity) for subject_id, similarity in ordered), complete)
