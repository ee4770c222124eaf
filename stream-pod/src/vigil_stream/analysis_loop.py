"""The analysis thread: takes frames from the slot until stopped, and survives an error in any of them."""

import logging
import threading
import time
from typing import Final

from vigil_contracts.events import CloseReason
from vigil_stream.capture.slot import Frame, ResultsReady, Slot, SourceLost
from vigil_stream.capture.source import Watchdog
from vigil_stream.frame_pipeline import FramePipeline
from vigil_stream.status import Status
from vigil_vision.triton import InferenceError

log = logging.getLogger(__name__)

DEADLINE_S: Final = 30.0
"""For one frame: inference may take 2 s and 2 s, a slow disk some more."""

IDLE_S: Final = 0.5


class AnalysisLoop:
    """Runs the frame pipeline.

    Parameters
    ----------
    slot
        Where frames come from.
    status
        Receives the state of the analysis.
    watchdog
        Armed before each frame.
    """

    def __init__(self, pipeline: FramePipeline, slot: Slot, status: Status, watchdog: Watchdog) -> None:
        self._pipeline = pipeline
        self._slot = slot
        self._status = status
        self._watchdog = watchdog
        self.errors = 0
        """Frames that could not be analysed."""
        self.inference_abandoned = False
        """Whether the process ends and inference is closed; an error that follows from it does not count."""
        self.losses = 0
        """Losses of the source; the end of a file is none."""
        self._detection_error = ""
        self._idled_at = float("-inf")

    def run(self, stop: threading.Event) -> None:
        """Analyse until `stop`; then close what is open."""
        while not stop.is_set():
            item = self._slot.take(IDLE_S)
            self._watchdog.arm("the analysis of a frame", DEADLINE_S)
            try:
                self._step(item)
            except InferenceError as error:
                if self.inference_abandoned:
                    log.debug("frame abandoned at the end", extra={"fields": {"reason": str(error)}})
                    break
                self.errors += 1
                self._report_error(str(error))
            except Exception:
                # One frame in a million must not end the camera; it is counted and its traceback is logged.
                self.errors += 1
                log.exception("a frame could not be analysed")
            self._watchdog.disarm()
        self._pipeline.end_all(CloseReason.SHUTDOWN)

    def _step(self, item: Frame | SourceLost | ResultsReady | None) -> None:
        pipeline, status = self._pipeline, self._status
        now = time.monotonic()
        if now - self._idled_at >= IDLE_S:
            # Also while frames keep coming: when none of them can be analysed, tracks must still go stale.
            self._idled_at = now
            pipeline.idle(now)
        if item is None:
            return
        if isinstance(item, ResultsReady):
            pipeline.collect()
            self._report_error(self._detection_error)
        elif isinstance(item, SourceLost):
            self.losses += not item.ended
            pipeline.end_all(CloseReason.SOURCE_LOST)
            # Without frames nothing is requested, so an old error would be reported for ever.
            self._report_error("")
        else:
            latency = pipeline.process(item)
            if latency is None:
                return
            status.analysed(latency)
            self._report_error("")
            status.inference_endpoint = pipeline.endpoint

    def _report_error(self, detection_error: str) -> None:
        self._detection_error = self._status.detection_error = detection_error
        self._status.set_error("inference", detection_error or self._pipeline.error)
