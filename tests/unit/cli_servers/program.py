"""A supervisor in a program of its own, as `vigil up` is one, for tests that interrupt and kill it.

Usage: `program.py STATE_FOLDER`. Its child `family` starts a grandchild in a session of its own, which no signal to a
process group reaches.
"""

import asyncio
import sys
from pathlib import Path

from vigil_cli.supervisor import ProcessSpec, Supervisor, until_interrupted

FAMILY = """
import subprocess, sys, time
child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"], start_new_session=True)
print("grandchild", child.pid, flush=True)
time.sleep(600)
"""
POLITE = """
import pathlib, signal, sys, time
def end(*_):
    pathlib.Path(sys.argv[1]).touch()
    sys.exit(0)
signal.signal(signal.SIGTERM, end)
print("listening", flush=True)
time.sleep(600)
"""


async def work(state: Path) -> None:
    async with Supervisor(state) as supervisor:
        log = state / "logs" / "family.log"
        supervisor.add(
            ProcessSpec(
                "family", [sys.executable, "-c", FAMILY], ready=lambda: log.exists() and "\n" in log.read_text()
            )
        )
        polite = state / "logs" / "polite.log"
        ended = str(state / "ended-politely")
        supervisor.add(
            ProcessSpec(
                "polite",
                [sys.executable, "-c", POLITE, ended],
                ready=lambda: polite.exists() and "listening" in polite.read_text(),
                after=("family",),
            )
        )
        await supervisor.wait_ready(["family", "polite"], 30)
        pids = [status.pid for status in supervisor.statuses.values()]
        (state / "ready").write_text(f"{pids[0]} {pids[1]} {log.read_text().split()[1]}")
        await asyncio.Event().wait()


if __name__ == "__main__":
    print("interrupted", asyncio.run(until_interrupted(work(Path(sys.argv[1])))))  # noqa: T201 - for the test to read
