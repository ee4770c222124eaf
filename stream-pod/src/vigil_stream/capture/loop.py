"""The capture thread: open, read, and open again, for ever."""

import logging
import threading
import time
from collections.abc import Callable
from typing import Protocol

from vigil_contracts.conditions import SourceReason
from vigil_runtime.backoff import Backoff
from vigil_stream.capture.errors import SourceError
from vigil_stream.capture.frozen import FROZEN_AFTER_S, FrozenDetector
from vigil_stream.capture.luma import LumaReader
from vigil_stream.capture.slot import Picture, Slot
from vigil_stream.capture.source import Guard, Sampler, Source, SourceInfo

log = logging.getLogger(__name__)

STEADY_AFTER_S = 30.0
"""A source that gave pictures for so long is sound: after its next failure the shortest wait comes first again."""


class Listener(Protocol):
    """Who wants to know how the source is doing; called from the capture thread."""

    def connecting(self) -> None:
        """Note that an attempt begins."""

    def connected(self, info: SourceInfo) -> None:
        """Note that the source was opened."""

    def picture(self, width: int, height: int, captured_at: float) -> None:
        """Note a picture that was chosen for analysis; pixels, and seconds since the epoch."""

    def lost(self, error: SourceError, retry_in_s: float) -> None:
        """Note that the source gives nothing; the next attempt comes in so many seconds."""

    def ended(self) -> None:
        """Note that a file came to its end; nothing follows."""


class CaptureLoop:
    """Runs one source.

    Parameters
    ----------
    make
        Makes a fresh source for every attempt; may raise SourceError.
    live
        A real camera, whose picture can freeze; not a file.
    """

    def __init__(
        self, make: Callable[[], Source], slot: Slot, listener: Listener, sampler: Sampler, guard: Guard, *, live: bool
    ) -> None:
        self._make = make
        self._slot = slot
        self._listener = listener
        self._sampler = sampler
        self._guard = guard
        self._live = live
        self._luma = LumaReader()
        self._backoff = Backoff()

    def run(self, stop: threading.Event) -> None:
        """Capture until `stop`, or until a file has ended."""
        while not stop.is_set():
            try:
                self._session(stop)
            except SourceError as error:
                self._failed(error, stop)
            except Exception as error:
                # Whatever a codec library or a camera thinks of: the camera is tried again, and the cause is told.
                log.exception("capture failed in an unforeseen way")
                told = f"capture failed in an unforeseen way ({type(error).__name__}); the log has the details"
                self._failed(SourceError(SourceReason.FAILED, told), stop)
            else:
                if not stop.is_set():
                    self._slot.lose(ended=True)
                    self._listener.ended()
                return

    def _failed(self, error: SourceError, stop: threading.Event) -> None:
        if stop.is_set():
            # Whatever broke off, broke off because it was told to end.
            return
        wait_s = self._backoff.next_s()
        self._slot.lose()
        self._listener.lost(error, wait_s)
        stop.wait(wait_s)

    def _session(self, stop: threading.Event) -> None:
        self._listener.connecting()
        source = self._make()
        try:
            self._listener.connected(source.open())
            self._read(source, stop)
        finally:
            source.close()
            self._guard.rest()

    def _read(self, source: Source, stop: threading.Event) -> None:
        sampler, frozen = self._sampler, FrozenDetector() if self._live else None
        sampler.restart()
        since = time.monotonic()
        for frame in source.frames(sampler, frozen):
            if stop.is_set():
                return
            now, captured_at = time.monotonic(), time.time()
            luma = self._luma.read(frame)
            if frozen is not None:
                _look(frozen, luma.fingerprint, now)
            cut, sampler.cut = sampler.cut, False
            self._listener.picture(frame.width, frame.height, captured_at)
            self._slot.put(Picture(frame, luma, captured_at, now, cut))
            if now - since > STEADY_AFTER_S:
                self._backoff.reset()


def _look(frozen: FrozenDetector, fingerprint: int, at: float) -> None:
    frozen.picture(fingerprint, at)
    if frozen.frozen(at):
        told = (
            f"the picture has not changed for {FROZEN_AFTER_S:g} s, or has only repeated itself; check the camera, or "
            "restart it"
        )
        raise SourceError(SourceReason.FROZEN, told)
