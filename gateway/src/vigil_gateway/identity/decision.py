"""The decision on an identity, from the best shots of a sighting and their neighbours in the gallery; pure.

The embeddings of all best shots are averaged, each weighted with the quality of its shot, and the average is scaled to
unit length. The shots have the person in common and differ in pose, light and noise, so the average is nearer to the
person's photos than the shots are, and no nearer to those of others (quality-weighted template pooling, as in the IJB
protocols for sets of faces). One vector also means one search per sighting.

The nearest Subject is taken when its cosine reaches the model's calibrated threshold (or the camera's own) and leads
the second nearest *Subject* by the model's margin.
"""

import datetime as dt
import uuid
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from vigil_contracts.events import Identity, IdentityReason, IdentityStatus, Sighting
from vigil_gateway.services.model import Model
from vigil_gateway.storage.postgres.resource_rows import SubjectRow
from vigil_gateway.storage.qdrant.gallery import Neighbour, Neighbours

MIN_WEIGHT: Final = 0.05
"""A shot of quality 0 still counts a little, because it may be the only one."""

SEARCH_LIMIT: Final = 32
"""Embeddings asked for: a Subject has at most 10 photos, so these are of at least 3 Subjects."""

WIDE_SEARCH_LIMIT: Final = 1024
"""Asked for when so many of the nearest may not be recognised now that fewer than two Subjects are left."""


@dataclass(frozen=True, slots=True, eq=False)
class Probe:
    """The face of a sighting in one vector, which is compared with the templates of the gallery.

    Attributes
    ----------
    vector
        [D] float32, unit length.
    """

    model_id: str
    vector: NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Decision:
    """The identity decided for a sighting, and what it was decided from.

    Attributes
    ----------
    nearest, runner_up
        The two nearest Subjects that may be recognised now, also when they stayed below the threshold.
    """

    identity: Identity
    nearest: uuid.UUID | None = None
    runner_up: uuid.UUID | None = None


def probe(sighting: Sighting) -> Probe | None:
    """Return a sighting's pooled embedding; None when it has none, or when they cancel each other out.

    Embeddings of several models, as during a change of models, are not mixed: the model with most shots counts, at a
    tie the one of the better shot.
    """
    shots = [(shot.embedding, shot.quality.score) for shot in sighting.shots if shot.embedding is not None]
    if not shots:
        return None
    counted = Counter(embedding.model_id for embedding, _ in shots)
    model_id = counted.most_common(1)[0][0]  # in order of first appearance at a tie, and the best shot is first
    vectors = np.array(
        [np.frombuffer(embedding.to_bytes(), "<f4") for embedding, _ in shots if embedding.model_id == model_id],
        np.float64,
    )
    weights = np.array([max(score, MIN_WEIGHT) for embedding, score in shots if embedding.model_id == model_id])
    units = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    pooled = weights @ units / weights.sum()
    length = float(np.linalg.norm(pooled))
    if not np.isfinite(length) or length < 1e-6:
        return None
    return Probe(model_id, (pooled / length).astype(np.float32))


def undetermined(now: dt.datetime) -> Decision:
    """Return the decision on a sighting without a face to compare."""
    return Decision(Identity(status=IdentityStatus.UNDETERMINED, reason=IdentityReason.NO_FACE, decided_at=now))


def decide(
    found: Neighbours,
    subjects: Mapping[uuid.UUID, SubjectRow],
    model: Model,
    camera_threshold: float | None,
    now: dt.datetime,
) -> Decision:
    """Return the decision: the nearest Subject, or that the person is unknown.

    Parameters
    ----------
    found
        The nearest Subjects of the template in the gallery.
    subjects
        Those of them that are registered; others are ignored.
    camera_threshold
        Used instead of the model's; None: the camera has none.
    """
    threshold = model.threshold if camera_threshold is None else camera_threshold
    allowed = recognisable(found, subjects, now)
    best = allowed[0] if allowed else None
    second = allowed[1] if len(allowed) > 1 else None
    known = (
        best is not None
        and best.similarity >= threshold
        and (second is None or best.similarity - second.similarity >= model.margin)
    )
    identity = Identity(
        status=IdentityStatus.KNOWN if known else IdentityStatus.UNKNOWN,
        subject=subjects[best.subject_id].ref if known and best else None,
        similarity=best.similarity if best else None,
        runner_up_similarity=second.similarity if second else None,
        threshold=threshold,
        margin=model.margin,
        model_id=model.model_id,
        decided_at=now,
    )
    identity = identity.model_copy(update={"reason": identity.derive_reason()})
    return Decision(identity, best.subject_id if best else None, second.subject_id if second else None)


def recognisable(found: Neighbours, subjects: Mapping[uuid.UUID, SubjectRow], now: dt.datetime) -> list[Neighbour]:
    """Return the neighbours that may be recognised now, nearest first."""
    return [one for one in found.nearest if one.subject_id in subjects and subjects[one.subject_id].active(now)]


def needs_wider_search(found: Neighbours, subjects: Mapping[uuid.UUID, SubjectRow], now: dt.datetime) -> bool:
    """Return whether Subjects that may not be recognised displaced those that may."""
    return not found.complete and len(recognisable(found, subjects, now)) < 2
