"""Children are kept running, stopped in order, and watched."""

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from tests.support.waiting import eventually

from vigil_cli.supervisor import ProcessSpec, ProcessState, ProcessStatus, StartError, Supervisor, child
from vigil_cli.supervisor.orphans import find_process


def python(name: str, code: str, **options: object) -> ProcessSpec:
    return ProcessSpec(name, [sys.executable, "-S", "-c", code], **options)  # type: ignore[arg-type]


def sleeper(name: str, **options: object) -> ProcessSpec:
    return python(name, "import time; time.sleep(600)", **options)


class History:
    """All changes of state, in order."""

    def __init__(self) -> None:
        self.changes: list[tuple[str, ProcessState, float | None]] = []

    def __call__(self, status: ProcessStatus) -> None:
        self.changes.append((status.name, status.state, status.next_start_in_s))

    def states(self, name: str) -> list[ProcessState]:
        return [state for child, state, _ in self.changes if child == name]

    def pauses(self, name: str) -> list[float]:
        return [pause for child, _, pause in self.changes if child == name and pause is not None]


@pytest.fixture
def history() -> History:
    return History()


@pytest.fixture
async def supervisor(tmp_path: Path, history: History) -> AsyncIterator[Supervisor]:
    async with Supervisor(tmp_path, history) as made:
        yield made


async def test_a_hung_child_is_not_shown_as_ready(
    supervisor: Supervisor, history: History, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is not ended: it may only be slow."""
    monkeypatch.setattr(child, "WATCH_S", 0.05)
    responds = tmp_path / "responds"
    responds.touch()
    supervisor.add(sleeper("a", ready=responds.exists))
    await supervisor.wait_ready(["a"], 10)
    responds.unlink()
    await eventually(lambda: supervisor.statuses["a"].state == "NotResponding", 10, "it is shown as hung")
    responds.touch()
    await eventually(lambda: supervisor.statuses["a"].state == "Ready", 10, "it is ready again")
    assert supervisor.statuses["a"].starts == 1
    assert [state for state in history.states("a") if state == "NotResponding"] == ["NotResponding"]


async def test_a_killed_child_is_started_again(supervisor: Supervisor) -> None:
    supervisor.add(sleeper("a"))
    await supervisor.wait_ready(["a"], 10)
    first = supervisor.statuses["a"].pid
    assert first is not None
    os.kill(first, signal.SIGKILL)
    await eventually(lambda: supervisor.statuses["a"].starts == 2, 10, "started a second time")
    await supervisor.wait_ready(["a"], 10)
    status = supervisor.statuses["a"]
    assert (status.exit_code, status.state) == (-signal.SIGKILL, ProcessState.READY)
    assert status.pid not in {None, first}


async def test_a_restarted_child_does_not_stop_its_dependants(supervisor: Supervisor) -> None:
    deaf = (
        "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('deaf', flush=True); time.sleep(600)"
    )
    supervisor.add(python("a", deaf, ready=lambda: supervisor.statuses["a"].last_line == "deaf", stop_timeout_s=0.1))
    supervisor.add(sleeper("b", after=("a",)))
    await supervisor.wait_ready(["a", "b"], 10)

    await supervisor.restart("a")

    await eventually(lambda: supervisor.statuses["a"].starts == 2, 10, "started a second time")
    await supervisor.wait_ready(["a", "b"], 10)
    assert supervisor.statuses["b"].starts == 1


async def test_a_crashing_child_is_started_again_after_growing_pauses(supervisor: Supervisor, history: History) -> None:
    supervisor.add(python("a", "print('the reason'); raise SystemExit(3)", ready=lambda: False))
    await eventually(lambda: len(history.pauses("a")) >= 3, 20, "three pauses")
    for pause, bound in zip(history.pauses("a"), (0.2, 0.4, 0.8), strict=False):
        assert bound / 2 <= pause <= bound
    assert supervisor.statuses["a"].exit_code == 3
    assert supervisor.statuses["a"].last_line == "the reason"


async def test_waiting_for_a_failing_child_ends_early_with_a_reason(supervisor: Supervisor) -> None:
    supervisor.add(python("a", "raise SystemExit('bind: Address already in use')", ready=lambda: False))
    with pytest.raises(StartError, match=r"a does not start \(tried 5x, last exit code 1\): its port is taken"):
        await supervisor.wait_ready(["a"], 60)


async def test_a_program_that_is_not_there_gets_a_sentence(supervisor: Supervisor, tmp_path: Path) -> None:
    supervisor.add(
        ProcessSpec("a", [str(tmp_path / "nothing")], ready=lambda: False, final_exit_codes=frozenset({127}))
    )
    with pytest.raises(StartError, match=r"cannot start .*nothing: .*No such file"):
        await supervisor.wait_ready(["a"], 10)


async def test_a_failing_preparation_is_a_failed_start_and_tried_again(supervisor: Supervisor) -> None:
    asked: list[int] = []

    def prepare() -> None:
        asked.append(1)
        if len(asked) < 3:
            raise StartError("not yet")

    supervisor.add(sleeper("a", before_start=prepare))
    await supervisor.wait_ready(["a"], 20)
    assert len(asked) == 3


async def test_a_probe_that_raises_does_not_end_the_watch(supervisor: Supervisor) -> None:
    answers = iter(["no", "raise"])

    def ready() -> bool:
        answer = next(answers, "yes")
        if answer == "raise":
            raise ValueError("half an answer")
        return answer == "yes"

    supervisor.add(sleeper("a", ready=ready))
    await supervisor.wait_ready(["a"], 10)
    assert "half an answer" in supervisor.statuses["a"].last_line
    assert supervisor.statuses["a"].starts == 1


async def test_a_child_that_does_not_become_ready_is_started_anew(supervisor: Supervisor) -> None:
    supervisor.add(sleeper("a", ready=lambda: supervisor.statuses["a"].starts > 1, ready_timeout_s=0.2))
    await supervisor.wait_ready(["a"], 20)
    assert supervisor.statuses["a"].starts == 2


async def test_a_child_starts_after_its_dependencies(tmp_path: Path, history: History) -> None:
    """It stops before them."""
    async with Supervisor(tmp_path, history) as supervisor:
        supervisor.add(sleeper("base"))
        supervisor.add(sleeper("middle", after=("base",)))
        supervisor.add(sleeper("top", after=("middle",)))
        await supervisor.wait_ready(["top"], 10)
    order = [(name, state) for name, state, _ in history.changes if state in {ProcessState.READY, ProcessState.STOPPED}]
    names = ["base", "middle", "top"]
    assert order == [(name, ProcessState.READY) for name in names] + [
        (name, ProcessState.STOPPED) for name in reversed(names)
    ]


async def test_what_waits_for_a_hopeless_child_says_for_which(supervisor: Supervisor) -> None:
    supervisor.add(python("base", "raise SystemExit(1)", ready=lambda: False))
    supervisor.add(sleeper("top", after=("base",)))
    with pytest.raises(StartError, match="top waits for base"):
        await supervisor.wait_ready(["top"], 60)


async def test_children_come_and_go_while_others_run(supervisor: Supervisor) -> None:
    supervisor.add(sleeper("stays"))
    supervisor.add(sleeper("goes"))
    await supervisor.wait_ready(["stays", "goes"], 10)
    stays, goes = (supervisor.statuses[name].pid for name in ("stays", "goes"))
    assert stays is not None
    assert goes is not None
    await supervisor.remove("goes")
    assert find_process(goes) is None
    await supervisor.replace(sleeper("other"))
    await supervisor.wait_ready(["other"], 10)
    assert set(supervisor.statuses) == {"stays", "other"}
    assert supervisor.statuses["stays"].pid == stays


async def test_a_child_that_ignores_the_polite_signal_is_killed(supervisor: Supervisor) -> None:
    code = "import signal, time; signal.signal(15, signal.SIG_IGN); print('deaf', flush=True); time.sleep(600)"
    supervisor.add(python("a", code, ready=lambda: supervisor.statuses["a"].last_line == "deaf", stop_timeout_s=0.2))
    await supervisor.wait_ready(["a"], 10)
    pid = supervisor.statuses["a"].pid
    assert pid is not None
    await supervisor.remove("a")
    assert find_process(pid) is None


async def test_a_grandchild_with_the_output_delays_no_restart(supervisor: Supervisor) -> None:
    """The grandchild still holds the pipe of the ended child."""
    code = (
        "import subprocess, sys, time\n"
        "subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(600)'], start_new_session=True)\n"
        "print('family', flush=True); time.sleep(600)"
    )
    supervisor.add(python("a", code, ready=lambda: supervisor.statuses["a"].last_line == "family"))
    await supervisor.wait_ready(["a"], 10)
    pid = supervisor.statuses["a"].pid
    assert pid is not None
    os.kill(pid, signal.SIGKILL)
    await eventually(lambda: supervisor.statuses["a"].starts == 2, 10, "started a second time")


async def test_names_are_unique_and_needs_must_exist(supervisor: Supervisor) -> None:
    supervisor.add(sleeper("a"))
    with pytest.raises(ValueError, match="exists already"):
        supervisor.add(sleeper("a"))
    with pytest.raises(ValueError, match="unknown processes"):
        supervisor.add(sleeper("b", after=("nobody",)))


async def test_a_second_supervisor_on_a_folder_is_refused(supervisor: Supervisor, tmp_path: Path) -> None:
    """The children of the first one go on."""
    supervisor.add(sleeper("a"))
    await supervisor.wait_ready(["a"], 10)
    pid = supervisor.statuses["a"].pid
    assert pid is not None
    with pytest.raises(StartError, match=rf"in use by another vigil \(process {os.getpid()}\)"):
        async with Supervisor(tmp_path):
            pass
    assert find_process(pid) is not None


async def test_stopping_while_children_start_leaves_nothing(tmp_path: Path) -> None:
    async with Supervisor(tmp_path) as supervisor:
        for number in range(5):
            supervisor.add(sleeper(f"a{number}", ready=lambda: False))
        await asyncio.sleep(0)
    assert list((tmp_path / "run").glob("*.json")) == []
