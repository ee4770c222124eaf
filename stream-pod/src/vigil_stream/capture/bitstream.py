"""The head of a coded frame: whether it needs frames that are missing, and whether decoding can begin there.

FFmpeg conceals a missing reference of H.264 without a word, and takes the first frame of a gradual refresh for a
keyframe. Both stand in the few bytes before the first slice; nothing behind them is read. The tables named below are
those of ITU-T H.264 and H.265.
"""

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from typing import Final, Protocol

from vigil_stream.capture.bits import Bits, BitsEndedError

_HEAD: Final = 96
"""Bytes of a slice that are read: more than its head needs."""

_UNIT: Final = 4096
"""Bytes of a unit that are read: parameter sets and messages are shorter."""

_HIGH_PROFILES: Final = frozenset({100, 110, 122, 244, 44, 83, 86, 118, 128, 138, 139, 134, 135})
_RECOVERY_POINT: Final = 6
"""The payload type of the SEI message `recovery_point` (H.264 D.1, H.265 D.2)."""


@dataclass(frozen=True, slots=True)
class CodedFrame:
    """The properties of a coded frame.

    Attributes
    ----------
    refresh
        Frames after which decoding that began here is sound: 0 for a keyframe, more for a gradual refresh, None
        where it cannot begin.
    gap
        A frame that others refer to is missing before this one.
    cut
        Its own beginning is missing.
    referenced
        Later frames may refer to it.
    intra
        Its first slice refers to no other frame.
    """

    refresh: int | None = None
    gap: bool = False
    cut: bool = False
    referenced: bool = True
    intra: bool = False


class Parser(Protocol):
    """Reads the heads of the coded frames of one stream, in the order of decoding."""

    def read(self, data: bytes) -> CodedFrame | None:
        """Return the properties of the next coded frame; None when it holds no slice."""


def parser(codec: str, extradata: bytes | None) -> Parser | None:
    """Return the parser of a codec, by FFmpeg's name of it; None for one without."""
    if codec == "h264":
        return H264Parser(extradata or b"")
    return HevcParser(extradata or b"") if codec == "hevc" else None


class _Units:
    """Splits packets into NAL units: after start codes (annex B), or with their lengths before them (ISO 14496-15)."""

    def __init__(self, length_bytes: int) -> None:
        self._length_bytes = length_bytes

    def split(self, data: bytes) -> Iterator[bytes]:
        """Yield the units with their headers, each cut to what is read of it."""
        return self._by_length(data) if self._length_bytes else _by_start_code(data)

    def _by_length(self, data: bytes) -> Iterator[bytes]:
        at, size = 0, self._length_bytes
        while at + size < len(data):
            length = int.from_bytes(data[at : at + size], "big")
            yield data[at + size : at + size + min(length, _UNIT)]
            at += size + length


def _by_start_code(data: bytes) -> Iterator[bytes]:
    at = data.find(b"\0\0\1")
    while at >= 0:
        begin = at + 3
        # The next unit is looked for only when it is asked for: none is behind the first slice.
        head = data[begin : begin + _UNIT]
        end = head.find(b"\0\0\1")
        yield head if end < 0 else head[:end]
        at = data.find(b"\0\0\1", begin)


def _recovery_point(payload: bytes) -> Bits | None:
    """Return the content of the message `recovery_point` of an SEI unit (7.3.2.3); None when there is none."""
    payload, at = payload.replace(b"\0\0\3", b"\0\0"), 0
    while at + 2 <= len(payload) and payload[at] != 0x80:
        kind = size = 0
        while at < len(payload) and payload[at] == 0xFF:
            kind, at = kind + 255, at + 1
        kind, at = kind + payload[at], at + 1
        while at < len(payload) and payload[at] == 0xFF:
            size, at = size + 255, at + 1
        if at >= len(payload):
            return None
        size, at = size + payload[at], at + 1
        if kind == _RECOVERY_POINT:
            return Bits(payload[at : at + size])
        at += size
    return None


@dataclass(frozen=True, slots=True)
class _Sequence:
    """The parts of a sequence parameter set that the head of a slice depends on."""

    frame_num_bits: int
    gaps_allowed: bool
    separate_planes: bool


class H264Parser:
    """Follows `frame_num`, which counts the frames that others refer to (7.4.3).

    Parameters
    ----------
    extradata
        As FFmpeg keeps it: parameter sets after start codes, or an `avcC` box.
    """

    def __init__(self, extradata: bytes) -> None:
        boxed = len(extradata) > 6 and extradata[0] == 1
        self._units = _Units((extradata[4] & 3) + 1 if boxed else 0)
        self._sequences: dict[int, _Sequence] = {}
        self._sequence_of: dict[int, int] = {}
        self._last_reference: int | None = None
        for unit in _units_of_avcc(extradata) if boxed else _by_start_code(extradata):
            self._set_parameters(unit)

    def read(self, data: bytes) -> CodedFrame | None:
        """Return the properties of the next coded frame."""
        refresh: int | None = None
        for unit in self._units.split(data):
            kind = unit[0] & 31 if unit else 0
            try:
                if kind == 6 and (point := _recovery_point(unit[1:])) is not None:
                    refresh = point.ue()
                elif kind in {1, 2, 5}:
                    return self._slice(unit, refresh)
                else:
                    self._set_parameters(unit)
            except BitsEndedError:
                return CodedFrame(cut=True)
        return None

    def _set_parameters(self, unit: bytes) -> None:
        kind = unit[0] & 31 if unit else 0
        # One that is cut changes nothing: the decoder refuses it too, and reports what it misses then.
        with suppress(BitsEndedError):
            if kind == 7:
                number, sequence = _sequence(Bits(unit[1:]))
                self._sequences[number] = sequence
            elif kind == 8:
                bits = Bits(unit[1:_HEAD])
                number = bits.ue()
                self._sequence_of[number] = bits.ue()

    def _slice(self, unit: bytes, refresh: int | None) -> CodedFrame:
        """Read the head of a frame's first slice (7.3.3)."""
        instant, referenced = unit[0] & 31 == 5, bool(unit[0] & 0x60)
        bits = Bits(unit[1:_HEAD])
        first, intra = bits.ue(), bits.ue() % 5 in {2, 4}
        sequence = self._sequences.get(self._sequence_of.get(bits.ue(), -1))
        gap = False
        if sequence is not None:
            if sequence.separate_planes:
                bits.u(2)
            number = bits.u(sequence.frame_num_bits)
            gap = not instant and not self._follows(number, sequence)
            self._last_reference = number if referenced else (number - 1) % (1 << sequence.frame_num_bits)
        # A frame begins with its first macroblock; slices in any order (baseline profile) are not known of cameras.
        return CodedFrame(0 if instant else refresh, gap, first > 0, referenced, intra)

    def _follows(self, number: int, sequence: _Sequence) -> bool:
        """Return whether no frame is missing between the last one that others refer to and this one."""
        last = self._last_reference
        if last is None or sequence.gaps_allowed:
            return True
        return number in {last, (last + 1) % (1 << sequence.frame_num_bits)}


def _units_of_avcc(box: bytes) -> Iterator[bytes]:
    """Yield the parameter sets of an `avcC` box (ISO 14496-15, 5.3.3.1)."""
    at = 5
    for mask in (0x1F, 0xFF):
        if at >= len(box):
            return
        count, at = box[at] & mask, at + 1
        for _ in range(count):
            length = int.from_bytes(box[at : at + 2], "big")
            yield box[at + 2 : at + 2 + length]
            at += 2 + length


def _sequence(bits: Bits) -> tuple[int, _Sequence]:
    """Read a sequence parameter set up to `gaps_in_frame_num_value_allowed_flag` (7.3.2.1.1)."""
    profile = bits.u(8)
    bits.u(16)
    number, separate_planes = bits.ue(), False
    if profile in _HIGH_PROFILES:
        separate_planes = _skip_high_profile(bits)
    frame_num_bits = bits.ue() + 4
    order = bits.ue()
    if order == 0:
        bits.ue()
    elif order == 1:
        bits.u(1)
        bits.se()
        bits.se()
        for _ in range(bits.ue()):
            bits.se()
    bits.ue()
    return number, _Sequence(frame_num_bits, bool(bits.u(1)), separate_planes)


def _skip_high_profile(bits: Bits) -> bool:
    """Skip chroma format, depths and scaling lists; return `separate_colour_plane_flag`."""
    chroma = bits.ue()
    separate = chroma == 3 and bool(bits.u(1))
    bits.ue()
    bits.ue()
    bits.u(1)
    if bits.u(1):
        for index in range(12 if chroma == 3 else 8):
            if bits.u(1):
                _skip_scaling_list(bits, 16 if index < 6 else 64)
    return separate


def _skip_scaling_list(bits: Bits, size: int) -> None:
    last = following = 8
    for _ in range(size):
        if following:
            following = (last + bits.se()) % 256
        last = following or last


class HevcParser:
    """Finds where decoding can begin. FFmpeg itself reports a missing reference of H.265.

    Parameters
    ----------
    extradata
        As FFmpeg keeps it: parameter sets after start codes, or an `hvcC` box.
    """

    def __init__(self, extradata: bytes) -> None:
        boxed = len(extradata) > 22 and extradata[0] == 1
        self._units = _Units((extradata[21] & 3) + 1 if boxed else 0)

    def read(self, data: bytes) -> CodedFrame | None:
        """Return the properties of the next coded frame."""
        refresh: int | None = None
        for unit in self._units.split(data):
            kind = unit[0] >> 1 & 63 if len(unit) > 2 else 63
            if kind == 39 and (point := _recovery_point(unit[2:])) is not None:
                refresh = max(point.se(), 0)
            elif kind < 32:
                # Table 7-1: 16 to 23 refer to no other frame. Which ones nothing refers to depends on the layers.
                alone = 16 <= kind <= 23
                return CodedFrame(0 if alone else refresh, cut=not unit[2] & 0x80, intra=alone)
        return None
