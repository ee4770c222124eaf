"""Part `system`: frames per second of the whole system, to the subscriber, against the bare detector in turns."""

import asyncio
import math
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from statistics import median

import imageio_ffmpeg

from bench import packs, system, windows
from bench.bare import BareDetector
from bench.context import Bench
from bench.enrolled import enroll_all
from bench.figures import ExpectedRow, Goal, Row, ratio_of_medians
from bench.packs import OPEN, SCRFD, PackChoice
from bench.part_bare import detector
from bench.parts import Part, measured_row, spoilt
from bench.profiling import profile
from bench.subscriber import listen
from bench.system import CameraChoice, System

PART = "system"
CAMERAS = 4
MAX_FPS = 60
SETTLE_S = 4.0


def _expected_rows(choice: PackChoice) -> tuple[ExpectedRow, ...]:
    goal = Goal("at least", 0.8) if choice is SCRFD else None
    return (
        ExpectedRow(f"whole system, {choice.shown}", "frames/s"),
        ExpectedRow(f"{choice.detector_name} alone, in turns with it", "frames/s"),
        ExpectedRow(f"ratio, {choice.shown}", "", goal),
    )


def retimed(bench: Bench, fps: float) -> Path:
    """Return a copy of the clip that plays at another rate, its frames untouched, so that none is decoded in vain."""
    target = bench.work / f"clip-{fps:.2f}.mp4"
    if not target.exists():
        scale = 29.97 / fps
        arguments = [imageio_ffmpeg.get_ffmpeg_exe(), "-v", "error", "-y", "-itsscale", f"{scale:.6f}"]
        arguments += ["-i", str(packs.clip(bench)), "-c", "copy", "-an", str(target)]
        subprocess.run(arguments, check=True, timeout=60)
    return target


async def _measure(bench: Bench, choice: PackChoice, bare: BareDetector) -> tuple[list[float], list[float]]:
    first = await asyncio.to_thread(bare.frames_per_second, 3.0)
    count = max(CAMERAS, math.ceil(1.05 * first / MAX_FPS))
    fps = min(1.05 * first / count, MAX_FPS)
    video = retimed(bench, fps)
    cameras = [CameraChoice(f"c{index}", "File", str(video), math.ceil(fps)) for index in range(count)]
    alone, whole = [], []
    async with system.start(bench.work / f"system-{choice.key}", packs.repository(bench, choice)) as running:
        await enroll_all(running)
        async with listen(running.api.url, running.api.token) as listener:
            for turn in range(bench.settings.repetitions):
                bench.report(f"{choice.shown}: bare detector, turn {turn + 1} of {bench.settings.repetitions}")
                await running.run_cameras([])
                alone.append(await asyncio.to_thread(bare.frames_per_second, min(bench.settings.seconds / 2, 5)))
                bench.report(f"{choice.shown}: whole system, {count} cameras at {fps:.0f} fps")
                await running.run_cameras(cameras)
                await asyncio.sleep(SETTLE_S)
                whole.append(await _window(bench, choice, running, last=turn == bench.settings.repetitions - 1))
                if listener.error or not listener.since(time.time() - bench.settings.seconds):
                    msg = f"the subscriber received nothing: {listener.error or 'no event in the window'}"
                    raise RuntimeError(msg)
    bench.keep(PART, f"runs {choice.key}", {"alone": alone, "whole": whole, "cameras": count, "fps": fps})
    return alone, whole


async def _window(bench: Bench, choice: PackChoice, running: System, *, last: bool) -> float:
    before = await running.snapshot()
    await asyncio.sleep(bench.settings.seconds)
    after = await running.snapshot()
    if last:
        bench.keep(PART, f"Stages, {choice.shown}", windows.stages(before, after))
        bench.keep(PART, f"CPU, {choice.shown}", windows.cpu(before, after))
        await profile(bench, PART, choice.key, running)
    others = bench.details.setdefault(PART, {}).setdefault(f"other programs, cores, {choice.key}", [])
    others.append(round(windows.others_cores(before, after), 2))
    return windows.total(before, after, "vigil_stream_frames_analysed_total") / (after.at - before.at)


def measure(bench: Bench) -> Iterator[Row]:
    """Yield the rows of both packs."""
    for choice in (SCRFD, OPEN):
        whole_row, alone_row, ratio_row = _expected_rows(choice)
        alone, whole = asyncio.run(_measure(bench, choice, detector(bench, choice)))
        spread = f"median of {', '.join(f'{value:.1f}' for value in whole)}"
        yield measured_row(PART, whole_row, median(whole), spread)
        yield measured_row(PART, alone_row, median(alone), f"median of {', '.join(f'{value:.1f}' for value in alone)}")
        others = max(bench.details[PART][f"other programs, cores, {choice.key}"])
        note = f"medians of runs taken in turns{spoilt(others)}"
        yield measured_row(PART, ratio_row, ratio_of_medians(whole, alone), note)


SYSTEM = Part(
    PART,
    "Whole system at full rate",
    "Stream processes read the clip as files whose clock was set so that all of them together have 5 % more "
    "frames than the bare detector can analyse; motion gate and duplicate filter are off. Triton, NATS, identity, "
    "Postgres, api and a `graphql-transport-ws` subscriber run on the same cores, and a window counts only if the "
    "subscriber received sightings in it. Bare detector and whole system are measured in turns (A B A B …); medians "
    "are compared.",
    (*_expected_rows(SCRFD), *_expected_rows(OPEN)),
    measure,
)
