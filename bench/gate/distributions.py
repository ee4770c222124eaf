"""Measure how alike one person's frames are, and two people's: `python -m bench.gate.distributions REPOSITORY FOLDER`.

REPOSITORY is an export for the CPU (`vigil-models export --target cpu-python`), FOLDER holds one folder of photos for
each person. The output is what `same_person_permille` and `other_person_permille` of a model are chosen from: the
share of pairs that each limit would split or join.
"""

import sys
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from bench.gate.models import LocalModels
from bench.gate.people import faces_of, load
from bench.gate.scenes import Painter, alone
from vigil_vision.faces import alignment

FRAMES = 30
"""Of each photo, at 5 frames per second."""

LIMITS = (0.15, 0.2, 0.25, 0.3, 0.35, 0.4, 0.45, 0.48, 0.5, 0.55, 0.6)


def main(repository: Path, folder: Path) -> None:
    """Paint, embed and compare."""
    models = LocalModels(repository)
    names: list[str] = []
    photos: list[int] = []
    vectors: list[NDArray[np.float32]] = []
    for person in load(models, folder):
        for photo, portrait in enumerate(person.portraits):
            frames = Painter(photo).frames(alone((person.name, portrait), 0.0), 5)
            for _, (_, frame, _) in zip(range(FRAMES), frames, strict=False):
                found = faces_of(models, frame)
                if len(found):
                    names.append(person.name)
                    photos.append(photo)
                    vectors.append(models.embed(alignment.align(frame, found.landmarks[:1])).values[0])
    rows, who, which = np.stack(vectors), np.array(names), np.array(photos)
    cosines = rows @ rows.T
    once = np.triu(np.ones_like(cosines, bool), 1)
    same = who[:, None] == who[None]
    appearance = same & (which[:, None] == which[None])
    for text, chosen in (
        ("two frames of one appearance", appearance),
        ("two photos of one person", same & ~appearance),
        ("two people", ~same),
    ):
        _show(text, cosines[chosen & once])


def _show(text: str, cosines: NDArray[np.float32]) -> None:
    print(f"{text}: {len(cosines)} pairs, {cosines.min():.2f} to {cosines.max():.2f}")
    for limit in LIMITS:
        print(f"  below {limit:.2f}: {100 * float((cosines < limit).mean()):.2f} %")


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
