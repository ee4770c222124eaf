"""Part `bare`: the detector alone, on all cores."""

from collections.abc import Iterator
from statistics import median

from bench import packs
from bench.bare import BareDetector, cores
from bench.context import Bench
from bench.figures import ExpectedRow, Row
from bench.packs import OPEN, SCRFD, PackChoice
from bench.parts import Part, measured_row

PART = "bare"
ROWS = {choice.key: ExpectedRow(f"{choice.detector_name} alone, 640x384", "frames/s") for choice in (SCRFD, OPEN)}


def detector(bench: Bench, choice: PackChoice) -> BareDetector:
    """Return the bare detector of a pack, made once."""
    return bench.once(
        f"bare {choice.key}", lambda: BareDetector(packs.networks(bench, choice), packs.clip(bench), cores())
    )


def measure(bench: Bench) -> Iterator[Row]:
    """Yield the rows of both detectors, measured in turns."""
    both = {choice.key: detector(bench, choice) for choice in (SCRFD, OPEN)}
    seconds = min(bench.settings.seconds / 3, 5)
    found: dict[str, list[float]] = {key: [] for key in both}
    for turn in range(bench.settings.repetitions):
        for key, bare in both.items():
            bench.report(f"bare detector {key}, run {turn + 1} of {bench.settings.repetitions}")
            found[key].append(bare.frames_per_second(seconds))
    bench.keep(PART, "runs", found)
    for key, values in found.items():
        spread = f"median of {', '.join(f'{value:.0f}' for value in values)}"
        yield measured_row(PART, ROWS[key], median(values), f"{cores()} one-thread sessions side by side; {spread}")


BARE = Part(
    PART,
    "Bare detector",
    "ONNX Runtime on all cores in its best arrangement: one session with one thread for each core, side by side, "
    "without spinning. Frames of the clip lie ready in memory in the network's own float input: no decoding, "
    "scaling, normalising or decoding of boxes.",
    tuple(ROWS.values()),
    measure,
)
