"""A real server for a test: started from the same description as `vigil up` starts it, and never left behind."""

import contextlib
import os
import signal
import subprocess
from pathlib import Path
from typing import Self

from tests.support.waiting import wait_until

from vigil_cli.standalone.supervisor.spec import ProcessSpec
from vigil_cli.standalone.supervisor.strays import kill_group
from vigil_cli.standalone.supervisor.supervisor import command


class Running:
    """One server process, which dies with the test run even when that is killed."""

    def __init__(self, spec: ProcessSpec, folder: Path) -> None:
        self.spec = spec
        self.log = folder / f"{spec.name}.log"
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int:
        assert self._process is not None, f"{self.spec.name} is not running"
        return self._process.pid

    def start(self) -> Self:
        self.spec.before_start()
        self.log.parent.mkdir(parents=True, exist_ok=True)
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                command(self.spec),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                env={**os.environ, **self.spec.env},
                cwd=self.spec.cwd,
                start_new_session=True,
            )
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
            kill_group(self._process.pid, number)
            self._process.wait(10)
            self._process = None

    def restart(self) -> Self:
        """Kill it and start it again on the same port with the same data."""
        self.kill()
        return self.start()
