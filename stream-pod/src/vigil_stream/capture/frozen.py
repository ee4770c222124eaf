"""A camera whose picture stands still, or repeats a short piece, gives no information: that is a fault, not peace.

A real sensor's noise changes every picture, and an encoder's keyframes do so at the latest. So a source is frozen when
for `FROZEN_AFTER_S` no picture came that had not been seen within the last few seconds. A loop of a longer piece,
such as a demo's, is not taken for frozen.

Every picture that comes counts, not only those that are analysed: of a piece whose length is no multiple of the
sampling, other pictures are analysed each time. A picture that is decoded into memory is told by its luma. One that is
not (a JPEG that is not analysed, any on a GPU) is told by the bytes that it is decoded from. So there, a piece that is
encoded anew each time counts only when the same of its pictures are analysed each time.
"""

from collections import OrderedDict

FROZEN_AFTER_S = 12.0
"""Longer than usual keyframe intervals (up to 10 s), so that an encoder's skipped pictures of a dark, still scene are
not mistaken for a fault; short enough to be told within 15 s."""

REPEAT_S = 3.0
"""The longest piece whose repetition counts as frozen."""

_LATE_S = 0.5
"""By how much a picture may come later than in the round before."""


class FrozenDetector:
    """Looks at the fingerprints of a source's pictures.

    Those of pictures and those of bytes are compared among themselves: they say different things. It is enough that one
    of the two kinds shows nothing new.
    """

    def __init__(self) -> None:
        self._pictures, self._bytes = _Memory(), _Memory()

    def picture(self, fingerprint: int, at: float) -> None:
        """Take a picture; one may be taken twice.

        Parameters
        ----------
        fingerprint
            Equal for equal pictures.
        at
            Seconds on a clock that only goes forward.
        """
        self._pictures.look(fingerprint, at)

    def encoded(self, fingerprint: int, at: float) -> None:
        """Take the bytes of a picture, of every one that comes; fingerprints are equal only for equal pictures."""
        self._bytes.look(fingerprint, at)

    def frozen(self, at: float) -> bool:
        """Tell whether the source shows nothing new."""
        return self._pictures.stale(at) or self._bytes.stale(at)


class _Memory:
    def __init__(self) -> None:
        self._seen: OrderedDict[int, float] = OrderedDict()
        self._novel_at: float | None = None

    def look(self, fingerprint: int, at: float) -> None:
        while self._seen and next(iter(self._seen.values())) < at - REPEAT_S - _LATE_S:
            self._seen.popitem(last=False)
        if self._novel_at is None or fingerprint not in self._seen:
            self._novel_at = at
        self._seen[fingerprint] = at
        self._seen.move_to_end(fingerprint)

    def stale(self, at: float) -> bool:
        return self._novel_at is not None and at - self._novel_at >= FROZEN_AFTER_S
