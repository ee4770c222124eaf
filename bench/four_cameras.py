"""Four cameras at 5 fps with the open pack: one run, from which latency, memory and stages are read."""

import asyncio
import time
from dataclasses import dataclass
from pathlib import Path

import psutil

from bench import packs, system, windows
from bench.context import Bench
from bench.enrolled import enroll_all
from bench.packs import OPEN
from bench.part_cameras import cameras_of
from bench.profiling import profile
from bench.streams import serve
from bench.subscriber import ReceivedEvent, listen
from bench.system import Snapshot, System

COUNT = 4
SETTLE_S = 8.0


@dataclass(frozen=True, slots=True)
class Memory:
    """Of one process, in MiB; `pss` counts shared pages by share, None where the kernel does not report it."""

    name: str
    rss: float
    pss: float | None


@dataclass(frozen=True, slots=True)
class Run:
    """The observations of the run."""

    received: list[ReceivedEvent]
    memory: list[Memory]
    before: Snapshot
    after: Snapshot
    note: str


def run(bench: Bench) -> Run:
    """Return the one run of this bench."""
    return bench.once("four cameras", lambda: asyncio.run(_run(bench)))


async def _run(bench: Bench) -> Run:
    bench.report("starting four cameras with the open pack")
    repository = packs.repository(bench, OPEN)
    async with (
        serve(bench, packs.clip(bench), COUNT) as streams,
        system.start(bench.work / "four", repository) as running,
    ):
        await enroll_all(running)
        async with listen(running.api.url, running.api.token) as listener:
            await running.run_cameras(cameras_of(streams, COUNT))
            await asyncio.sleep(SETTLE_S)
            bench.report("four cameras with the open pack")
            begun, before = time.time(), await running.snapshot()
            await asyncio.sleep(2 * bench.settings.seconds)
            after, received = await running.snapshot(), listener.since(begun)
            memory = _memory(running)
            await profile(bench, "stages", "four cameras", running)
            if listener.error:
                msg = f"the subscriber was cut off: {listener.error}"
                raise RuntimeError(msg)
    return Run(received, memory, before, after, streams.note)


def _memory(running: System) -> list[Memory]:
    found = []
    for name, process in running.processes().items():
        try:
            found.append(Memory(name, process.memory_info().rss / 2**20, _pss(process.pid)))
        except psutil.Error:
            continue
    return found


def _pss(pid: int) -> float | None:
    try:
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    except OSError:
        return None
    return next((int(line.split()[1]) / 1024 for line in lines if line.startswith("Pss:")), None)


def busy(after: Run) -> float:
    """Return the number of cores that the system used."""
    return sum(float(line["cores"]) for line in windows.cpu(after.before, after.after))
