"""The programs of one cluster: started in order, each known to be ready, stopped and started again by name."""

import contextlib
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from tests.support.kubernetes.errors import ClusterError
from tests.support.running import Running

from vigil_cli.supervisor.spec import ProcessSpec, StartError

LOG_TAIL = 2000


class Programs:
    """Programs that die with this process, however it ends.

    Start them in the main thread: the kernel ends a program when the thread that started it ends.

    Parameters
    ----------
    folder
        For their logs, one `<name>.log` each.
    within
        A command that every program is started by, for example to enter a network namespace.
    """

    def __init__(self, folder: Path, within: Sequence[str] = ()) -> None:
        self.folder = folder
        self._within = tuple(within)
        self._specs: dict[str, ProcessSpec] = {}
        self._running: dict[str, Running] = {}

    @property
    def names(self) -> list[str]:
        """Names of all programs, in the order of their first start."""
        return list(self._specs)

    def pid(self, name: str) -> int:
        """Return the process of a running program."""
        return self._of(name).pid

    def log(self, name: str) -> Path:
        """Return the file that a program logs to."""
        return self.folder / f"{name}.log"

    def add(self, spec: ProcessSpec) -> None:
        """Start a program for the first time, and wait until it is ready.

        Raises
        ------
        ClusterError
            It died or was not ready in time; its last lines and the path of its log are in the text.
        """
        self._specs[spec.name] = replace(spec, argv=[*self._within, *spec.argv])
        self.start(spec.name)

    def start(self, name: str) -> None:
        """Start a stopped program again; raises ClusterError as `add`."""
        self._known(name)
        if name in self._running:
            raise ClusterError(f"{name} is running already")
        running = Running(self._specs[name], self.folder)
        self._running[name] = running
        try:
            running.start()
        except (AssertionError, StartError, OSError) as error:
            self.stop(name)
            raise ClusterError(f"{name} did not start: {self._why(name, error)}") from error

    def stop(self, name: str, *, politely: bool = False) -> None:
        """End a program, by default as `kill -9` does."""
        self._of(name)
        running = self._running.pop(name)
        with contextlib.suppress(ProcessLookupError):
            if politely:
                running.stop()
            else:
                running.kill()

    def restart(self, name: str) -> None:
        """Kill a program and start it with the same data at the same place."""
        self.stop(name)
        self.start(name)

    def close(self) -> None:
        """End all, the last started first."""
        for name in reversed([*self._running]):
            self.stop(name)

    def _known(self, name: str) -> None:
        if name not in self._specs:
            raise ClusterError(f"this cluster has no program {name!r}; it has {', '.join(self._specs) or 'none'}")

    def _of(self, name: str) -> Running:
        self._known(name)
        if name not in self._running:
            raise ClusterError(f"{name} is stopped")
        return self._running[name]

    def _why(self, name: str, error: Exception) -> str:
        reason = str(error).splitlines()[0]
        log = self.log(name)
        tail = log.read_text(errors="replace")[-LOG_TAIL:] if log.exists() else ""
        return f"{reason}\nThe end of {log}:\n{tail}"
