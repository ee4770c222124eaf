"""Which frames are sound: after damage, none counts until decoding began anew.

A decoder fills what is missing with what it has, and every frame that refers to such a one shows it too. So the order
of decoding is followed, frame by frame, from one break to the next:

- A break comes with a lost packet, a missing reference, or damage in a frame that others refer to.
- After a break, frames are sound again from the first one *in the order of display* at which decoding can begin: a
  keyframe, or the end of a gradual refresh. B-frames before it that refer to frames before the break come before it in
  that order.
"""

from typing import Any, Final

import av

from vigil_stream.capture.bitstream import CodedFrame, Parser, parser

SUSPECT_PACKETS: Final = 2
"""FFmpeg reports a lost RTP packet while it reads the frame that it belongs to, or the one before."""

STEADY_INTERVALS: Final = 8
"""Equal intervals after which one that is nearly twice as long shows a missing frame, of a codec that does not number
its frames."""

FALLBACK_FRAMES: Final = 300
"""Frames without a point at which decoding can begin, after which a frame without references is taken for one: old
encoders mark theirs as no keyframe. 10 s at 30 fps."""


class _Span:
    """The frames from one break to the next."""

    __slots__ = ("begins", "sound")

    def __init__(self) -> None:
        self.begins = False
        """The frame at which it becomes sound was decoded."""
        self.sound = False
        """That frame was displayed."""


class Coded:
    """The mark of a coded frame, which FFmpeg copies to the decoded one."""

    __slots__ = ("begins", "broke", "damaged", "referenced", "restarts", "span")

    def __init__(self, span: _Span, *, referenced: bool) -> None:
        self.span = span
        self.referenced = referenced
        self.begins = False
        """Its span becomes sound with it."""
        self.restarts = False
        """A decoder may begin with it."""
        self.damaged = False
        self.broke = False
        """Something was missing in it or before it."""


class _SteadyRate:
    """Finds a missing frame by its time, in a stream of a steady rate."""

    def __init__(self) -> None:
        self._last: int | None = None
        self._interval = 0
        self._equal = 0

    def gap(self, at: int | None) -> bool:
        """Return whether a frame is missing before one of this time."""
        last, self._last = self._last, at
        if last is None or at is None:
            self._equal = 0
            return False
        interval = at - last
        steady = self._equal >= STEADY_INTERVALS
        if abs(interval - self._interval) * 5 <= self._interval:
            self._equal += 1
            return False
        if steady and interval * 5 >= self._interval * 9:
            # The rate itself may have changed: it has to prove itself again.
            self._equal = STEADY_INTERVALS - 2
            return True
        self._interval, self._equal = interval, 0
        return False


class Integrity:
    """Follows the frames of one stream; not for several threads.

    Parameters
    ----------
    codec, extradata
        FFmpeg's name of the codec, and its parameter sets.
    """

    def __init__(self, codec: str, extradata: bytes | None) -> None:
        self._parser: Parser | None = parser(codec, extradata)
        self._span = _Span()
        self._refreshed_in: int | None = None
        self._suspect = 0
        self._without_begin = 0
        self._rate = _SteadyRate() if self._parser is None else None

    def packet(self, packet: Any, *, lost: bool) -> Coded:  # noqa: ANN401 - PyAV's packets are generic over streams
        """Mark the next packet before it is decoded; `lost`: packets of the transport are missing."""
        coded = self._read(packet)
        if lost:
            self._suspect = SUSPECT_PACKETS
        broken = self._suspect > 0 or packet.is_corrupt or coded.cut
        self._suspect = max(self._suspect - 1, 0)
        if broken or coded.gap:
            self.interrupt()
        mark = Coded(self._span, referenced=coded.referenced)
        mark.broke = broken or coded.gap
        if not broken:
            mark.restarts = coded.refresh is not None
            mark.begins = self._begins(coded)
            self._span.begins |= mark.begins
        packet.opaque = mark
        return mark

    def _read(self, packet: Any) -> CodedFrame:  # noqa: ANN401 - as above
        if self._parser is None:
            gap = self._rate is not None and self._rate.gap(packet.dts)
            return CodedFrame(0 if packet.is_keyframe else None, gap=gap, referenced=not packet.is_disposable)
        return self._parser.read(bytes(packet)) or CodedFrame()

    def _begins(self, coded: CodedFrame) -> bool:
        """Return whether frames are sound from this one on, and follow a gradual refresh."""
        self._without_begin += 1
        if coded.refresh is None and coded.intra and self._without_begin > FALLBACK_FRAMES:
            coded = CodedFrame(0)
        if coded.refresh is not None:
            self._without_begin = 0
            running = self._refreshed_in
            self._refreshed_in = coded.refresh if running is None else min(running, coded.refresh)
        if self._refreshed_in is None:
            return False
        if self._refreshed_in == 0:
            self._refreshed_in = None
            return True
        self._refreshed_in -= coded.referenced
        return False

    def interrupt(self) -> None:
        """Begin a new span: frames from here on count only after decoding began anew."""
        self._refreshed_in = None
        if self._span.begins:
            self._span = _Span()

    def decoded(self, mark: Coded, *, damaged: bool) -> None:
        """Record that a packet went through the decoder."""
        if damaged:
            mark.damaged = True
            mark.begins = False
            if mark.referenced:
                self._span = _Span()
                self._refreshed_in = None

    def sound(self, frame: av.VideoFrame) -> bool:
        """Return whether a frame counts; frames come in the order of display."""
        mark = frame.opaque
        if not isinstance(mark, Coded):
            return self._span.begins and not frame.is_corrupt
        if frame.is_corrupt and not mark.damaged:
            self.decoded(mark, damaged=True)
        if mark.damaged:
            return False
        if mark.begins or (self._parser is None and frame.key_frame):
            mark.span.begins = mark.span.sound = True
        return mark.span.sound
