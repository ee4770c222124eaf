"""What a played scene means: who was named, joined, split or swallowed, by identity's own decision."""

import datetime as dt
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from bench.gate.models import LocalModels
from bench.gate.play import Played
from bench.gate.scenes import Scene
from vigil_contracts.events import IdentityStatus, Sighting
from vigil_contracts.resources.subject import ConsentStatus
from vigil_gateway.identity import decision
from vigil_gateway.services.model import Model
from vigil_gateway.storage.postgres.resource_rows import SubjectRow
from vigil_gateway.storage.qdrant.gallery import Neighbour, Neighbours

NAMESPACE = uuid.UUID(int=7)

PARTLY_S = 0.6
"""Seconds around the time that a person is hidden in which too little of the face is seen. One who was away for longer
than a track lives begins a second sighting, and rightly so."""


@dataclass(slots=True)
class Score:
    """Counts over scenes.

    Attributes
    ----------
    visits
        People who came.
    joined
        Sightings that hold more than one person at the end.
    split
        Sightings of one person beyond the first.
    wrongly_named
        Visits that a revision reported under another person's name, also if a later one corrected it.
    still_wrong
        Those that no later revision corrected.
    swallowed
        Enrolled people who came and were never named.
    embeddings
        Faces embedded.
    """

    visits: int = 0
    joined: int = 0
    split: int = 0
    wrongly_named: int = 0
    still_wrong: int = 0
    swallowed: int = 0
    embeddings: int = 0

    def add(self, other: "Score") -> None:
        """Add the counts of other scenes."""
        for name in self.__slots__:
            setattr(self, name, getattr(self, name) + getattr(other, name))


@dataclass(frozen=True, slots=True)
class Gallery:
    """The templates of the enrolled people, by name; searched exactly."""

    templates: Mapping[str, NDArray[np.float32]]
    model: Model
    subjects: dict[uuid.UUID, SubjectRow] = field(default_factory=dict)

    def search(self, vector: NDArray[np.float32]) -> Neighbours:
        """Return all people, nearest first."""
        near = [
            Neighbour(subject_id(name), float((vectors @ vector).max())) for name, vectors in self.templates.items()
        ]
        return Neighbours(tuple(sorted(near, key=lambda one: -one.similarity)), complete=True)


def subject_id(name: str) -> uuid.UUID:
    """Return the id of a person."""
    return uuid.uuid5(NAMESPACE, name)


def make_gallery(models: LocalModels, templates: Mapping[str, NDArray[np.float32]]) -> Gallery:
    """Return the gallery of some people for the embedder that is served."""
    info = models.embedder_info()
    limits = info.match_threshold, info.match_margin, info.same_person, info.other_person
    model = Model(info.model_id, info.embedding_size, *limits)
    return Gallery(templates, model, {subject_id(name): _row(name) for name in templates})


def _row(name: str) -> SubjectRow:
    now = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)
    return SubjectRow(
        id=subject_id(name),
        namespace="bench",
        name=name,
        display_name=name,
        external_id=None,
        category=None,
        consent=ConsentStatus.GRANTED,
        active_from=None,
        active_until=None,
        created_at=now,
        updated_at=now,
    )


def identify(sighting: Sighting, gallery: Gallery) -> str | None:
    """Return the name that identity gives a revision; None for unknown and undetermined."""
    probe = decision.probe(sighting)
    if probe is None:
        return None
    shots = decision.Shots(probe.agreement(), [gallery.search(shot) for shot in probe.shots])
    times = decision.Times.of(sighting, dt.datetime.now(dt.UTC))
    decided = decision.decide(gallery.search(probe.vector), gallery.subjects, gallery.model, None, times, shots)
    identity = decided.identity
    known = identity.status is IdentityStatus.KNOWN and identity.subject is not None
    return identity.subject.name if known and identity.subject else None


def judge(scene: Scene, played: Played, gallery: Gallery, lost_after_s: float) -> Score:
    """Return the counts of one scene."""
    names = [visit.name for visit in scene.visits]
    score = Score(visits=len(names))
    final: dict[uuid.UUID, tuple[Sighting, str | None]] = {}
    wrong: set[int] = set()
    for revision in played.revisions:
        name = identify(revision, gallery)
        final[revision.sighting_id] = (revision, name)
        wrong |= {number for number in played.visits(revision) if name is not None and names[number] != name}
    score.wrongly_named = len(wrong)
    holds = [(played.visits(revision), name) for revision, name in final.values()]
    score.still_wrong = len(
        {number for visits, name in holds for number in visits if name is not None and names[number] != name}
    )
    score.joined = sum(len({names[number] for number in visits}) > 1 for visits, _ in holds)
    for number, name in enumerate(names):
        mine = [named for visits, named in holds if number in visits]
        allowed = 1 if scene.visits[number].away_s + PARTLY_S <= lost_after_s else 2
        score.split += max(len(mine) - allowed, 0)
        score.swallowed += name in gallery.templates and name not in mine
    return score
