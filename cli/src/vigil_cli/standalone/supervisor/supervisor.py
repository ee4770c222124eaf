"""Keep a set of child processes running.

Every process has one task, which starts it once the processes named in `after` are ready, waits until it is ready
itself and then until it ends, and starts it again after a moment that doubles with each failure and is forgotten after
a healthy minute. Stopping goes in the reverse order of the dependencies.
"""

import asyncio
import contextlib
import os
import random
import signal
import sys
import time
from collections.abc import Callable, Iterable
from pathlib import Path

from vigil_cli.standalone.supervisor import launch, strays
from vigil_cli.standalone.supervisor.logs import ProcessLog
from vigil_cli.standalone.supervisor.spec import ProcessSpec, ProcessState, ProcessStatus, StartError

FIRST_BACKOFF_S = 0.2
"""Most deaths are single ones, and a camera that is not watched is what the restart is for."""
MAX_BACKOFF_S = 15.0
HEALTHY_AFTER_S = 60.0
READY_POLL_S = 0.05


def command(spec: ProcessSpec) -> list[str]:
    """Give the full command of a process, with the bond to this one."""
    namespace = "1" if spec.pretend_unprivileged and os.geteuid() == 0 else "0"
    return [sys.executable, "-I", "-S", launch.__file__, str(os.getpid()), namespace, *spec.argv]


class Supervisor:
    """Starts, watches and stops child processes; use it as an async context manager.

    Parameters
    ----------
    state
        Folder for logs and for the notes by which a successor recognises strays.
    changed
        Called after every change of a process's state.
    """

    def __init__(self, state: Path, changed: Callable[[ProcessStatus], None] = lambda _: None) -> None:
        self._logs = state / "logs"
        self._notes = state / "run"
        self._changed = changed
        self._children: dict[str, _Child] = {}

    async def __aenter__(self) -> "Supervisor":
        await asyncio.to_thread(strays.end_strays, self._notes)
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.stop()

    @property
    def statuses(self) -> dict[str, ProcessStatus]:
        """How each process is doing."""
        return {name: child.status for name, child in self._children.items()}

    def add(self, spec: ProcessSpec) -> None:
        """Start a process as soon as those that it comes after are ready.

        Raises
        ------
        ValueError
            The name is taken, or `after` names a process that does not exist.
        """
        unknown = set(spec.after) - set(self._children)
        if spec.name in self._children or unknown:
            msg = f"process {spec.name!r} exists already or comes after unknown processes {sorted(unknown)}"
            raise ValueError(msg)
        before = [self._children[name] for name in spec.after]
        child = _Child(spec, before, ProcessLog(self._logs / f"{spec.name}.log"), self._notes, self._changed)
        self._children[spec.name] = child
        child.start()

    async def remove(self, name: str) -> None:
        """Stop a process for good."""
        child = self._children.pop(name)
        await child.stop()

    async def replace(self, spec: ProcessSpec) -> None:
        """Stop the process of this name, if there is one, and start the new one."""
        if spec.name in self._children:
            await self.remove(spec.name)
        self.add(spec)

    async def wait_ready(self, names: Iterable[str], timeout_s: float) -> None:
        """Wait until all of these processes are ready.

        Raises
        ------
        StartError
            One of them is not, in that time; the text carries the last line of its log.
        """
        children = [self._children[name] for name in names]
        waits = [asyncio.ensure_future(child.ready.wait()) for child in children]
        try:
            if waits:
                await asyncio.wait(waits, timeout=timeout_s)
        finally:
            for wait in waits:
                wait.cancel()
        late = [child for child in children if not child.ready.is_set()]
        if late:
            raise StartError("; ".join(child.complaint(timeout_s) for child in late))

    async def stop(self) -> None:
        """Stop all processes, those that depend on others first."""
        remaining = dict(self._children)
        while remaining:
            needed = {name for child in remaining.values() for name in child.spec.after}
            layer = [name for name in remaining if name not in needed] or list(remaining)
            await asyncio.gather(*(remaining.pop(name).stop() for name in layer))
        self._children.clear()


class _Child:
    """One process and the task that keeps it running."""

    def __init__(
        self,
        spec: ProcessSpec,
        before: list["_Child"],
        log: ProcessLog,
        notes: Path,
        changed: Callable[[ProcessStatus], None],
    ) -> None:
        self.spec = spec
        self.status = ProcessStatus(spec.name)
        self.ready = asyncio.Event()
        self._before = before
        self._log = log
        self._notes = notes
        self._changed = changed
        self._process: asyncio.subprocess.Process | None = None
        self._task: asyncio.Task[None] | None = None
        self._stopping = False

    def start(self) -> None:
        self._task = asyncio.create_task(self._keep_running(), name=f"supervise {self.spec.name}")

    def complaint(self, waited_s: float) -> str:
        last = self._log.last_line or "it wrote nothing"
        code = "" if self.status.exit_code is None else f", last exit {self.status.exit_code}"
        return f"{self.spec.name} is not ready after {waited_s:.0f} s (started {self.status.starts}x{code}): {last}"

    async def _keep_running(self) -> None:
        backoff = FIRST_BACKOFF_S
        while not self._stopping:
            await asyncio.gather(*(child.ready.wait() for child in self._before))
            began = time.monotonic()
            code = await self._run_once()
            self._tell(ProcessState.ENDED, exit_code=code)
            if code in self.spec.final_exit_codes or self._stopping:
                return
            backoff = FIRST_BACKOFF_S if time.monotonic() - began > HEALTHY_AFTER_S else min(backoff * 2, MAX_BACKOFF_S)
            pause = backoff * random.uniform(0.5, 1.0)  # noqa: S311 - spreads restarts; nothing is kept secret by it
            self._tell(ProcessState.BACKING_OFF, next_start_in_s=pause)
            await asyncio.sleep(pause)

    async def _run_once(self) -> int:
        """Start the process and wait for its end, whatever happens on the way."""
        self._tell(ProcessState.STARTING, starts=self.status.starts + 1)
        pump: asyncio.Task[None] | None = None
        try:
            await asyncio.to_thread(self.spec.before_start)
            process = self._process = await self._spawn()
            pump = asyncio.create_task(self._log.pump(_output(process)))
            self.status.pid = process.pid
            strays.record(self._notes, self.spec.name, process.pid)
            ending = asyncio.create_task(process.wait())
            if await self._becomes_ready(ending):
                self.ready.set()
                self._tell(ProcessState.READY)
            else:
                strays.kill_group(process.pid)
            return await ending
        except OSError as error:
            self._log.write(f"cannot start {self.spec.name}: {error}\n".encode())
            return launch.CANNOT_START
        finally:
            await self._clean_up(pump)

    async def _spawn(self) -> asyncio.subprocess.Process:
        return await asyncio.create_subprocess_exec(
            *command(self.spec),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
            env={**os.environ, **self.spec.env},
            cwd=self.spec.cwd,
            start_new_session=True,
        )

    async def _becomes_ready(self, ending: asyncio.Task[int]) -> bool:
        deadline = time.monotonic() + self.spec.ready_timeout_s
        while time.monotonic() < deadline and not ending.done():
            if await asyncio.to_thread(self.spec.ready) and not ending.done():
                return True
            await asyncio.wait([ending], timeout=READY_POLL_S)
        if not ending.done():
            self._log.write(f"not ready after {self.spec.ready_timeout_s:.0f} s; starting anew\n".encode())
        return False

    async def _clean_up(self, pump: asyncio.Task[None] | None) -> None:
        self.ready.clear()
        if self._process is not None:
            strays.kill_group(self._process.pid)  # what the process itself may have started
            with contextlib.suppress(ProcessLookupError):
                if self._process.returncode is None:
                    self._process.kill()
            strays.forget(self._notes, self.spec.name)
        self.status.pid = None
        if pump is not None:
            with contextlib.suppress(TimeoutError, asyncio.CancelledError):
                await asyncio.wait_for(pump, 1)

    async def stop(self) -> None:
        """End the process: politely, and after the time it has for that, for certain."""
        process = self._process
        self._stopping = True
        self._tell(ProcessState.STOPPING)
        if process is not None and process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                process.send_signal(self.spec.stop_signal)
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(process.wait(), self.spec.stop_timeout_s)
            strays.kill_group(process.pid, signal.SIGKILL)
        if self._task is not None:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task
        self._tell(ProcessState.STOPPED)

    def _tell(self, state: ProcessState, **values: float | None) -> None:
        status = self.status
        status.state, status.last_line = state, self._log.last_line
        status.since = type(status.since).now(status.since.tzinfo)
        status.next_start_in_s = None
        for name, value in values.items():
            setattr(status, name, value)
        self._changed(status)


def _output(process: asyncio.subprocess.Process) -> asyncio.StreamReader:
    if process.stdout is None:
        msg = "the process was started without a pipe for its output"
        raise RuntimeError(msg)
    return process.stdout
