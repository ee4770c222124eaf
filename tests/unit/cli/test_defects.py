"""An unforeseen error is one sentence, and `vigil logs` shows its traceback."""

import asyncio
import json
from pathlib import Path

import pytest
from tests.support.waiting import eventually
from tests.unit.cli.applying import CAMERA, LOBBY, Started, applying, serving, wanted

from vigil_cli.commands.logs import for_people
from vigil_cli.dashboard import DashboardState
from vigil_cli.standalone import background, progress
from vigil_cli.standalone.defects import MAX_TRACE, Defects
from vigil_cli.supervisor import ProcessSpec
from vigil_runtime.backoff import Steps


class Defective(Started):
    """Raises `defect` while it is set."""

    defect: Exception | None = None
    tries = 0

    async def replace(self, spec: ProcessSpec) -> None:
        self.tries += 1
        if self.defect is not None:
            raise self.defect
        await super().replace(spec)


@pytest.fixture
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(progress, "backoff_s", lambda *_: 0.01)
    monkeypatch.setattr(background, "CONNECTION", Steps(0.01, 0.01))


def shown(log: Path) -> str:
    return "\n".join(for_people(line).plain for line in log.read_text().splitlines())


@pytest.mark.usefixtures("soon")
async def test_a_defect_is_reported_once_with_its_traceback(tmp_path: Path) -> None:
    supervisor = Defective(tmp_path)
    supervisor.defect = LookupError("no such thing")
    with serving() as identity:
        async with applying(identity, tmp_path) as (made, problems):
            made.supervisor = supervisor
            made.set_desired(wanted(tmp_path, CAMERA))
            made.start_streams()
            await eventually(lambda: supervisor.tries > 5, 10, "it is tried again and again")

            supervisor.defect = None

            assert await made.settle(10)
    message = "LookupError: no such thing (`vigil logs defects` shows the traceback); it is tried again"
    assert problems == [("stream", LOBBY, message), ("stream", LOBBY, "")]
    found = shown(tmp_path / "state" / "logs" / "defects.log")
    assert "stream default/lobby cannot be applied\nTraceback" in found
    assert "raise self.defect" in found
    assert found.count("LookupError: no such thing") == 1


@pytest.mark.usefixtures("soon")
async def test_a_failed_task_starts_again_and_its_traceback_is_kept(tmp_path: Path) -> None:
    log, began = tmp_path / "logs" / "defects.log", asyncio.Event()
    lines: list[tuple[str, str]] = []

    async def run() -> None:
        if not lines:
            raise LookupError("no such thing")
        began.set()

    dashboard = DashboardState(emit=lambda style, line: lines.append((style, line)))
    async with background.background_tasks(dashboard, Defects(log, "vigil logs defects"), {"a look": run}):
        await asyncio.wait_for(began.wait(), 10)

    message = "LookupError: no such thing (`vigil logs defects` shows the traceback)"
    assert lines == [("error", f"a look failed and starts again: {message}")]
    assert "a look failed\nTraceback" in shown(log)
    assert "in run\n" in shown(log)


@pytest.mark.parametrize("size", [10, 10 * MAX_TRACE])
def test_a_long_traceback_is_cut_at_its_start(tmp_path: Path, size: int) -> None:
    log = tmp_path / "logs" / "defects.log"

    Defects(log, "vigil logs defects").record("a try", LookupError("x" * size + "the end"))

    (line,) = log.read_text().splitlines()
    kept = json.loads(line)["exception"]
    assert len(kept) <= MAX_TRACE
    assert kept.endswith("the end\n")
