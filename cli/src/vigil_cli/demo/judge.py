"""Who was named where, held against the ground truth; pure."""

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

KNOWN, UNKNOWN = "Known", "Unknown"


@dataclass(frozen=True, slots=True)
class Truth:
    """What is so.

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
        """Name the cameras on which somebody appears."""
        return frozenset(camera for camera, people in self.cameras.items() if person in people)


@dataclass(frozen=True, slots=True)
class Naming:
    """One camera's sighting was said to be somebody."""

    person: str
    name: str
    camera: str
    similarity: float
    after_s: float


@dataclass(frozen=True, slots=True)
class Row:
    """What became of one enrolled person.

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
class Verdict:
    """The outcome.

    Attributes
    ----------
    unknown
        Sightings that stayed unknown, by camera.
    problems
        Why it is a failure, a sentence each; none: all is well.
    """

    rows: tuple[Row, ...]
    unknown: Mapping[str, int]
    problems: tuple[str, ...]

    @property
    def passed(self) -> bool:
        """Whether everybody enrolled was recognised and nobody else was named."""
        return not self.problems

    @property
    def first_s(self) -> float | None:
        """Seconds from the start to the first recognition of anybody."""
        return min((row.first_s for row in self.rows if row.first_s is not None), default=None)


@dataclass(slots=True)
class Judge:
    """Hears every event of a run.

    Attributes
    ----------
    since
        Sightings that opened before are of an earlier run and do not count.
    """

    truth: Truth
    since: dt.datetime
    namings: list[Naming] = field(default_factory=list)
    _newest: dict[str, tuple[str, str]] = field(default_factory=dict)

    def hear(self, event: Mapping[str, Any], after_s: float) -> None:
        """Take in an event of the sightings subscription.

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
            self.namings.append(Naming(subject["name"], subject["displayName"], camera, similarity, after_s))

    @property
    def recognised(self) -> frozenset[str]:
        """Keys of all who were named on a camera on which they appear."""
        return frozenset(naming.person for naming in self.namings if self._is_right(naming))

    def verdict(self) -> Verdict:
        """Give the outcome so far."""
        rows = {key: self._row(key) for key in self.truth.enrolled}
        unknown: dict[str, int] = {}
        for camera, status in self._newest.values():
            if status == UNKNOWN:
                unknown[camera] = unknown.get(camera, 0) + 1
        problems = [f"{row.name} was not recognised" for row in rows.values() if row.first_s is None]
        problems += self._wrongly_named()
        problems += self._strangers_not_seen(unknown)
        return Verdict(tuple(rows.values()), unknown, tuple(problems))

    def _is_right(self, naming: Naming) -> bool:
        return naming.person in self.truth.cameras.get(naming.camera, frozenset())

    def _row(self, key: str) -> Row:
        right = [naming for naming in self.namings if naming.person == key and self._is_right(naming)]
        return Row(
            self.truth.enrolled[key],
            self.truth.shown_on(key),
            frozenset(naming.camera for naming in right),
            max((naming.similarity for naming in right), default=None),
            min((naming.after_s for naming in right), default=None),
        )

    def _wrongly_named(self) -> list[str]:
        wrong: dict[tuple[str, str], Naming] = {}
        for naming in self.namings:
            if not self._is_right(naming):
                best = wrong.get((naming.name, naming.camera), naming)
                wrong[naming.name, naming.camera] = max(best, naming, key=lambda one: one.similarity)
        return [
            f"{name} was named on {camera}, where {name} never is (similarity {naming.similarity:.2f})"
            for (name, camera), naming in wrong.items()
        ]

    def _strangers_not_seen(self, unknown: Mapping[str, int]) -> list[str]:
        """Say where a stranger was not noticed as such: not seen, or taken for somebody who appears there too."""
        problems = []
        for camera, people in self.truth.cameras.items():
            strangers = [self.truth.strangers[key] for key in sorted(people) if key in self.truth.strangers]
            if strangers and not unknown.get(camera):
                problems.append(f"nobody was unknown on {camera}, where {' and '.join(strangers)} passed")
        return problems
