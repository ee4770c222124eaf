"""Profiles of the programs by py-spy, where it is installed and requested."""

import asyncio
import re
from collections import Counter
from pathlib import Path

import psutil

from bench.context import Bench, py_spy
from bench.system import System

SECONDS = 8
TOP = 15


def hottest(folded: str) -> list[dict[str, float | str]]:
    """Return, from py-spy's folded stacks, the functions in which most samples end, with their share in percent."""
    counts: Counter[str] = Counter()
    for line in folded.splitlines():
        stack, _, samples = line.rpartition(" ")
        if samples.isdigit():
            frame = stack.rpartition(";")[2]
            counts[re.sub(r"[^\s(]*/(site-packages|src)/", "", frame)] += int(samples)
    everything = sum(counts.values()) or 1
    return [{"function": name, "share %": 100 * count / everything} for name, count in counts.most_common(TOP)]


async def profile(bench: Bench, part: str, label: str, running: System) -> None:
    """Sample one stream process, one detector instance, identity and api one after the other."""
    if not bench.settings.profile:
        return
    if py_spy() is None:
        bench.keep(part, f"profile {label}", "py-spy is not installed: pip install py-spy")
        return
    chosen: dict[str, psutil.Process] = {}
    for name, process in running.processes().items():
        kind = "stream" if name.startswith("stream-") else name.partition(":")[0]
        if kind in {"stream", "identity", "api"} and ":" not in name:
            chosen.setdefault(kind, process)
    for kind, process in chosen.items():
        bench.report(f"sampling {kind}")
        text = await _sample(process.pid, bench.work / f"profile-{label}-{kind}.txt")
        bench.keep(part, f"Hottest functions of {kind}, {label} (py-spy)", hottest(text))


async def _sample(pid: int, target: Path) -> str:
    arguments = ["record", "--duration", str(SECONDS), "--rate", "200", "--format", "raw", "--output", str(target)]
    spy = await asyncio.create_subprocess_exec(
        str(py_spy()),
        *arguments,
        "--pid",
        str(pid),
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.DEVNULL,
    )
    await asyncio.wait_for(spy.wait(), SECONDS + 30)
    return await asyncio.to_thread(lambda: target.read_text() if target.exists() else "")
