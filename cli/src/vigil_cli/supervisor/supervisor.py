"""Supervise a set of child processes.

Every process has one task. It starts the process when those named in `after` are ready, waits until the process is
ready and then until it ends, and starts it again after a pause, which doubles with each failure and starts small again
after a healthy minute. Stopping goes in the reverse order of the dependencies. When this process is killed, the kernel
kills its children, and the reaper kills what those had started. When the reaper is killed too, the next supervisor on
the same state folder recognises and ends the rest.
"""

import asyncio
import contextlib
import time
from collections.abc import Callable, Iterable
from pathlib import Path

from vigil_cli.supervisor import lock, orphans
from vigil_cli.supervisor.child import READY_POLL_S, Child
from vigil_cli.supervisor.command import command
from vigil_cli.supervisor.logs import ProcessLog
from vigil_cli.supervisor.reaper import Reaper
from vigil_cli.supervisor.spec import ProcessSpec, ProcessStatus, StartError

__all__ = ["Supervisor", "command"]


class Supervisor:
    """Starts, watches and stops child processes; use it as an async context manager, in the main thread.

    Entering it locks the state folder (StartError when another supervisor holds the lock) and ends the orphans of a
    killed predecessor, so choose ports afterwards. Leaving it stops everything.

    Parameters
    ----------
    state
        Folder for logs (`logs/<name>.log`) and for the records by which a successor recognises orphans (`run/`).
    changed
        Called in the event loop after every change of the state of a process.
    """

    def __init__(self, state: Path, changed: Callable[[ProcessStatus], None] = lambda _: None) -> None:
        self._state = state
        self._changed = changed
        self._children: dict[str, Child] = {}
        self._held = contextlib.ExitStack()
        self._reaper: Reaper | None = None

    async def __aenter__(self) -> "Supervisor":
        try:
            self._held.enter_context(lock.held(self._state))
            await asyncio.to_thread(orphans.end_orphans, self._state / "run")
            self._reaper = Reaper(self._state / "run")
        except OSError as error:
            self._held.close()
            msg = f"The state folder {self._state} cannot be used: {error.strerror}; make room there or choose another."
            raise StartError(msg) from error
        return self

    async def __aexit__(self, *_: object) -> None:
        try:
            await self.stop()
        finally:
            if self._reaper is not None:
                await asyncio.to_thread(self._reaper.close)
            self._held.close()

    @property
    def statuses(self) -> dict[str, ProcessStatus]:
        """The status of each process by name."""
        return {name: child.status for name, child in self._children.items()}

    def add(self, spec: ProcessSpec) -> None:
        """Start a process as soon as those named in its `after` are ready.

        Raises
        ------
        ValueError
            The name is taken, or `after` names a process that does not exist.
        RuntimeError
            The supervisor was not entered.
        """
        unknown = set(spec.after) - set(self._children)
        if spec.name in self._children or unknown:
            msg = f"process {spec.name!r} exists already or comes after unknown processes {sorted(unknown)}"
            raise ValueError(msg)
        if self._reaper is None:
            msg = "enter the supervisor before adding processes: async with Supervisor(...)"
            raise RuntimeError(msg)
        before = [self._children[name] for name in spec.after]
        log = ProcessLog(self._state / "logs" / f"{spec.name}.log")
        child = Child(spec, before, log, self._reaper, self._changed)
        self._children[spec.name] = child
        child.start()

    async def remove(self, name: str) -> None:
        """Stop a process for good."""
        child = self._children.pop(name)
        await child.stop()

    async def replace(self, spec: ProcessSpec) -> None:
        """Stop the process of this name, if it exists, and start the new one."""
        if spec.name in self._children:
            await self.remove(spec.name)
        self.add(spec)

    async def restart(self, name: str) -> None:
        """End a process and start it again with the same spec; those that depend on it go on."""
        await self._children[name].restart()

    async def wait_ready(self, names: Iterable[str], timeout_s: float) -> None:
        """Wait until all of these processes are ready.

        Raises
        ------
        StartError
            One of them is not ready in that time, or failed to start five times in a row; the text names it, the
            cause where it is known, its last line of output and its log.
        """
        children = [self._children[name] for name in names]
        deadline = time.monotonic() + timeout_s
        while late := [child for child in children if not child.ready.is_set()]:
            if time.monotonic() > deadline or any(child.is_failing for child in late):
                raise StartError(". ".join(child.describe_failure() for child in late))
            await asyncio.sleep(READY_POLL_S)

    async def stop(self) -> None:
        """Stop all processes, those that depend on others first."""
        remaining = dict(self._children)
        while remaining:
            needed = {name for child in remaining.values() for name in child.spec.after}
            layer = [name for name in remaining if name not in needed] or list(remaining)
            await asyncio.gather(*(remaining.pop(name).stop() for name in layer))
        self._children.clear()
