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
        self.losses = 0
        """Times that the source was lost."""

    def run(self, stop: threading.Event) -> None:
        """Analyse until `stop`; then close what is open."""
        while not stop.is_set():
            item = self._slot.take(IDLE_S)
            self._guard.expect("analysing a picture", DEADLINE_S)
            try:
                self._step(item)
            except InferenceError as error:
                self.errors += 1
                self._status.wrong("inference", str(error))
            except Exception:
                # One picture in a million must not end the camera; it is counted and its trace is logged.
                self.errors += 1
                log.exception("a picture could not be analysed")
            self._guard.rest()
        self._analyser.lost(CloseReason.SHUTDOWN)

    def _step(self, item: Picture | Lost | Woken | None) -> None:
        analyser, status = self._analyser, self._status
        if item is None:
            analyser.idle(time.monotonic())
        elif isinstance(item, Woken):
            analyser.collect()
            status.wrong("inference", analyser.taker.trouble)
        elif isinstance(item, Lost):
            self.losses += 1
            analyser.lost(CloseReason.SOURCE_LOST)
        else:
            latency = analyser.picture(item)
            if latency is None:
                return
            status.analysed(latency)
            status.wrong("inference", analyser.taker.trouble)
            status.inference_endpoint = analyser.endpoint
            status.fitness(*analyser.fitness.verdict())
