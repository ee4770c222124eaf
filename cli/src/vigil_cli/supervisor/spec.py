"""The specification and the status of a child process."""

import datetime as dt
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path


class StartError(Exception):
    """A process or server cannot be started; the text is one sentence with the remedy."""


@dataclass(frozen=True, slots=True)
class ProcessSpec:
    """How to start, probe and stop one child process.

    Attributes
    ----------
    name
        Unique within a supervisor; also the name of its log file.
    argv
        Program and arguments; the program as an absolute path.
    env
        Added to the supervisor's own environment.
    ready
        Readiness probe, called in a thread until it returns true, and every ten seconds from then on; it must return
        within two seconds and not raise.
    ready_timeout_s
        Seconds after which a process that is not ready is ended and started again.
    after
        Names of processes that must be ready first; they are stopped later.
    stop_timeout_s
        Seconds from `stop_signal` to SIGKILL.
    pretend_unprivileged
        When started by root, the process runs as another user (Postgres refuses to run as root).
    before_start
        Called in a thread before every start, for example to remove the leftovers of a killed predecessor. It may
        raise StartError or OSError, which counts as a failed start.
    final_exit_codes
        Exit codes after which the process is not started again.
    """

    name: str
    argv: Sequence[str]
    env: Mapping[str, str] = field(default_factory=dict)
    cwd: Path | None = None
    ready: Callable[[], bool] = lambda: True
    ready_timeout_s: float = 30.0
    after: tuple[str, ...] = ()
    stop_signal: int = 15
    stop_timeout_s: float = 10.0
    pretend_unprivileged: bool = False
    before_start: Callable[[], None] = lambda: None
    final_exit_codes: frozenset[int] = frozenset()


class ProcessState(StrEnum):
    """The states of a child process."""

    WAITING = "Waiting"
    STARTING = "Starting"
    READY = "Ready"
    NOT_RESPONDING = "NotResponding"
    BACKING_OFF = "BackingOff"
    STOPPING = "Stopping"
    STOPPED = "Stopped"
    ENDED = "Ended"


@dataclass(slots=True)
class ProcessStatus:
    """The last known status of a child process.

    Attributes
    ----------
    exit_code
        The exit status of the last run; negative: the signal that ended it.
    last_line
        Its last line of output.
    since
        Time of the last change of state.
    next_start_in_s
        While backing off: seconds from `since` to the next start.
    """

    name: str
    state: ProcessState = ProcessState.WAITING
    pid: int | None = None
    starts: int = 0
    exit_code: int | None = None
    last_line: str = ""
    since: dt.datetime = field(default_factory=lambda: dt.datetime.now(dt.UTC))
    next_start_in_s: float | None = None
