"""Whether shots show one person, by the limits of the model that embedded them; pure.

One pair of shots decides badly: a half-hidden or turned face of the same person can be as far away as another person's
sharp one. So there are two limits with room between them, where more shots are needed, and all shots of each side are
pooled before they are compared, which brings one person's together and leaves two people apart.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Final

import numpy as np
from numpy.typing import NDArray

from vigil_stream.analyses.faces.shots import Shot

CERTAIN_SCORE: Final = 0.45
"""Quality from which one shot can show that this is another person; a worse one may be turned, blurred or half
hidden."""

ENOUGH_SHOTS: Final = 3
"""Certain shots after which a person who is not the same is another."""


class PersonComparison(Enum):
    """The result of a comparison."""

    SAME = "same"
    OTHER = "other"
    UNDECIDED = "undecided"


@dataclass(frozen=True, slots=True)
class Limits:
    """The cosines of a model.

    Attributes
    ----------
    same
        Shots at least so similar show one person.
    other
        A good shot less similar than this shows another.
    """

    same: float
    other: float


def similarity(shots: Sequence[Shot], others: Sequence[Shot]) -> float | None:
    """Return the cosine of the pooled embeddings; None when there is nothing to compare, as with two models."""
    model_id = shots[0].model_id if shots else None
    own, theirs = _pooled(shots, model_id), _pooled(others, model_id)
    return None if own is None or theirs is None else float(own @ theirs)


def compare(shots: Sequence[Shot], others: Sequence[Shot], limits: Limits) -> PersonComparison:
    """Return whether `shots` show the person of `others`: the more shots agree, the less unlike they need to be."""
    cosine = similarity(shots, others)
    if cosine is None:
        return PersonComparison.UNDECIDED
    if cosine >= limits.same:
        return PersonComparison.SAME
    certain = sum(is_certain(shot) for shot in shots)
    below = (limits.other, (limits.other + limits.same) / 2, limits.same)
    if certain and cosine < below[min(certain, ENOUGH_SHOTS) - 1]:
        return PersonComparison.OTHER
    return PersonComparison.UNDECIDED


def is_certain(shot: Shot) -> bool:
    """Return whether a shot that does not fit can show another person."""
    return shot.score >= CERTAIN_SCORE and not shot.covered


def fits(shot: Shot, others: Sequence[Shot], limits: Limits) -> bool:
    """Return whether a shot verifies a person; one that cannot be compared, as after a change of models, does."""
    cosine = similarity([shot], others)
    return cosine is None or cosine >= limits.same


def is_another(shot: Shot, others: Sequence[Shot], limits: Limits) -> bool:
    """Return whether a shot alone shows that this is another person than that of others."""
    cosine = similarity([shot], others)
    return cosine is not None and cosine < limits.other and is_certain(shot)


def _pooled(shots: Sequence[Shot], model_id: str | None) -> NDArray[np.float32] | None:
    vectors = [shot.vector for shot in shots if shot.vector is not None and shot.model_id == model_id]
    if not vectors:
        return None
    total: NDArray[np.float32] = np.sum(vectors, axis=0)
    length = float(np.linalg.norm(total))
    return total / length if length > 1e-6 else None
