"""One child process, and the task that keeps it running."""

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
from vigil_runtime.backoff import Backoff

READY_POLL_S = 0.05
GIVE_UP_AFTER = 5
"""Failed starts in a row after which nobody waits for it any longer; it is still started again and again."""
FIRST_PAUSE_S, LONGEST_PAUSE_S = 0.2, 15.0
"""Before a restart. Most ends are single ones, and the restart is there for a camera that nobody watches."""
HEALTHY_AFTER_S = 60.0
"""A process that was ready for so long has got over its earlier failures."""
LAST_WORDS_S = 1.0
"""For reading what is left in the pipe of a process that ended."""


class Child:
    """Starts a process once those before it are ready, and again whenever it ends.

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
        """It, or one that it waits for, has failed again and again, or has ended for good."""
        if any(child.is_failing for child in self._before):
            return True
        return not self.ready.is_set() and (
            self._failed_starts >= GIVE_UP_AFTER or self.status.state is ProcessState.ENDED
        )

    def start(self) -> None:
        """Begin; returns at once."""
        self._task = asyncio.create_task(self._keep_running(), name=f"supervise {self.spec.name}")

    def describe_failure(self) -> str:
        """Say in one sentence why it is not ready."""
        if missing := [child.spec.name for child in self._before if not child.ready.is_set()]:
            return f"{self.spec.name} waits for {', '.join(missing)}"
        words = self._log.last_line or "it wrote nothing"
        meaning = explain(self._log.tail)
        cause = f"{meaning} ({words})" if meaning else words
        code = "" if self.status.exit_code is None else f", last exit code {self.status.exit_code}"
        return f"{self.spec.name} does not start (tried {self.status.starts}x{code}): {cause}; log: {self._log.path}"

    async def stop(self) -> None:
        """End the process: politely, and after the time it has for that, for certain."""
        self._stopping = True
        self._tell(ProcessState.STOPPING)
        await self._ask_to_end()
        if self._task is not None:
            self._task.cancel()  # its clean-up ends what is still there
            await asyncio.gather(self._task, return_exceptions=True)
        self._tell(ProcessState.STOPPED)

    async def restart(self) -> None:
        """End the process, as `stop` does; it is started again as after every other end."""
        process = self._process
        await self._ask_to_end()
        if process is not None and process.returncode is None:
            orphans.kill_group(process.pid)

    async def _ask_to_end(self) -> None:
        process = self._process
        if process is not None and process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                process.send_signal(self.spec.stop_signal)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(self.spec.stop_timeout_s):
                    await process.wait()

    async def _keep_running(self) -> None:
        backoff = Backoff(FIRST_PAUSE_S, LONGEST_PAUSE_S)
        while not self._stopping:
            await asyncio.gather(*(child.ready.wait() for child in self._before))
            code, healthy_s = await self._run_once()
            if code in self.spec.final_exit_codes or self._stopping:
                self._tell(ProcessState.ENDED, exit_code=code)
                return
            pause = pause_s(backoff, healthy_s)
            self._tell(ProcessState.BACKING_OFF, exit_code=code, next_start_in_s=pause)
            await asyncio.sleep(pause)

    async def _run_once(self) -> tuple[int, float]:
        """Run it from start to end; gives the exit code and for how long it was ready."""
        self._tell(ProcessState.STARTING, starts=self.status.starts + 1)
        became_ready: float | None = None
        pump: asyncio.Task[None] | None = None
        try:
            await asyncio.to_thread(self.spec.before_start)
            process, pump = await self._spawn()
            if await self._becomes_ready(process):
                became_ready = time.monotonic()
                self._failed_starts = 0
                self.ready.set()
                self._tell(ProcessState.READY)
                await process.wait()
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
        """Start it with a pipe of our own for its output.

        With asyncio's, waiting for its end would also wait for every grandchild that holds the pipe.
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
        """Move all that it writes into its log."""
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

    async def _becomes_ready(self, process: asyncio.subprocess.Process) -> bool:
        deadline = time.monotonic() + self.spec.ready_timeout_s
        ending = asyncio.ensure_future(process.wait())
        try:
            while time.monotonic() < deadline and not ending.done():
                if await self._says_ready() and not ending.done():
                    return True
                await asyncio.wait([ending], timeout=READY_POLL_S)
        finally:
            ended = ending.done()
            ending.cancel()
        if not ended:
            self._log.write(f"not ready after {self.spec.ready_timeout_s:.0f} s; starting anew\n".encode())
        return False

    async def _says_ready(self) -> bool:
        try:
            return await asyncio.to_thread(self.spec.ready)
        except Exception as error:  # noqa: BLE001 - one probe's fault must not end the watch over its process
            self._log.write(f"the readiness probe failed: {error!r}\n".encode())
            return False

    async def _end(self, process: asyncio.subprocess.Process) -> int:
        """End it with all of its process group, and forget it; gives its exit code."""
        self.ready.clear()
        self._process = None
        orphans.kill_group(process.pid)
        code = await process.wait()
        self.status.pid = None
        await asyncio.to_thread(self._reaper.forget, self.spec.name)
        return code

    def _tell(
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
    """Return the seconds before the next start; after a healthy minute the pauses begin again with the first."""
    if healthy_s >= HEALTHY_AFTER_S:
        backoff.reset()
    return backoff.next_s()


async def _finish(pump: asyncio.Task[None]) -> None:
    """Read what the ended process left in its pipe; a grandchild that still holds the pipe is not waited for."""
    await asyncio.wait([pump], timeout=LAST_WORDS_S)
    pump.cancel()
    await asyncio.gather(pump, return_exceptions=True)
