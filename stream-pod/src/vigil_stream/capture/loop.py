"""The capture thread: open, read, and open again, for ever."""

import logging
import threading
import time
from collections.abc import Callable
from typing import Protocol

import av

from vigil_contracts.conditions import SourceReason
from vigil_stream.capture.convert import Converter
from vigil_stream.capture.errors import SourceError
from vigil_stream.capture.frozen import FROZEN_AFTER_S, FrozenDetector
from vigil_stream.capture.liveness import Liveness
from vigil_stream.capture.luma import LumaReader, fingerprint
from vigil_stream.capture.retries import Retries
from vigil_stream.capture.slot import Frame, Slot
from vigil_stream.capture.source import Sampler, Source, SourceInfo, Watchdog
from vigil_stream.capture.upright import Upright

log = logging.getLogger(__name__)

_FROZEN = (
    f"the video has not changed for {FROZEN_AFTER_S:g} s or more, or has only repeated itself; a dark or still scene "
    "without noise looks the same: move something before the camera, and restart it when that changes nothing; Vigil "
    "goes on reading"
)


class SourceObserver(Protocol):
    """Receives the state of the source; called from the capture thread."""

    def connecting(self) -> None:
        """Report that an attempt begins."""

    def connected(self, info: SourceInfo) -> None:
        """Report that the source was opened."""

    def frame_captured(self, width: int, height: int, captured_at: float) -> None:
        """Report a frame that was sampled for analysis; pixels, and seconds since the epoch."""

    def lost(self, error: SourceError, retry_in_s: float) -> None:
        """Report that the source is lost; the next attempt comes in so many seconds."""

    def ended(self) -> None:
        """Report that a file came to its end; nothing follows."""


class CaptureLoop:
    """Runs one source.

    Parameters
    ----------
    make
        Returns a fresh source for every attempt; may raise SourceError.
    live
        A real camera, whose video can freeze; not a file.
    upright
        Turns frames upright, before masks and all that follows.
    masked
        Returns a frame in memory with black where a privacy mask covers it; called before anything else sees the frame.
    liveness
        Receives the report of frozen video.
    retries
        Decides when the source is opened again.
    """

    def __init__(  # noqa: PLR0913 - all that the thread works with
        self,
        make: Callable[[], Source],
        slot: Slot,
        observer: SourceObserver,
        sampler: Sampler,
        watchdog: Watchdog,
        *,
        live: bool,
        upright: Upright | None = None,
        masked: Callable[[av.VideoFrame], av.VideoFrame] | None = None,
        liveness: Liveness | None = None,
        retries: Retries | None = None,
    ) -> None:
        self._make = make
        self._slot = slot
        self._observer = observer
        self._sampler = sampler
        self._watchdog = watchdog
        self._live = live
        self._upright = upright or Upright()
        self._masked = masked
        self._converter = Converter()
        self._liveness = liveness or Liveness()
        self._luma = LumaReader()
        self._retries = retries or Retries()

    def run(self, stop: threading.Event) -> None:
        """Capture until `stop`, or until a file has ended."""
        while not stop.is_set():
            try:
                self._session(stop)
            except SourceError as error:
                self._failed(error, stop)
            except Exception as error:
                # An unforeseen error of a codec library must not end the camera: it is tried again.
                log.exception("capture failed with an unforeseen error")
                message = f"capture failed with an unforeseen error ({type(error).__name__}); the log has the details"
                self._failed(SourceError(SourceReason.FAILED, message), stop)
            else:
                if not stop.is_set():
                    self._slot.lose(ended=True)
                    self._observer.ended()
                return

    def _failed(self, error: SourceError, stop: threading.Event) -> None:
        if stop.is_set():
            # The source broke off because the process ends.
            return
        reported, wait_s = self._retries.fail(error)
        self._slot.lose()
        self._observer.lost(reported, wait_s)
        self._retries.wait(wait_s, stop)

    def _session(self, stop: threading.Event) -> None:
        self._observer.connecting()
        self._retries.begin()
        source = self._make()
        try:
            self._observer.connected(source.open())
            self._read(source, stop)
        finally:
            source.close()
            self._watchdog.disarm()

    def _read(self, source: Source, stop: threading.Event) -> None:
        sampler, frozen = self._sampler, FrozenDetector() if self._live else None
        sampler.restart()
        self._upright.begin()
        was_frozen = False
        for sampled in source.frames(sampler, frozen):
            if stop.is_set():
                return
            now, captured_at = time.monotonic(), time.time()
            frame, unmasked = self._with_mask(self._upright.apply(sampled, sampler.aspect))
            luma = self._luma.read(frame)
            if frozen is not None:
                frozen.add_decoded(luma.fingerprint if unmasked is None else unmasked, now)
                if unmasked is not None:
                    frozen.add_masked(luma.fingerprint, now)
                was_frozen = self._report_frozen(frozen.frozen(now), was_frozen)
            cut, sampler.cut = sampler.cut, False
            self._observer.frame_captured(frame.width, frame.height, captured_at)
            self._slot.put(Frame(frame, luma, captured_at, now, cut))
            self._retries.succeed()

    def _with_mask(self, frame: av.VideoFrame) -> tuple[av.VideoFrame, int | None]:
        """Return a frame with black where it is masked, and the fingerprint that it had before if it has another one.

        Frozen video is searched for in both: a clock that the camera draws into it may hide it unless it is masked.
        """
        if self._masked is None:
            return frame, None
        frame = self._converter.in_memory(frame)
        before = fingerprint(frame)
        return self._masked(frame), before

    def _report_frozen(self, is_frozen: bool, was_frozen: bool) -> bool:
        """Report a change; the source is read on, because a dark or still scene looks the same."""
        if is_frozen and not was_frozen:
            self._liveness.notice(SourceReason.FROZEN, _FROZEN)
        elif was_frozen and not is_frozen:
            self._liveness.notice(SourceReason.CONNECTED, "")
        return is_frozen
