"""The analysis thread: takes pictures from the slot until told to stop, and survives whatever one of them does."""

import logging
import threading
import time

from vigil_contracts.events import CloseReason
from vigil_stream.analyser import Analyser
from vigil_stream.capture.slot import Lost, Picture, Slot, Woken
from vigil_stream.capture.source import Guard
from vigil_stream.status import Status
from vigil_vision.triton import InferenceError

log = logging.getLogger(__name__)

DEADLINE_S = 30.0
"""For one picture: inference may take 2 s and 2 s, a slow disk some more."""

IDLE_S = 0.5


class AnalysisLoop:
    """Runs the analyser.

    Parameters
    ----------
    analyser
        What is done with a picture.
    slot
        Where pictures come from.
    status
        Is told how it goes.
    guard
        Is told before each picture.
    """

    def __init__(self, analyser: Analyser, slot: Slot, status: Status, guard: Guard) -> None:
        self._analyser = analyser
        self._slot = slot
        self._status = status
        self._guard = guard
        self.errors = 0
        """Pictures that could not be analysed."""
        self.given_up = False
        """The process ends and inference is closed; what fails by that is no failure."""
        self.losses = 0
        """Times that the source was lost; the end of a file is none."""
        self._detection_trouble = ""
        self._idled_at = float("-inf")

    def run(self, stop: threading.Event) -> None:
        """Analyse until `stop`; then close what is open."""
        while not stop.is_set():
            item = self._slot.take(IDLE_S)
            self._guard.expect("analysing a picture", DEADLINE_S)
            try:
                self._step(item)
            except InferenceError as error:
                if self.given_up:
                    log.debug("a picture is given up at the end: %s", error)
                    break
                self.errors += 1
                self._detection_trouble = str(error)
                self._tell_trouble()
            except Exception:
                # One picture in a million must not end the camera; it is counted and its trace is logged.
                self.errors += 1
                log.exception("a picture could not be analysed")
            self._guard.rest()
        self._analyser.lost(CloseReason.SHUTDOWN)

    def _step(self, item: Picture | Lost | Woken | None) -> None:
        analyser, status = self._analyser, self._status
        now = time.monotonic()
        if now - self._idled_at >= IDLE_S:
            # Also while pictures keep coming: when none of them can be analysed, tracks must still go stale.
            self._idled_at = now
            analyser.idle(now)
        if item is None:
            return
        if isinstance(item, Woken):
            analyser.collect()
            self._tell_trouble()
        elif isinstance(item, Lost):
            self.losses += not item.ended
            analyser.lost(CloseReason.SOURCE_LOST)
            # Without pictures nothing is asked of inference, so an old failure would be told for ever.
            analyser.taker.forget()
            self._detection_trouble = ""
            self._tell_trouble()
        else:
            latency = analyser.picture(item)
            if latency is None:
                return
            status.analysed(latency)
            self._detection_trouble = ""
            self._tell_trouble()
            status.inference_endpoint = analyser.endpoint
            status.fitness(*analyser.fitness.verdict())

    def _tell_trouble(self) -> None:
        self._status.detection_trouble = self._detection_trouble
        self._status.wrong("inference", self._detection_trouble or self._analyser.taker.trouble)
