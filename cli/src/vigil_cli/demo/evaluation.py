"""Recognised names, compared with the ground truth; pure."""

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

KNOWN, UNKNOWN = "KNOWN", "UNKNOWN"


@dataclass(frozen=True, slots=True)
class GroundTruth:
    """The people on each camera.

    Attributes
    ----------
    enrolled
        Display name by key of each Subject.
    strangers
        Display name by key of each person who appears and is not enrolled.
    cameras
        Keys of all who appear, by camera.
    """

    enrolled: Mapping[str, str]
    strangers: Mapping[str, str]
    cameras: Mapping[str, frozenset[str]]

    def shown_on(self, person: str) -> frozenset[str]:
        """Return the cameras on which a person appears."""
        return frozenset(camera for camera, people in self.cameras.items() if person in people)


@dataclass(frozen=True, slots=True)
class Identification:
    """One sighting of a camera that was matched to a Subject."""

    person: str
    name: str
    camera: str
    similarity: float
    after_s: float


@dataclass(frozen=True, slots=True)
class PersonResult:
    """The recognitions of one enrolled person.

    Attributes
    ----------
    first_s
        Seconds from the start to the first recognition; None: never.
    """

    name: str
    shown_on: frozenset[str]
    recognised_on: frozenset[str]
    best: float | None
    first_s: float | None


@dataclass(frozen=True, slots=True)
class Evaluation:
    """The result of a run.

    Attributes
    ----------
    unknown
        Sightings that stayed unknown, by camera.
    problems
        The reasons of a failed run, one sentence each; empty: it passed.
    """

    rows: tuple[PersonResult, ...]
    unknown: Mapping[str, int]
    problems: tuple[str, ...]

    @property
    def passed(self) -> bool:
        """Whether all enrolled people were recognised and no other name appeared."""
        return not self.problems

    @property
    def first_s(self) -> float | None:
        """Seconds from the start to the first recognition."""
        return min((row.first_s for row in self.rows if row.first_s is not None), default=None)


@dataclass(slots=True)
class Evaluator:
    """Collects the events of a run.

    Attributes
    ----------
    since
        Sightings that opened before belong to an earlier run and do not count.
    """

    truth: GroundTruth
    since: dt.datetime
    identifications: list[Identification] = field(default_factory=list)
    _newest: dict[str, tuple[str, str]] = field(default_factory=dict)

    def add_event(self, event: Mapping[str, Any], after_s: float) -> None:
        """Add an event of the sightings subscription.

        Parameters
        ----------
        after_s
            Seconds from the start to now.
        """
        sighting, identity = event["sighting"], event["identity"]
        if event["superseded"] or dt.datetime.fromisoformat(sighting["openedAt"]) < self.since:
            return
        camera = sighting["camera"]["name"]
        self._newest[sighting["id"]] = camera, identity["status"]
        subject = identity["subject"]
        if identity["status"] == KNOWN and subject is not None:
            similarity = float(identity["similarity"] or 0.0)
            found = Identification(subject["name"], subject["displayName"], camera, similarity, after_s)
            self.identifications.append(found)

    @property
    def recognised(self) -> frozenset[str]:
        """Keys of the people who were recognised on a camera on which they appear."""
        return frozenset(found.person for found in self.identifications if self._is_correct(found))

    def evaluate(self) -> Evaluation:
        """Return the result so far."""
        rows = {key: self._result(key) for key in self.truth.enrolled}
        unknown: dict[str, int] = {}
        for camera, status in self._newest.values():
            if status == UNKNOWN:
                unknown[camera] = unknown.get(camera, 0) + 1
        problems = [f"{row.name} was not recognised" for row in rows.values() if row.first_s is None]
        problems += self._false_identifications()
        problems += self._missed_strangers(unknown)
        return Evaluation(tuple(rows.values()), unknown, tuple(problems))

    def _is_correct(self, found: Identification) -> bool:
        return found.person in self.truth.cameras.get(found.camera, frozenset())

    def _result(self, key: str) -> PersonResult:
        correct = [found for found in self.identifications if found.person == key and self._is_correct(found)]
        return PersonResult(
            self.truth.enrolled[key],
            self.truth.shown_on(key),
            frozenset(found.camera for found in correct),
            max((found.similarity for found in correct), default=None),
            min((found.after_s for found in correct), default=None),
        )

    def _false_identifications(self) -> list[str]:
        worst: dict[tuple[str, str], float] = {}
        for found in self.identifications:
            if not self._is_correct(found):
                key = found.name, found.camera
                worst[key] = max(worst.get(key, found.similarity), found.similarity)
        return [
            f"{name} was named on {camera}, where {name} never is (similarity {similarity:.2f})"
            for (name, camera), similarity in worst.items()
        ]

    def _missed_strangers(self, unknown: Mapping[str, int]) -> list[str]:
        """Return the cameras on which no stranger stayed unknown: not seen, or matched to another person there."""
        problems = []
        for camera, people in self.truth.cameras.items():
            strangers = [self.truth.strangers[key] for key in sorted(people) if key in self.truth.strangers]
            if strangers and not unknown.get(camera):
                problems.append(f"no sighting stayed unknown on {camera}, where {' and '.join(strangers)} passed")
        return problems
