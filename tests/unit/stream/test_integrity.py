"""A damaged frame is no frame: nothing counts after damage until decoding began anew."""

from functools import cache
from typing import Any

import pytest
from tests.unit.stream import encoded
from tests.unit.stream.encoded import GOP, STREAMS, Change

from vigil_stream.capture.bitstream import CodedFrame, H264Parser, HevcParser

SAME_DB = 38
"""Above it, frames are equal for the eye and for an embedder."""


@cache
def packets(stream: str) -> list[Any]:
    return encoded.encode(stream)


@pytest.mark.parametrize("stream", list(STREAMS))
def test_all_frames_of_a_sound_stream_count(stream: str) -> None:
    frames = encoded.decode(stream, packets(stream))
    assert [sound for _, sound, _ in frames] == [True] * len(packets(stream))


def lost(*numbers: int) -> Change:
    return lambda n, data: None if n in numbers else data


def cut(number: int) -> Change:
    return lambda n, data: data[: len(data) // 2] if n == number else data


def hole(number: int) -> Change:
    return lambda n, data: data[: len(data) // 3] + data[2 * len(data) // 3 :] if n == number else data


def without_slice(number: int, which: int) -> Change:
    def change(n: int, data: bytes) -> bytes:
        if n != number:
            return data
        units = data.split(b"\0\0\1")
        slices = [at for at, unit in enumerate(units) if unit and unit[0] & 31 in {1, 5}]
        del units[slices[which]]
        return b"\0\0\1".join(units)

    return change


LOSSES = [
    *(
        (stream, what, change)
        for stream in STREAMS
        for what, change in (
            ("one frame", lost(GOP + 5)),
            ("three frames", lost(GOP + 3, GOP + 4, GOP + 5)),
            ("a keyframe", lost(GOP)),
        )
    ),
    *(
        (stream, what, change)
        for stream in ("h264", "h264 in slices", "h264 baseline", "h264 with gradual refresh", "h265", "mpeg2")
        for what, change in (
            ("the end of a keyframe", cut(GOP)),
            ("the end of a frame", cut(GOP + 2)),
            ("the middle of a keyframe", hole(GOP)),
        )
    ),
    ("h264 in slices", "the first slice", without_slice(GOP + 2, 0)),
    ("h264 in slices", "a middle slice", without_slice(GOP + 2, 2)),
    ("h264 in slices", "the last slice of a keyframe", without_slice(GOP, -1)),
]


@pytest.mark.parametrize(("stream", "what", "change"), LOSSES, ids=[f"{stream}: {what}" for stream, what, _ in LOSSES])
def test_no_smeared_frame_counts_and_sound_ones_return(stream: str, what: str, change: Change) -> None:
    """Case lost-keyframe, over codecs and kinds of loss."""
    clean = {at: image for at, _, image in encoded.decode(stream, packets(stream))}
    frames = encoded.decode(stream, packets(stream), change)
    smeared = [(at, sound) for at, sound, image in frames if encoded.psnr(image, clean[at]) < SAME_DB]
    assert not [at for at, sound in smeared if sound], f"{what} was lost unnoticed"
    assert all(sound for at, sound, _ in frames if at < GOP - 4 or at >= 3 * GOP)


def test_b_frames_before_an_open_keyframe_do_not_count() -> None:
    """They come after it in the order of decoding and refer to frames before the loss."""
    stream = "h264 with open GOPs"
    sent = packets(stream)
    referenced = max(range(2, GOP - 2), key=lambda n: sent[n].size)
    frames = encoded.decode(stream, sent, lost(referenced))
    left_out = [at for at, sound, _ in frames if not sound]
    keyframes = [packet.pts for packet in sent if packet.is_keyframe]
    assert left_out
    assert max(left_out) + 1 in keyframes


def test_a_gradual_refresh_counts_at_its_end() -> None:
    stream = "h264 with gradual refresh"
    frames = encoded.decode(stream, packets(stream), lost(GOP + 2))
    left_out = [at for at, sound, _ in frames if not sound]
    assert left_out
    assert left_out == list(range(GOP + 3, max(left_out) + 1))
    assert max(left_out) < 4 * GOP - 1


@pytest.mark.parametrize("data", [b"", b"\0\0\1", b"\0\0\1\x65", b"\0\0\1\x67\x64", b"\0\0\0\1\x06\x06", b"junk" * 9])
def test_any_bytes_can_be_parsed(data: bytes) -> None:
    for parser in (H264Parser(b""), HevcParser(b""), H264Parser(b"\1\x64\0\x1f\xff\xe1\0\3\x67\x64\0\1\0")):
        assert isinstance(parser.read(data), CodedFrame | None)
