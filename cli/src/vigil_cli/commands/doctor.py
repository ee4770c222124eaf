"""`vigil doctor`."""

import os
import platform
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import typer
from rich.table import Table

from vigil_cli.console import KEPT, Line, out
from vigil_cli.errors import CommandError
from vigil_cli.standalone.servers import go2rtc, nats, postgres, triton
from vigil_cli.standalone.servers.ports import is_free
from vigil_cli.standalone.state import make_usable
from vigil_cli.supervisor import StartError
from vigil_models import api
from vigil_models.fetch import store

DISK_NEEDED = 2 << 30
"""The bus stores up to 1 GiB of events of a Site; the rest is for Postgres, logs and models."""
SHARED_MEMORY = "/dev/shm"  # noqa: S108 - the folder of POSIX shared memory
SHARED_MEMORY_NEEDED = 256 << 20
"""For an image of 640x640 of each camera and the channels of Triton; containers have 64 MiB by default."""
PORTS = {"NATS": 4222, "Postgres": 5432, "Triton": 8001, "the API": 8000}


@dataclass(frozen=True, slots=True)
class Finding:
    """The result of one check.

    Attributes
    ----------
    mark
        `ok`, `missing` (Vigil cannot run without it) or `note` (Vigil runs, with a limit).
    """

    name: str
    mark: str
    message: str


MARKS = {"ok": ("✓", "green"), "missing": ("✗", "bold red"), "note": ("•", "yellow")}


def run(state: Path) -> None:
    """Check all that Vigil needs; exit with 1 when a part is missing."""
    findings = list(examine(state))
    table = Table(box=None, show_header=False, pad_edge=False)
    for finding in findings:
        sign, style = MARKS[finding.mark]
        table.add_row(Line(sign, style), finding.name, Line(finding.message, "" if finding.mark == "ok" else style))
    out.print(table)
    missing = sum(finding.mark == "missing" for finding in findings)
    if missing:
        out.print(
            Line(
                f"\n{missing} missing; follow the instructions above, and run `vigil doctor` again.",
                "bold red",
                keep=KEPT,
            )
        )
        raise typer.Exit(1)
    out.print(Line("\nVigil can run on this machine.", "bold green", keep=KEPT))


def examine(state: Path) -> Iterator[Finding]:
    """Yield the result of each check."""
    yield _python()
    yield _server("libpython", lambda: str(triton.libpython()))
    yield _server("Triton", lambda: str(triton.program()))
    yield _server("NATS", lambda: str(nats.binary()))
    yield _server("Postgres", lambda: str(postgres.programs()))
    yield _models()
    yield _folder("state folder", state, "with --state")
    yield _folder("cache", api.cache_dir(), "with the variable VIGIL_CACHE_DIR")
    yield _shared_memory()
    yield _cores()
    yield _gpu()
    yield _webcam()
    yield _rtsp_server()
    yield _ports()
    yield Finding("FFmpeg", "ok", "comes inside PyAV; nothing to install")


def _python() -> Finding:
    version, machine = platform.python_version(), platform.machine()
    if sys.platform != "linux" or machine not in {"x86_64", "aarch64"}:
        message = f"{platform.system()} on {machine}: Triton's wheel needs Linux on x86_64 or aarch64"
        return Finding("system", "missing", message)
    return Finding("Python", "ok", f"{version} on {machine}")


def _server(what: str, find: Callable[[], str]) -> Finding:
    try:
        return Finding(what, "ok", find())
    except StartError as error:
        return Finding(what, "missing", str(error))


def _models() -> Finding:
    pack = api.pack("open")
    if store.missing(pack, api.cache_dir(), {}):
        return Finding("models", "note", "the first start fetches the pack 'open' (11 MB), or: vigil-models pull open")
    return Finding("models", "ok", f"the pack 'open' is in {store.models_dir(api.cache_dir())}")


def _folder(what: str, folder: Path, chosen: str) -> Finding:
    try:
        make_usable(folder, what, chosen)
    except CommandError as error:
        return Finding(what, "missing", str(error))
    free = shutil.disk_usage(folder).free
    message = f"{folder}, {free / 2**30:.1f} GiB free"
    if free < DISK_NEEDED:
        return Finding(what, "note", f"{message}; Vigil stores up to {DISK_NEEDED >> 30} GiB: free some space")
    return Finding(what, "ok", message)


def _shared_memory() -> Finding:
    try:
        size = shutil.disk_usage(SHARED_MEMORY).total
    except OSError:
        return Finding(SHARED_MEMORY, "missing", "missing, and Triton's Python backend needs it; mount a tmpfs on it")
    message = f"{size / 2**20:.0f} MiB"
    if size < SHARED_MEMORY_NEEDED:
        return Finding(SHARED_MEMORY, "missing", f"{message}; 256 MiB are needed (docker run --shm-size=256m)")
    return Finding(SHARED_MEMORY, "ok", message)


def _cores() -> Finding:
    count = len(os.sched_getaffinity(0))
    message = f"{count} usable"
    if count < 2:
        return Finding("CPU cores", "note", f"{message}; two cameras or more need two cores")
    return Finding("CPU cores", "ok", message)


def _gpu() -> Finding:
    program = shutil.which("nvidia-smi")
    if program is None:
        return Finding("GPU", "note", "none found (no nvidia-smi); Vigil runs on the CPU")
    try:
        command = [program, "--query-gpu=name,driver_version", "--format=csv,noheader"]
        done = subprocess.run(command, capture_output=True, text=True, timeout=10, check=True)  # noqa: S603 - our own arguments
    except (OSError, subprocess.SubprocessError) as error:
        return Finding("GPU", "note", f"nvidia-smi fails ({type(error).__name__}); Vigil runs on the CPU")
    names = "; ".join(done.stdout.strip().splitlines())
    return Finding("GPU", "note", f"{names}: cameras decode on it; inference of `vigil up` runs on the CPU so far")


def _webcam() -> Finding:
    cameras = sorted(path.name for path in Path("/dev").glob("video*"))
    return Finding("USB cameras", "ok" if cameras else "note", ", ".join(cameras) or "none (only --webcam needs one)")


def _rtsp_server() -> Finding:
    found = go2rtc.find()
    if found:
        return Finding("go2rtc", "ok", f"{found} (only the demo and the tests use it)")
    return Finding("go2rtc", "note", "missing; the demo builds it with Go, or runs without it")


def _ports() -> Finding:
    taken = [f"{port} ({name})" for name, port in PORTS.items() if not is_free(port)]
    message = f"usual ports taken: {', '.join(taken)}; Vigil chooses free ones" if taken else "Vigil chooses free ones"
    return Finding("ports", "ok", message)
