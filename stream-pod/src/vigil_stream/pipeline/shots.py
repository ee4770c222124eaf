"""Best shots: when a face is worth a closer look, when a look is worth an embedding, and whether it is the same person.

A look costs the cut and the measuring of one face (about 1 ms), an embedding up to 26 ms on a CPU. So a face is
looked at when its size and pose promise more than what is kept, and embedded when the look keeps the promise.
"""

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from vigil_contracts.events import MAX_SHOTS, BestShot

GOOD_SCORE = 0.55
"""Quality, 0 to 1, from which the first look is embedded at once; below it, the second detection may be better."""

USABLE_SCORE = 0.2
"""Quality below which an embedding says little: such a face is followed, and told without one."""

MARGIN = 0.08
"""How much better than the best so far a shot must be."""

PROMISE = 1.08
"""How much larger and more frontal than at the best look so far a face must be for another look."""

LOOK_AGAIN_S = 1.0
"""Sharpness and light change without size and pose: a face is looked at so often in any case."""

BETWEEN_SHOTS_S = 0.4
"""Somebody who comes nearer is better in every picture; not each of them is embedded."""

SECOND_OPINION_S = 1.6
"""One more shot after this time even if it is not better, when it is nearly as good: two different moments tell more
about a person than one."""

VERIFY_S = 5.0
"""From then on, so often: somebody who stays is still the same, even if a change of scene looked like movement."""

SECOND_OPINION_SHARE = 0.8
"""How good such a shot must be, of the best."""

SAME_PERSON_SHARE = 0.5
"""Two shots of one track whose cosine similarity is below this share of the model's match threshold are two people.
Over models, the same person within a second stays above the threshold itself; different people are around 0."""


@dataclass(slots=True, eq=False)
class Kept:
    """A shot that was taken, with its embedding [D] float32 (None: detection only)."""

    shot: BestShot
    vector: NDArray[np.float32] | None

    @property
    def score(self) -> float:
        """Its quality, 0 to 1."""
        return self.shot.quality.score

    @property
    def model_id(self) -> str | None:
        """The model of its embedding."""
        return self.shot.embedding.model_id if self.shot.embedding is not None else None


@dataclass(slots=True, eq=False)
class Shots:
    """What was seen of one face well enough to keep, and what to look for next."""

    kept: list[Kept] = field(default_factory=list)
    """Best first."""
    looked_at: float = float("-inf")
    promise: float = 0.0
    taken_at: float = float("-inf")
    taken: int = 0
    looks: int = 0
    postponed: bool = False
    """A shot was wanted, and there was no time for it."""
    pending: bool = False
    """A shot is being embedded."""

    def wants_look(self, promise: float, at: float, *, doubtful: bool) -> bool:
        """Tell whether to cut and measure the face.

        Parameters
        ----------
        promise
            What size, pose and confidence let one expect, 0 to 1.
        at
            Seconds on a clock that only goes forward.
        doubtful
            The track might have taken another person for this one.
        """
        if self.pending:
            return False
        if doubtful or self.postponed or (not self.kept and self.looks < 2):
            return True
        if at - self.looked_at >= LOOK_AGAIN_S:
            return True
        return promise > self.promise * PROMISE and at - self.taken_at >= BETWEEN_SHOTS_S

    def looked(self, promise: float, at: float) -> None:
        """Note that the face was looked at."""
        self.looked_at = at
        self.looks += 1
        self.promise = max(self.promise, promise)
        self.postponed = False

    def postpone(self) -> None:
        """Note that the shot was wanted, but there was no time for it: the next picture is looked at in any case."""
        self.postponed = True

    def wants(self, score: float, at: float, *, doubtful: bool) -> bool:
        """Tell whether a shot that was looked at is worth keeping and embedding."""
        if score < USABLE_SCORE:
            return False
        if not self.kept:
            return score >= GOOD_SCORE or self.looks >= 2
        if doubtful:
            return True
        best = self.kept[0].score
        if at - self.taken_at < BETWEEN_SHOTS_S:
            return False
        again = at - self.taken_at >= (SECOND_OPINION_S if self.taken == 1 else VERIFY_S)
        return score >= best + MARGIN or (again and score >= best * SECOND_OPINION_SHARE)

    def belongs(self, shot: Kept, match_threshold: float) -> bool:
        """Tell whether a new shot can be of the person of the shots so far, by vectors of the same model."""
        vector = shot.vector
        if vector is None:
            return True
        similarities = [
            float(np.dot(vector, other.vector))
            for other in self.kept
            if other.vector is not None and other.model_id == shot.model_id
        ]
        return not similarities or max(similarities) >= match_threshold * SAME_PERSON_SHARE

    def keep(self, kept: Kept, at: float) -> None:
        """Add a shot; of more than five the worst goes."""
        # After a change of the served model, vectors of the old one say nothing beside the new.
        self.kept = [one for one in self.kept if one.model_id == kept.model_id]
        self.kept.append(kept)
        self.kept.sort(key=lambda one: -one.score)
        del self.kept[MAX_SHOTS:]
        self.taken_at = at
        self.taken += 1
