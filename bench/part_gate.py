"""Part `gate`: people who pass one after another, and who of them is joined, wrongly named or missed."""

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from bench import packs
from bench.context import SHARED, Bench
from bench.figures import ExpectedRow, Goal, Row
from bench.packs import OPEN, SCRFD, PackChoice
from bench.parts import Part, SkippedError, measured_row

if TYPE_CHECKING:
    from bench.gate.table import Cell

PART = "gate"
LATER_S = 0.6
"""Gaps from which nobody may be missed."""

PACKS = (OPEN, SCRFD)
ROWS = {
    (choice.key, name): ExpectedRow(f"{text}, {choice.shown}", unit, Goal("at most", most))
    for choice in PACKS
    for name, text, unit, most in (
        ("joined", "sightings that hold two people", "sightings", 0),
        ("wrongly_named", "people reported under another's name, also for a moment", "people", 0),
        ("swallowed", f"enrolled people never named, gaps of {LATER_S} s and more", "people", 0),
        ("split", "sightings too many of one person", "%", 2),
    )
}


def measure(bench: Bench) -> Iterator[Row]:
    """Yield the rows of each pack."""
    faces = SHARED / "faces"
    if not faces.is_dir():
        msg = f"{faces} does not exist; place a folder of photos for each of several people there"
        raise SkippedError(msg)
    for choice in PACKS:
        yield from _measure_pack(bench, choice)


def _measure_pack(bench: Bench, choice: PackChoice) -> Iterator[Row]:
    from bench.gate.judge import Score
    from bench.gate.models import LocalModels
    from bench.gate.people import load
    from bench.gate.table import loners, meetings

    models = LocalModels(packs.repository(bench, choice))
    people = load(models, SHARED / "faces")
    cells = list(meetings(models, people, 1 if bench.settings.quick else 3, bench.report))
    cells += loners(models, people, bench.report)
    bench.keep(PART, choice.shown, [_line(name, gap, cells) for name, gap in _groups(cells)])
    total, later = Score(), Score()
    for cell in cells:
        total.add(cell.score)
        if cell.gap >= LATER_S:
            later.add(cell.score)
    note = f"{total.visits} people came in {len(cells)} kinds of meetings; {total.embeddings} embeddings"
    yield measured_row(PART, ROWS[choice.key, "joined"], total.joined, note)
    yield measured_row(PART, ROWS[choice.key, "wrongly_named"], total.wrongly_named, f"of {total.visits}")
    yield measured_row(PART, ROWS[choice.key, "swallowed"], later.swallowed, f"of {later.visits} who came")
    share = 100 * total.split / total.visits
    yield measured_row(PART, ROWS[choice.key, "split"], share, f"{total.split} of {total.visits}")


def _groups(cells: Sequence["Cell"]) -> list[tuple[str, float]]:
    return list(dict.fromkeys((cell.meeting, cell.gap) for cell in cells))


def _line(meeting: str, gap: float, cells: Sequence["Cell"]) -> dict[str, str | float]:
    from bench.gate.judge import Score

    score = Score()
    for cell in cells:
        if (cell.meeting, cell.gap) == (meeting, gap):
            score.add(cell.score)
    return {
        "meeting": meeting,
        "gap in s": gap,
        "people": score.visits,
        "joined": score.joined,
        "wrongly named": score.wrongly_named,
        "never named": score.swallowed,
        "split": score.split,
        "embeddings": score.embeddings,
    }


GATE = Part(
    PART,
    "People at a gate",
    "Frames are painted from the shared photos: two people stand in the same place one after the other, cross, or hide "
    "each other, with 0.2, 0.6, 1.5 and 3 s between, at 5 and 10 frames per second, as enrolled people and strangers; "
    "pose, size, light and noise change from frame to frame. They run through the stream process's own pipeline with "
    "the real models, and identity's own decision over a gallery of other photos of the enrolled. Every revision "
    "counts, also one that a later revision corrected. People who are alone are looked at too: all their sightings "
    "beyond the first are false.",
    tuple(ROWS.values()),
    measure,
)
