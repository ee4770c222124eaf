"""FFmpeg's own messages, as far as they report that something is missing.

A lost RTP packet and a missing reference show nowhere else. FFmpeg's messages may hold addresses with passwords: they
are read here and go no further.
"""

import logging
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Final

import av

_LOG: Final = logging.getLogger("libav")

_LOST: Final = ("RTP: missed", "RTP: dropping old packet", "Continuity check failed", "PES packet size mismatch")
"""Messages of `rtpdec.c` and `mpegts.c`: packets of the transport are missing or came too late."""

_DAMAGED: Final = (
    "concealing ",  # error_resilience.c
    "error while decoding MB",  # h264_cavlc.c, h264_slice.c
    "Could not find ref with POC",  # hevc/refs.c
    "Error constructing the frame RPS",
    "Skipping invalid undecodable NALU",  # hevc/hevcdec.c
    "The slice is cut",
    "Missing reference picture",  # h264_refs.c
    "reference picture missing during reorder",
    "damaged at",  # mpeg12dec.c, h263dec.c
    "Error at MB",
    "Invalid mb type",
    "invalid cbp",
)
"""Messages of the decoders: a frame was decoded in part, or from references that are not there."""


def reports_loss(messages: Iterable[str]) -> bool:
    """Return whether one of the messages reports that packets of the transport are missing."""
    return any(part in text for text in messages for part in _LOST)


class DecoderLog:
    """Collects the messages of the calls of one thread.

    Attributes
    ----------
    lost
        Packets of the transport were missing since `take_lost`.
    damaged
        The last call found damage.
    """

    def __init__(self) -> None:
        self.lost = self.damaged = False

    @contextmanager
    def reading(self) -> Iterator[None]:
        """Listen to the calls inside, on this thread."""
        self.damaged = False
        enable()
        with av.logging.Capture() as messages:
            try:
                yield
            finally:
                if messages:
                    texts = [text for _, _, text in messages]
                    self.lost |= reports_loss(texts)
                    self.damaged = any(part in text for text in texts for part in _DAMAGED)

    def take_lost(self) -> bool:
        """Return `lost` and reset it."""
        lost, self.lost = self.lost, False
        return lost


class _Listener(logging.Handler):
    """Hands the messages of one thread on as they come; those of other threads are not waited for."""

    def __init__(self, read: Callable[[str], None]) -> None:
        super().__init__()
        self._read = read
        self._thread = threading.get_ident()

    def handle(self, record: logging.LogRecord) -> bool:
        if record.thread == self._thread:
            self._read(record.getMessage())
        return True


@contextmanager
def listening(read: Callable[[str], None]) -> Iterator[None]:
    """Hand FFmpeg's messages of this thread on as they come; FFmpeg waits meanwhile."""
    enable()
    listener = _Listener(read)
    _LOG.addHandler(listener)
    try:
        yield
    finally:
        _LOG.removeHandler(listener)


def enable() -> None:
    """Turn FFmpeg's messages on, for those who listen on their own thread."""
    # The decoders log concealment at the level INFO.
    if av.logging.get_level() == av.logging.INFO:
        return
    # Messages that nothing listens to end here.
    _LOG.setLevel(logging.INFO)
    _LOG.propagate = False
    _LOG.addHandler(logging.NullHandler())
    av.logging.set_skip_repeated(False)
    av.logging.set_level(av.logging.INFO)
