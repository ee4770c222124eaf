"""All meetings of the gate, and the table of what became of them."""

import itertools
import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from bench.gate.judge import Score, judge, make_gallery
from bench.gate.models import LocalModels
from bench.gate.people import Person, gallery
from bench.gate.play import play
from bench.gate.scenes import MEETINGS, Scene, alone
from vigil_stream.pipeline.tracker import LOST_AFTER_S

GAPS_S = (0.2, 0.6, 1.5, 3.0)
ALONE_GAPS_S = (0.0, 0.4, 1.0)
FPS = (5, 10)
KINDS = {
    "enrolled → stranger": (True, False),
    "stranger → enrolled": (False, True),
    "enrolled → enrolled": (True, True),
}


@dataclass(frozen=True, slots=True)
class Cell:
    """One row of the table: the conditions of its scenes, and their counts."""

    meeting: str
    kind: str
    gap: float
    fps: int
    score: Score


def meetings(
    models: LocalModels, people: Sequence[Person], pairs: int, report: Callable[[str], None], *, seed: int = 1
) -> Iterator[Cell]:
    """Yield a cell for every combination, each with `pairs` pairs of people.

    Parameters
    ----------
    seed
        Chooses the pairs and photos, and the frames.
    """
    chooser = random.Random(seed)  # noqa: S311 - no secret
    ordered = list(itertools.permutations(people, 2))
    for meeting, kind, gap, fps in itertools.product(MEETINGS, KINDS, GAPS_S, FPS):
        report(f"gate: {meeting}, {kind}, {gap} s, {fps} fps")
        score = Score()
        for number, (first, second) in enumerate(chooser.sample(ordered, pairs)):
            photos = chooser.randrange(len(first.portraits)), chooser.randrange(len(second.portraits))
            scene = MEETINGS[meeting](
                (first.name, first.portraits[photos[0]]), (second.name, second.portraits[photos[1]]), gap
            )
            shown = [(first.name, photos[0]), (second.name, photos[1])]
            strangers = {one.name for one, enrolled in zip((first, second), KINDS[kind], strict=True) if not enrolled}
            known = [person for person in people if person.name not in strangers]
            score.add(score_scene(models, scene, fps, known, shown, number))
        yield Cell(meeting, kind, gap, fps, score)


def loners(models: LocalModels, people: Sequence[Person], report: Callable[[str], None]) -> Iterator[Cell]:
    """Yield the cells of people who are alone: each split sighting is a false one."""
    for gap, fps in itertools.product(ALONE_GAPS_S, FPS):
        report(f"gate: alone, {gap} s, {fps} fps")
        score = Score()
        for number, person in enumerate(people):
            photo = number % len(person.portraits)
            scene = alone((person.name, person.portraits[photo]), gap)
            score.add(score_scene(models, scene, fps, people, [(person.name, photo)], number))
        yield Cell("alone", "enrolled", gap, fps, score)


def score_scene(
    models: LocalModels,
    scene: Scene,
    fps: int,
    known: Sequence[Person],
    shown: Sequence[tuple[str, int]],
    seed: int,
) -> Score:
    """Return the counts of one scene.

    Parameters
    ----------
    known
        The people who are enrolled.
    shown
        Name and photo of each visit; these photos are not in the gallery when there are others.
    """
    before = models.embedded
    played = play(models, scene, fps, seed)
    embedded = models.embedded - before
    score = judge(scene, played, make_gallery(models, gallery(known, shown)), LOST_AFTER_S)
    score.embeddings = embedded
    return score
