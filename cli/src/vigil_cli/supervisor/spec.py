"""What a child process is, and how it is doing."""

import datetime as dt
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path


class StartError(Exception):
    """A process or server that cannot be started; the text is one sentence for a person, with what to do."""


@dataclass(frozen=True, slots=True)
class ProcessSpec:
    """How one child process is started, known to be ready, and stopped.

    Attributes
    ----------
    name
        Unique within a supervisor; also the name of its log file.
    argv
        Program and arguments; the program as an absolute path.
    env
        Added to the supervisor's own environment.
    ready
        Asked again and again in a thread until it says yes; it must answer within a second or two and not raise.
    ready_timeout_s
        After so long without a yes the process is ended and started anew.
    after
        Names of processes that must be ready first; they are stopped later.
    stop_timeout_s
        From the polite signal to SIGKILL.
    pretend_unprivileged
        Started by root, it sees itself as another user (Postgres refuses to run as root).
    before_start
        Run in a thread before every start, for example to remove what a killed predecessor left. It may raise
        StartError or OSError: that counts as a failed start.
    final_exit_codes
        Exit codes after which it is not started again.
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
    """Where a child process is in its life."""

    WAITING = "Waiting"
    STARTING = "Starting"
    READY = "Ready"
    BACKING_OFF = "BackingOff"
    STOPPING = "Stopping"
    STOPPED = "Stopped"
    ENDED = "Ended"


@dataclass(slots=True)
class ProcessStatus:
    """How a child process is doing, as last known.

    Attributes
    ----------
    exit_code
        Of the last run; negative: the signal that ended it.
    last_line
        The last line that it wrote.
    since
        When it came into this state.
    next_start_in_s
        While backing off: the pause, counted from `since`.
    """

    name: str
    state: ProcessState = ProcessState.WAITING
    pid: int | None = None
    starts: int = 0
    exit_code: int | None = None
    last_line: str = ""
    since: dt.datetime = field(default_factory=lambda: dt.datetime.now(dt.UTC))
    next_start_in_s: float | None = None
