"""An observer that keeps what is reported."""

import threading

from vigil_contracts.conditions import FitnessReason
from vigil_stream.observer import Part


class Recorder:
    """Keeps the errors of each part in order, and the last fitness."""

    def __init__(self) -> None:
        self.errors: dict[str, list[str]] = {"bus": [], "counters": [], "inference": [], "journal": []}
        self.fitness = (FitnessReason.NO_FACES_YET, "")
        self.recorded = 0
        self.ready = threading.Event()

    def set_error(self, part: Part, message: str) -> None:
        self.errors[part].append(message)

    def observe_duration(self, stage: str, seconds: float) -> None:
        pass

    def set_fitness(self, reason: FitnessReason, message: str) -> None:
        self.fitness = (reason, message)

    def events_recorded(self) -> None:
        self.recorded += 1

    def results_ready(self) -> None:
        self.ready.set()
