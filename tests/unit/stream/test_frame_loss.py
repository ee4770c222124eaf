"""Lost frames are reported in words that stay the same while the loss does."""

import pytest

from vigil_contracts.events import CameraCounters
from vigil_stream.frame_loss import WINDOW_S, FrameLoss


def counters(captured: int, left_out: int = 0, undecoded: int = 0) -> CameraCounters:
    return CameraCounters(frames_captured=captured, frames_left_out=left_out, frames_undecoded=undecoded)


@pytest.mark.parametrize(
    ("captured", "left_out", "words"),
    [(100, 0, ""), (1000, 1, "some of"), (90, 10, "more than 5 %"), (70, 30, "more than 20 %"), (2, 98, "nearly all")],
)
def test_the_share_of_frames_left_out(captured: int, left_out: int, words: str) -> None:
    loss = FrameLoss()
    loss.message(counters(5000, 4000), 0.0)
    message = loss.message(counters(5000 + captured, 4000 + left_out), 10.0)
    assert message.startswith(words)
    assert bool(message) == bool(words)


def test_a_loss_that_is_over_is_forgotten() -> None:
    loss = FrameLoss()
    loss.message(counters(0), 0.0)
    assert loss.message(counters(50, 50), 2.0)
    for n in range(2, 40):
        message = loss.message(counters(50 * n, 50), 2.0 * n)
    assert WINDOW_S + 2 < 2.0 * 39
    assert not message


def test_a_slow_decoder_is_named() -> None:
    loss = FrameLoss()
    loss.message(counters(0), 0.0)
    assert "decoding is slower than the stream" in loss.message(counters(50, 0, 50), 2.0)
