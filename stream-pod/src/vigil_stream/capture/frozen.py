"""Detection of frozen video: a camera whose video stands still or repeats a short piece may have a fault.

A real sensor's noise changes every frame, and an encoder's keyframes do so at the latest. So a source is frozen when
for `FROZEN_AFTER_S` every frame had been seen within the last few seconds. A loop of a longer piece, such as a demo's,
is not taken for frozen. A dark or still scene whose noise the camera has removed looks the same as a fault, so frozen
video is reported and read on. A camera that shows something new every half minute is reported once, not each time.

Every frame counts, not only those that are analysed: of a piece whose length is no multiple of the sampling, other
frames are analysed each time. A frame that is decoded into memory is recognised by its luma. One that is not (a JPEG
that is not analysed, any on a GPU) is recognised by the bytes that it is decoded from. So there, a piece that is
encoded anew each time counts only when the same of its frames are analysed each time.
"""

from collections import OrderedDict

FROZEN_AFTER_S = 12.0
"""Longer than usual keyframe intervals (up to 10 s), so that an encoder's skipped frames of a dark, still scene are
not mistaken for a fault; short enough to be reported within 15 s."""

MAX_FROZEN_AFTER_S = 120.0
"""The same for a source that was frozen for a time and then showed something new: three times this time, at most."""

REPEAT_S = 3.0
"""The longest piece whose repetition counts as frozen."""

_LATE_S = 0.5
"""By how much a frame may come later than in the round before."""


class FrozenDetector:
    """Compares the fingerprints of the frames of a source.

    Fingerprints of decoded frames, of masked frames and of encoded bytes are compared among themselves. It is enough
    that one of these kinds shows nothing new.
    """

    def __init__(self) -> None:
        self._decoded, self._masked, self._encoded = _Memory(), _Memory(), _Memory()

    def add_decoded(self, fingerprint: int, at: float) -> None:
        """Add a decoded frame; the same one may be added twice.

        Parameters
        ----------
        fingerprint
            Equal for equal frames.
        at
            Seconds on a clock that only goes forward.
        """
        self._decoded.add(fingerprint, at)

    def add_masked(self, fingerprint: int, at: float) -> None:
        """Add a decoded frame as it is under its privacy masks: a clock that the camera draws is hidden there."""
        self._masked.add(fingerprint, at)

    def add_encoded(self, fingerprint: int, at: float) -> None:
        """Add the bytes of every frame; fingerprints are equal only for equal frames."""
        self._encoded.add(fingerprint, at)

    def frozen(self, at: float) -> bool:
        """Return whether the source shows nothing new."""
        return self._decoded.stale(at) or self._masked.stale(at) or self._encoded.stale(at)


class _Memory:
    def __init__(self) -> None:
        self._seen: OrderedDict[int, float] = OrderedDict()
        self._novel_at: float | None = None
        self._after_s = FROZEN_AFTER_S

    def add(self, fingerprint: int, at: float) -> None:
        while self._seen and next(iter(self._seen.values())) < at - REPEAT_S - _LATE_S:
            self._seen.popitem(last=False)
        if self._novel_at is None or fingerprint not in self._seen:
            self._learn(at - self._novel_at if self._novel_at is not None else 0.0)
            self._novel_at = at
        self._seen[fingerprint] = at
        self._seen.move_to_end(fingerprint)

    def _learn(self, still_s: float) -> None:
        if still_s >= self._after_s:
            self._after_s = min(3 * still_s, MAX_FROZEN_AFTER_S)

    def stale(self, at: float) -> bool:
        return self._novel_at is not None and at - self._novel_at >= self._after_s
