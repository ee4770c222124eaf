"""A camera whose picture stands still, or repeats a short piece, gives no information: that is a fault, not peace.

A real sensor's noise changes every picture, and an encoder's keyframes do so at the latest. So a source is frozen when
for `FROZEN_AFTER_S` no picture came that had not been seen within the last few seconds. A loop of a longer piece,
such as a demo's, is not taken for frozen.
"""

from collections import OrderedDict

FROZEN_AFTER_S = 12.0
"""Longer than usual keyframe intervals (up to 10 s), so that an encoder's skipped pictures of a dark, still scene are
not mistaken for a fault; short enough to be told within 15 s."""

REPEAT_S = 3.0
"""The longest piece whose repetition counts as frozen."""


class FrozenDetector:
    """Looks at the fingerprints of a source's pictures."""

    def __init__(self) -> None:
        self._seen: OrderedDict[int, float] = OrderedDict()
        self._novel_at: float | None = None

    def look(self, fingerprint: int, at: float) -> bool:
        """Take the next picture; True when the source is frozen.

        Parameters
        ----------
        fingerprint
            Equal for equal pictures.
        at
            Seconds on a clock that only goes forward.
        """
        while self._seen and next(iter(self._seen.values())) < at - REPEAT_S:
            self._seen.popitem(last=False)
        if self._novel_at is None or fingerprint not in self._seen:
            self._novel_at = at
        self._seen[fingerprint] = at
        self._seen.move_to_end(fingerprint)
        return at - self._novel_at >= FROZEN_AFTER_S
