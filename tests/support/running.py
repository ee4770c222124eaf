"""A real server for a test: started from the same description as `vigil up` starts it, and never left behind."""

import atexit
import contextlib
import functools
import os
import shutil
import signal
import subprocess
import tempfile
import time
from pathlib import Path
from typing import Self
from uuid import uuid4

import filelock
from tests.support.waiting import wait_until

from vigil_cli.supervisor import orphans
from vigil_cli.supervisor.command import command
from vigil_cli.supervisor.reaper import Reaper
from vigil_cli.supervisor.spec import ProcessSpec

PREFIX = "vigil-test-run-"
YOUNG_S = 60
"""A run that begins makes its folder a moment before it locks it."""
_held: list[filelock.BaseFileLock] = []


@functools.cache
def run_folder() -> Path:
    """Make a folder for this test run, and remove those of runs that were killed."""
    for old in Path(tempfile.gettempdir()).glob(f"{PREFIX}*"):
        with contextlib.suppress(filelock.Timeout, OSError):
            if time.time() - old.stat().st_mtime > YOUNG_S:
                with filelock.FileLock(old / "lock", timeout=0):
                    shutil.rmtree(old, ignore_errors=True)
    folder = Path(tempfile.mkdtemp(prefix=PREFIX))
    lock = filelock.FileLock(folder / "lock")
    lock.acquire()
    _held.append(lock)  # for as long as this process lives; the kernel lets go of it, even after kill -9
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return folder


@functools.cache
def reaper() -> Reaper:
    """Return the reaper of this test run: it ends all servers, with what they started, when the run is killed."""
    made = Reaper(run_folder() / "run")
    atexit.register(made.close)
    return made


class Running:
    """One server process, which dies with the test run even when that is killed."""

    def __init__(self, spec: ProcessSpec, folder: Path) -> None:
        self.spec = spec
        self.log = folder / f"{spec.name}.log"
        self._name = f"{spec.name}-{uuid4().hex[:8]}"
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int:
        assert self._process is not None, f"{self.spec.name} is not running"
        return self._process.pid

    @property
    def ended_with(self) -> int | None:
        """Its exit status when it ended by itself; None while it runs, or was never started."""
        return self._process.poll() if self._process is not None else None

    def start(self) -> Self:
        self.spec.before_start()
        self.log.parent.mkdir(parents=True, exist_ok=True)
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                command(self.spec),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                env={**os.environ, **self.spec.env, orphans.MARK: reaper().mark(self._name)},
                cwd=self.spec.cwd,
                start_new_session=True,
            )
        reaper().record(self._name, self._process.pid)
        wait_until(self._is_ready, self.spec.ready_timeout_s, f"{self.spec.name} is ready")
        return self

    def _is_ready(self) -> bool:
        assert self._process is not None
        code = self._process.poll()
        assert code is None, f"{self.spec.name} ended with {code}:\n{self.log.read_text()[-3000:]}"
        return self.spec.ready()

    def kill(self) -> None:
        """End it as `kill -9` does, with all that it started."""
        self._end(signal.SIGKILL)

    def stop(self) -> None:
        """End it politely."""
        if self._process is not None and self._process.poll() is None:
            self._process.send_signal(self.spec.stop_signal)
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(self.spec.stop_timeout_s)
        self._end(signal.SIGKILL)

    def _end(self, number: int) -> None:
        if self._process is not None:
            orphans.kill_group(self._process.pid, number)
            self._process.wait(10)
            self._process = None
            reaper().forget(self._name)

    def discard(self) -> None:
        """Kill it, and remove what a killed server leaves outside its folder, as its next start would."""
        self.kill()
        self.spec.before_start()

    def restart(self) -> Self:
        """Kill it and start it again on the same port with the same data."""
        self.kill()
        return self.start()
