"""Best shots: when a face is worth a quality check and an embedding.

A quality check costs the cut and the measuring of one face (about 1 ms), an embedding up to 26 ms on a CPU. So a face
is checked when its size and pose let one expect a better shot than those kept, and embedded when the check confirms it.
"""

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from vigil_contracts.events import MAX_SHOTS, BestShot

GOOD_SCORE = 0.55
"""Quality, 0 to 1, from which the first check leads to an embedding at once; below it, the second detection may be
better."""

USABLE_SCORE = 0.2
"""Quality below which an embedding is of little use: such a face is followed, and its sighting emitted without one."""

MARGIN = 0.08
"""How much better than the best so far a shot must be."""

EXPECTED_GAIN = 1.08
"""Ratio to the best expected quality so far from which a face is checked again."""

CHECK_AGAIN_S = 1.0
"""Sharpness and light change without size and pose: a face is checked so often in any case."""

BETWEEN_SHOTS_S = 0.4
"""A person who comes nearer is better in every frame; not each of them is embedded."""

BETWEEN_DOUBTS_S = 0.8
"""Doubts come in rows, when a head turns or two people meet; one shot after them settles all."""

SECOND_OPINION_S = 1.6
"""One more shot after this time even if it is not better, when it is nearly as good: a person is recognised better
from two different moments than from one."""

VERIFY_S = 5.0
"""Most seconds between later shots of a person who stays: somebody else may have taken the place unnoticed."""

SECOND_OPINION_SHARE = 0.8
"""How good such a shot must be, of the best."""


@dataclass(slots=True, eq=False)
class Shot:
    """A shot with its embedding.

    Attributes
    ----------
    vector
        [D] float32, unit length; None: detection only.
    covered
        Another face was so near that this one may be half hidden.
    """

    best_shot: BestShot
    vector: NDArray[np.float32] | None
    covered: bool = False

    @property
    def score(self) -> float:
        """Its quality, 0 to 1."""
        return self.best_shot.quality.score

    @property
    def model_id(self) -> str | None:
        """The model of its embedding."""
        embedding = self.best_shot.embedding
        return embedding.model_id if embedding is not None else None


@dataclass(slots=True, eq=False)
class PersonShots:
    """The shots of one person, and when the next one is wanted."""

    kept: list[Shot] = field(default_factory=list)
    """Best first."""
    checked_at: float = float("-inf")
    expected_quality: float = 0.0
    """The best of all checks."""
    taken_at: float = float("-inf")
    taken: int = 0
    checks: int = 0
    postponed: bool = False
    """A shot was wanted, and there was no time for it."""
    pending: bool = False
    """A shot is being embedded."""

    def wants_check(self, expected_quality: float, at: float, *, urgent: bool) -> bool:
        """Return whether to cut the face and measure its quality.

        Parameters
        ----------
        expected_quality
            From size, pose and confidence, 0 to 1.
        at
            Seconds on a clock that only goes forward.
        urgent
            It is not known yet which person this is.
        """
        if self.pending:
            return False
        if urgent:
            return at - self.taken_at >= (BETWEEN_SHOTS_S if self.kept else BETWEEN_DOUBTS_S)
        if self.postponed or (not self.kept and self.checks < 2):
            return True
        if at - self.checked_at >= CHECK_AGAIN_S:
            return True
        return expected_quality > self.expected_quality * EXPECTED_GAIN and at - self.taken_at >= BETWEEN_SHOTS_S

    def checked(self, expected_quality: float, at: float) -> None:
        """Record a quality check."""
        self.checked_at = at
        self.checks += 1
        self.expected_quality = max(self.expected_quality, expected_quality)
        self.postponed = False

    def postpone(self) -> None:
        """Record that the shot was wanted without time for it: the face in the next frame is checked in any case."""
        self.postponed = True

    def wants_shot(self, score: float, at: float, *, urgent: bool, verify_s: float = VERIFY_S) -> bool:
        """Return whether a face with this quality is worth keeping and embedding.

        Parameters
        ----------
        score
            The measured quality, 0 to 1.
        at, urgent
            As of `wants_check`.
        verify_s
            Seconds between shots of a person who stays.
        """
        if score < USABLE_SCORE:
            return False
        if urgent:
            return True
        if not self.kept:
            return score >= GOOD_SCORE or self.checks >= 2
        best = self.kept[0].score
        if at - self.taken_at < BETWEEN_SHOTS_S:
            return False
        again = at - self.taken_at >= (min(SECOND_OPINION_S, verify_s) if self.taken == 1 else verify_s)
        return score >= best + MARGIN or (again and score >= best * SECOND_OPINION_SHARE)

    def keep(self, shot: Shot, at: float) -> None:
        """Add a shot; of more than five the worst goes."""
        # After a change of the served model, vectors of the old one cannot be compared with the new.
        self.kept = [one for one in self.kept if one.model_id == shot.model_id]
        self.kept.append(shot)
        self.kept.sort(key=lambda one: -one.score)
        del self.kept[MAX_SHOTS:]
        self.taken_at = at
        self.taken += 1
