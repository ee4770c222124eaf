"""Part `cameras`: how many cameras at 5 fps the machine sustains, against the plain loop."""

import asyncio
import contextlib
import json
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import psutil

from bench import packs, system, windows
from bench.context import ROOT, Bench
from bench.enrolled import PEOPLE, enroll_all
from bench.figures import Capacity, ExpectedRow, Goal, Row, find_capacity
from bench.packs import OPEN, SCRFD, PackChoice
from bench.part_bare import detector
from bench.parts import Part, measured_row, spoilt
from bench.streams import Streams, serve
from bench.system import CameraChoice, System

PART = "cameras"
FPS = 5
SETTLE_S = 6.0
LOOP_CAMERAS = 6
"""Cameras of a plain loop: more than it sustains, so that it is fully loaded."""
LIMITS = {SCRFD.key: 12, OPEN.key: 32}
STARTS = {SCRFD.key: 4, OPEN.key: 8}
RATIOS = {SCRFD.key: 4.0, OPEN.key: 8.0}


def _expected_rows(choice: PackChoice) -> dict[str, ExpectedRow]:
    shown = choice.shown
    return {
        "own": ExpectedRow(f"plain loop, networks opened for each camera, {shown}", "cameras"),
        "shared": ExpectedRow(f"plain loop, networks shared by all its threads, {shown}", "cameras"),
        "vigil": ExpectedRow(f"Vigil, {shown}", "cameras"),
        "ratio": ExpectedRow(f"Vigil ÷ plain loop, {shown}", "times", Goal("at least", RATIOS[choice.key])),
        "ratio_shared": ExpectedRow(f"Vigil ÷ plain loop with shared networks, {shown}", "times"),
        "ceiling": ExpectedRow(f"the bare detector's frames per second ÷ {FPS}, {choice.detector_name}", "cameras"),
    }


@dataclass(slots=True)
class Loops:
    """Cameras that plain loops sustain: the frames they analyse per second, divided by 5."""

    own: float
    shared: float


async def _loop(bench: Bench, choice: PackChoice, streams: Streams, *, own: bool) -> float:
    networks = packs.networks(bench, choice)
    arguments = ["--pack", choice.key, "--detector", str(networks.detector), "--embedder", str(networks.embedder)]
    arguments += ["--fps", str(FPS), "--seconds", str(bench.settings.seconds), "--warm-up", str(SETTLE_S)]
    arguments += ["--subjects", str(len(PEOPLE)), *(["--own-networks"] if own else [])]
    arguments += ["--urls", *streams.urls[:LOOP_CAMERAS]]
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "bench.plain_loop", *arguments, cwd=ROOT, stdout=asyncio.subprocess.PIPE
    )
    try:
        output, _ = await asyncio.wait_for(process.communicate(), bench.settings.seconds + 120)
    finally:
        if process.returncode is None:
            process.kill()
    result = json.loads(output)
    if result["failed"]:
        msg = f"the plain loop failed: {result['failed'][0]}"
        raise RuntimeError(msg)
    bench.keep(PART, f"loop {choice.key} {'own' if own else 'shared'}", result)
    return float(sum(result["fps"])) / FPS


async def _sustains(
    bench: Bench, running: System, streams: Streams, count: int, tried: list[dict[str, float]]
) -> list[dict[str, float | str]] | None:
    """Return the CPU use of each process when so many cameras are all sustained, else None."""
    bench.report(f"{count} cameras")
    await running.run_cameras(cameras_of(streams, count))
    await asyncio.sleep(SETTLE_S)
    before, served = await running.snapshot(), serving_cpu_s(streams)
    await asyncio.sleep(bench.settings.seconds)
    after, served = await running.snapshot(), serving_cpu_s(streams) - served
    seen = windows.camera_windows(before, after)
    held = len(seen) == count and all(camera.sustained(FPS) for camera in seen.values())
    tried.append(
        {
            "cameras": count,
            "sustained": held,
            "slowest fps": min(camera.analysed_fps for camera in seen.values()),
            "all fps": sum(camera.analysed_fps for camera in seen.values()),
            "worst p95 to detections, ms": 1000 * max(camera.latency_p95_s for camera in seen.values()),
            "cores used": sum(float(line["cores"]) for line in windows.cpu(before, after)),
            "serving, cores": served / (after.at - before.at),
            "other programs, cores": windows.others_cores(before, after, served),
        }
    )
    return windows.cpu(before, after) if held else None


def cameras_of(streams: Streams, count: int) -> Sequence[CameraChoice]:
    """Return the first `count` cameras of the streams."""
    return [CameraChoice(f"c{index}", streams.kind, url, FPS) for index, url in enumerate(streams.urls[:count])]


def serving_cpu_s(streams: Streams) -> float:
    """Return the CPU seconds that serving has used so far; 0 without a server."""
    used = 0.0
    with contextlib.suppress(psutil.Error):
        for process in [parent := psutil.Process(streams.pid), *parent.children(recursive=True)]:
            times = process.cpu_times()
            used += times.user + times.system
    return used if streams.pid is not None else 0.0


async def _vigil(bench: Bench, choice: PackChoice, streams: Streams) -> tuple[Capacity, list[dict[str, float]]]:
    tried: list[dict[str, float]] = []
    loop = asyncio.get_running_loop()
    folder = bench.work / f"cameras-{choice.key}"
    async with system.start(folder, packs.repository(bench, choice)) as running:
        await enroll_all(running)

        def holds(count: int) -> bool:
            attempt = _sustains(bench, running, streams, count, tried)
            cpu = asyncio.run_coroutine_threadsafe(attempt, loop).result()
            if cpu is not None:
                bench.keep(PART, f"CPU at the most sustained, {choice.shown}", cpu)
            return cpu is not None

        capacity = await asyncio.to_thread(
            find_capacity,
            holds,
            start=STARTS[choice.key],
            limit=LIMITS[choice.key],
            tries=1 if bench.settings.quick else 2,
        )
    return capacity, tried


async def _both(bench: Bench, choice: PackChoice) -> tuple[Loops, Capacity, list[dict[str, float]], Streams]:
    async with serve(bench, packs.clip(bench), LIMITS[choice.key]) as streams:
        bench.report(f"plain loop, {choice.shown}, networks opened for each camera")
        own = await _loop(bench, choice, streams, own=True)
        bench.report(f"plain loop, {choice.shown}, shared networks")
        shared = await _loop(bench, choice, streams, own=False)
        capacity, tried = await _vigil(bench, choice, streams)
    return Loops(own, shared), capacity, tried, streams


def measure(bench: Bench) -> Iterator[Row]:
    """Yield the rows of both packs."""
    for choice in (SCRFD, OPEN):
        rows = _expected_rows(choice)
        loops, capacity, tried, streams = asyncio.run(_both(bench, choice))
        bench.keep(PART, f"Loads tried, {choice.shown}", tried)
        note = f"frames analysed per second by {LOOP_CAMERAS} cameras ÷ {FPS}; {streams.note}"
        yield measured_row(PART, rows["own"], loops.own, note)
        yield measured_row(PART, rows["shared"], loops.shared, note)
        beyond = "; even the most that was tried" if capacity.limited else ""
        yield measured_row(PART, rows["vigil"], capacity.largest, f"every one at 95 % of {FPS} fps or more{beyond}")
        note = "against networks opened for each camera" + spoilt(max(line["other programs, cores"] for line in tried))
        yield measured_row(PART, rows["ratio"], capacity.largest / loops.own, note)
        yield measured_row(PART, rows["ratio_shared"], capacity.largest / loops.shared)
        ceiling = detector(bench, choice).frames_per_second(3.0) / FPS
        yield measured_row(PART, rows["ceiling"], ceiling, "no system that detects in every frame can do more")


CAMERAS = Part(
    PART,
    "Cameras at 5 fps",
    "The clip is served in real time at 29.97 fps, a stream for each camera, begun at different moments; both "
    "sides get the same streams. A camera of Vigil is sustained when over a window at least 95 % of its 5 "
    "frames per second were analysed and the age of a frame when it has been analysed (p95) stays under a "
    "second; the figure is the largest number of cameras of which every one is. Motion gate and duplicate filter "
    "are off. The plain loop is `bench/plain_loop.py`: a thread for each camera, OpenCV `VideoCapture`, the same "
    "two networks in ONNX Runtime with its default threads, every face aligned and embedded in every analysed "
    "frame, NumPy search over the same people. It gets more cameras than it sustains, and is credited with "
    "every frame that it analyses, divided by 5, so fractions count for the loop and not for Vigil. A window in"
    " which other programs used much of the machine means little: the table has its use.",
    tuple(row for choice in (SCRFD, OPEN) for row in _expected_rows(choice).values()),
    measure,
)
