"""One child process, and the task that supervises it."""

import asyncio
import contextlib
import datetime as dt
import os
import time
from collections.abc import Callable, Sequence

from vigil_cli.supervisor import launch, orphans
from vigil_cli.supervisor.command import command
from vigil_cli.supervisor.known_errors import explain
from vigil_cli.supervisor.logs import ProcessLog
from vigil_cli.supervisor.reaper import Reaper
from vigil_cli.supervisor.spec import ProcessSpec, ProcessState, ProcessStatus, StartError
from vigil_runtime.backoff import CONNECTION, Backoff

READY_POLL_S = 0.05
GIVE_UP_AFTER = 5
"""Failed starts in a row after which `wait_ready` gives up. The process is still started again."""
HEALTHY_AFTER_S = 60.0
"""After so many healthy seconds earlier failures no longer count."""
WATCH_S = 10.0
"""Between two probes of a process that was ready."""
MISSED_PROBES = 2
"""Probes in a row without a response after which a process is no longer shown as ready."""
DRAIN_S = 1.0
"""For reading the rest of the pipe of a process that ended."""


class Child:
    """Starts a process when those before it are ready, and again after each end.

    Attributes
    ----------
    ready
        Set while the process is ready.
    """

    def __init__(
        self,
        spec: ProcessSpec,
        before: Sequence["Child"],
        log: ProcessLog,
        reaper: Reaper,
        changed: Callable[[ProcessStatus], None],
    ) -> None:
        self.spec = spec
        self.status = ProcessStatus(spec.name)
        self.ready = asyncio.Event()
        self._before = tuple(before)
        self._log = log
        self._reaper = reaper
        self._changed = changed
        self._process: asyncio.subprocess.Process | None = None
        self._task: asyncio.Task[None] | None = None
        self._stopping = False
        self._failed_starts = 0

    @property
    def is_failing(self) -> bool:
        """Whether this process, or one that it waits for, failed several times or ended for good."""
        if any(child.is_failing for child in self._before):
            return True
        return not self.ready.is_set() and (
            self._failed_starts >= GIVE_UP_AFTER or self.status.state is ProcessState.ENDED
        )

    def start(self) -> None:
        """Start the task of this process; return at once."""
        self._task = asyncio.create_task(self._keep_running(), name=f"supervise {self.spec.name}")

    def describe_failure(self) -> str:
        """Return in one sentence why the process is not ready."""
        if missing := [child.spec.name for child in self._before if not child.ready.is_set()]:
            return f"{self.spec.name} waits for {', '.join(missing)}"
        last = self._log.last_line or "it wrote nothing"
        meaning = explain(self._log.tail)
        cause = f"{meaning} ({last})" if meaning else last
        code = "" if self.status.exit_code is None else f", last exit code {self.status.exit_code}"
        return f"{self.spec.name} does not start (tried {self.status.starts}x{code}): {cause}; log: {self._log.path}"

    async def stop(self) -> None:
        """End the process by its stop signal, and after the stop timeout by SIGKILL."""
        self._stopping = True
        self._set_state(ProcessState.STOPPING)
        await self._send_stop_signal()
        if self._task is not None:
            self._task.cancel()  # its clean-up ends the rest
            await asyncio.gather(self._task, return_exceptions=True)
        self._set_state(ProcessState.STOPPED)

    async def restart(self) -> None:
        """End the process as `stop` does; the task then starts it again."""
        process = self._process
        await self._send_stop_signal()
        if process is not None and process.returncode is None:
            orphans.kill_group(process.pid)

    async def _send_stop_signal(self) -> None:
        process = self._process
        if process is not None and process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                process.send_signal(self.spec.stop_signal)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(self.spec.stop_timeout_s):
                    await process.wait()

    async def _keep_running(self) -> None:
        backoff = Backoff(*CONNECTION)
        while not self._stopping:
            await asyncio.gather(*(child.ready.wait() for child in self._before))
            code, healthy_s = await self._run_once()
            if code in self.spec.final_exit_codes or self._stopping:
                self._set_state(ProcessState.ENDED, exit_code=code)
                return
            pause = pause_s(backoff, healthy_s)
            self._set_state(ProcessState.BACKING_OFF, exit_code=code, next_start_in_s=pause)
            await asyncio.sleep(pause)

    async def _run_once(self) -> tuple[int, float]:
        """Run the process from start to end; return the exit code and the seconds for which it was ready."""
        self._set_state(ProcessState.STARTING, starts=self.status.starts + 1)
        became_ready: float | None = None
        pump: asyncio.Task[None] | None = None
        try:
            await asyncio.to_thread(self.spec.before_start)
            process, pump = await self._spawn()
            if await self._wait_until_ready(process):
                became_ready = time.monotonic()
                self._failed_starts = 0
                self.ready.set()
                self._set_state(ProcessState.READY)
                await self._watch(process)
            else:
                self._failed_starts += 1
            return await self._end(process), (time.monotonic() - became_ready if became_ready else 0.0)
        except (OSError, StartError) as error:
            self._failed_starts += 1
            self._log.write(f"cannot start {self.spec.name}: {error}\n".encode())
            return launch.CANNOT_START, 0.0
        finally:
            self.ready.clear()
            if self._process is not None:
                await self._end(self._process)
            if pump is not None:
                await _finish(pump)

    async def _spawn(self) -> tuple[asyncio.subprocess.Process, asyncio.Task[None]]:
        """Start the process with a pipe of our own for its output.

        With a pipe of asyncio, waiting for its end would also wait for every grandchild that holds the pipe.
        """
        read_end, write_end = os.pipe()
        try:
            self._process = await asyncio.create_subprocess_exec(
                *command(self.spec),
                stdin=asyncio.subprocess.DEVNULL,
                stdout=write_end,
                stderr=write_end,
                env={**os.environ, **self.spec.env, orphans.MARK: self._reaper.mark(self.spec.name)},
                cwd=self.spec.cwd,
                start_new_session=True,
            )
        except BaseException:
            os.close(read_end)
            raise
        finally:
            os.close(write_end)
        self.status.pid = self._process.pid
        pump = asyncio.create_task(self._pump(read_end))
        self._reaper.record(self.spec.name, self._process.pid)
        return self._process, pump

    async def _pump(self, read_end: int) -> None:
        """Copy the output of the process into its log."""
        with os.fdopen(read_end, "rb", buffering=0) as pipe:
            reader = asyncio.StreamReader()
            loop = asyncio.get_running_loop()
            transport, _ = await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), pipe)
            try:
                while data := await reader.read(65536):
                    self._log.write(data)
                    self.status.last_line = self._log.last_line
            finally:
                transport.close()

    async def _wait_until_ready(self, process: asyncio.subprocess.Process) -> bool:
        deadline = time.monotonic() + self.spec.ready_timeout_s
        ending = asyncio.ensure_future(process.wait())
        try:
            while time.monotonic() < deadline and not ending.done():
                if await self._probe() and not ending.done():
                    return True
                await asyncio.wait([ending], timeout=READY_POLL_S)
        finally:
            ended = ending.done()
            ending.cancel()
        if not ended:
            self._log.write(f"not ready after {self.spec.ready_timeout_s:.0f} s; starting it again\n".encode())
        return False

    async def _watch(self, process: asyncio.subprocess.Process) -> None:
        """Wait for the end of a process that was ready; one that no longer responds is not shown as ready."""
        ending = asyncio.ensure_future(process.wait())
        missed = 0
        try:
            while not ending.done():
                await asyncio.wait([ending], timeout=WATCH_S)
                if ending.done() or self._stopping:
                    break
                missed = 0 if await self._probe() else missed + 1
                state = ProcessState.NOT_RESPONDING if missed >= MISSED_PROBES else ProcessState.READY
                self._correct_state(state)
            await ending
        finally:
            ending.cancel()

    def _correct_state(self, state: ProcessState) -> None:
        """Set whether a running process responds, unless it is being stopped."""
        if state is not self.status.state and not self._stopping:
            self._set_state(state)

    async def _probe(self) -> bool:
        try:
            return await asyncio.to_thread(self.spec.ready)
        except Exception as error:  # noqa: BLE001 - a defect of a probe must not end the supervision
            self._log.write(f"the readiness probe failed: {error!r}\n".encode())
            return False

    async def _end(self, process: asyncio.subprocess.Process) -> int:
        """End the process with all of its group, and remove its record; return its exit code."""
        self.ready.clear()
        self._process = None
        orphans.kill_group(process.pid)
        code = await process.wait()
        self.status.pid = None
        await asyncio.to_thread(self._reaper.forget, self.spec.name)
        return code

    def _set_state(
        self,
        state: ProcessState,
        *,
        starts: int | None = None,
        exit_code: int | None = None,
        next_start_in_s: float | None = None,
    ) -> None:
        status = self.status
        status.state, status.since, status.last_line = state, dt.datetime.now(dt.UTC), self._log.last_line
        status.next_start_in_s = next_start_in_s
        status.starts = status.starts if starts is None else starts
        status.exit_code = status.exit_code if exit_code is None else exit_code
        self._changed(status)


def pause_s(backoff: Backoff, healthy_s: float) -> float:
    """Return the seconds before the next start; after a healthy minute it is the first pause again."""
    if healthy_s >= HEALTHY_AFTER_S:
        backoff.reset()
    return backoff.next_s()


async def _finish(pump: asyncio.Task[None]) -> None:
    """Read the rest of the pipe of an ended process, without waiting for a grandchild that still holds it."""
    await asyncio.wait([pump], timeout=DRAIN_S)
    pump.cancel()
    await asyncio.gather(pump, return_exceptions=True)
