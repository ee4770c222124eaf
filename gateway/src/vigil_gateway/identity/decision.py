"""The decision on an identity, from the best shots of a sighting and their neighbours in the gallery; pure.

The embeddings of all best shots are averaged, each weighted with the quality of its shot, and the average is scaled to
unit length. The shots have the person in common and differ in pose, light and noise, so the average is nearer to the
person's photos than the shots are, and no nearer to those of others (quality-weighted template pooling, as in the IJB
protocols for sets of faces). One vector also means one search per sighting.

Shots that contradict each other are of two people, and never pooled into a name: when two of them are less alike than
any two of one person, or when one alone would be another Subject's, or nobody's, the decision is *unknown*. Shots that
are as alike as those of one person need no search of their own.

The nearest Subject is taken when its cosine reaches the model's calibrated threshold (or the camera's own) and leads
the second nearest *Subject* by the model's margin.
"""

import datetime as dt
import uuid
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple, Self

import numpy as np
from numpy.typing import NDArray

from vigil_contracts.clocks import TOLERANCE
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


class Times(NamedTuple):
    """The moments at which a Subject must have consented and be valid, so that a sighting may name it.

    An event may be decided hours after the person was seen, when a site was offline or identity was stopped.

    Attributes
    ----------
    opened
        The earliest moment at which it can have opened, by what is known of the camera's clock.
    last_seen
        By the camera's clock, bounded by when the bus received it.
    decided
        By identity's clock.
    """

    opened: dt.datetime
    last_seen: dt.datetime
    decided: dt.datetime

    @classmethod
    def of(cls, sighting: Sighting, now: dt.datetime) -> Self:
        """Return the moments of a sighting that is decided now; a wrong clock makes the time between them longer."""
        if sighting.opened_not_before is not None:
            return cls(sighting.opened_not_before, sighting.last_seen_at, now)
        ahead_ms = min(max(sighting.clock_offset_ms or 0.0, 0.0), TOLERANCE.total_seconds() * 1000)
        return cls(sighting.opened_at - dt.timedelta(milliseconds=ahead_ms), sighting.last_seen_at, now)


@dataclass(frozen=True, slots=True, eq=False)
class Probe:
    """The face of a sighting in one vector, which is compared with the templates of the gallery.

    Attributes
    ----------
    vector
        [D] float32, unit length.
    shots
        [n,D] float32, unit length, of which it is made.
    """

    model_id: str
    vector: NDArray[np.float32]
    shots: NDArray[np.float32]

    def agreement(self) -> float:
        """Return the least cosine of two shots; 1 of a single shot."""
        return float((self.shots @ self.shots.T).min()) if len(self.shots) > 1 else 1.0


@dataclass(frozen=True, slots=True)
class Shots:
    """The shots of a probe that do not agree by themselves.

    Attributes
    ----------
    agreement
        The least cosine of two of them.
    found
        The nearest Subjects of each.
    """

    agreement: float
    found: Sequence[Neighbours]


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
    return Probe(model_id, (pooled / length).astype(np.float32), units.astype(np.float32))


def undetermined(now: dt.datetime) -> Decision:
    """Return the decision on a sighting without a face to compare."""
    return Decision(Identity(status=IdentityStatus.UNDETERMINED, reason=IdentityReason.NO_FACE, decided_at=now))


def decide(
    found: Neighbours,
    subjects: Mapping[uuid.UUID, SubjectRow],
    model: Model,
    camera_threshold: float | None,
    times: Times,
    shots: Shots | None = None,
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
    shots
        Those of the probe; None: they agree.
    """
    threshold = model.threshold if camera_threshold is None else camera_threshold
    allowed = recognisable(found, subjects, times)
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
        decided_at=times.decided,
    )
    if known and best and shots is not None and _contradicts(shots, best.subject_id, subjects, model, threshold, times):
        doubt = {"status": IdentityStatus.UNKNOWN, "subject": None, "reason": IdentityReason.SHOTS_DISAGREE}
        return Decision(identity.model_copy(update=doubt), best.subject_id, second.subject_id if second else None)
    identity = identity.model_copy(update={"reason": identity.derive_reason()})
    return Decision(identity, best.subject_id if best else None, second.subject_id if second else None)


def _contradicts(
    shots: Shots,
    named: uuid.UUID,
    subjects: Mapping[uuid.UUID, SubjectRow],
    model: Model,
    threshold: float,
    times: Times,
) -> bool:
    """Return whether the shots are of more than one person, or one of them alone is not of the person named."""
    if shots.agreement < model.other_person:
        return True
    for found in shots.found:
        near = recognisable(found, subjects, times)
        own = max((one.similarity for one in near if one.subject_id == named), default=-1.0)
        another = max((one.similarity for one in near if one.subject_id != named), default=-1.0)
        if own < model.other_person or (another >= threshold and another > own):
            return True
    return False


def recognisable(found: Neighbours, subjects: Mapping[uuid.UUID, SubjectRow], times: Times) -> list[Neighbour]:
    """Return the neighbours that may be recognised, nearest first: both when they were seen and when it is decided."""
    return [one for one in found.nearest if one.subject_id in subjects and subjects[one.subject_id].active(*times)]


def needs_wider_search(found: Neighbours, subjects: Mapping[uuid.UUID, SubjectRow], times: Times) -> bool:
    """Return whether Subjects that may not be recognised displaced those that may."""
    return not found.complete and len(recognisable(found, subjects, times)) < 2
