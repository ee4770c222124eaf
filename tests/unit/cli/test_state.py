"""A state folder: its lock, its secrets, and clear errors when it cannot be used."""

import asyncio
import json
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from tests.support.waiting import eventually

from vigil_cli.commands import down
from vigil_cli.commands.doctor import examine
from vigil_cli.commands.up import webcam
from vigil_cli.dashboard import DashboardState
from vigil_cli.errors import CommandError
from vigil_cli.standalone import disk, state
from vigil_cli.standalone.state import StateFolder


def test_secrets_are_made_once_and_for_the_owner_only(tmp_path: Path) -> None:
    folder = StateFolder(tmp_path)

    first = folder.secrets()

    assert folder.secrets() == first
    assert (tmp_path / "secrets.json").stat().st_mode & 0o077 == 0
    assert len({first.database, first.registry, first.api}) == 3


def test_secrets_of_an_earlier_version_are_kept(tmp_path: Path) -> None:
    """The password of the database is one of them; that version had a token for all on the bus too."""
    first = StateFolder(tmp_path).secrets()
    file = tmp_path / "secrets.json"
    file.write_text(json.dumps({**json.loads(file.read_text()), "nats": "former"}))
    assert StateFolder(tmp_path).secrets() == first


def test_the_keys_of_the_bus_are_made_once_for_the_owner(tmp_path: Path) -> None:
    first = StateFolder(tmp_path).bus_authority().to_json()
    assert StateFolder(tmp_path).bus_authority().to_json() == first
    assert (tmp_path / "bus-keys.json").stat().st_mode & 0o077 == 0


def test_a_second_user_of_the_folder_is_refused(tmp_path: Path) -> None:
    with StateFolder(tmp_path).locked():
        assert StateFolder(tmp_path).is_locked
        with pytest.raises(CommandError, match="already running"), StateFolder(tmp_path).locked():
            pass

    assert not StateFolder(tmp_path).is_locked


STARTING = """
import sys, time
from pathlib import Path
from vigil_cli.standalone.state import StateFolder
with StateFolder(Path(sys.argv[1])).locked():
    print("starting", flush=True)
    time.sleep(600)
"""


def test_down_ends_a_vigil_that_is_still_starting(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    process = subprocess.Popen([sys.executable, "-c", STARTING, str(tmp_path)], stdout=subprocess.PIPE)
    waiter = threading.Thread(target=process.wait)  # as a shell does: it leaves no zombie
    assert process.stdout is not None
    try:
        assert process.stdout.readline() == b"starting\n"
        waiter.start()
        assert StateFolder(tmp_path).running() is None
        down.run(tmp_path)
    finally:
        process.kill()
        waiter.join()
        process.stdout.close()
    assert process.returncode == -signal.SIGTERM
    assert "Stopped" in capsys.readouterr().out
    assert StateFolder(tmp_path).holder is None
    down.run(tmp_path)
    assert "No Vigil runs" in capsys.readouterr().out


def test_a_process_that_ended_is_not_taken_for_a_running_one(tmp_path: Path) -> None:
    script = (
        "from pathlib import Path; from vigil_cli.standalone.state import StateFolder; "
        f"StateFolder(Path({str(tmp_path)!r})).announce('http://127.0.0.1:1', 'default')"
    )
    subprocess.run([sys.executable, "-c", script], check=True, timeout=60)

    assert (tmp_path / "run.json").exists()
    assert StateFolder(tmp_path).running() is None


def test_a_folder_that_cannot_be_written_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")

    with pytest.raises(CommandError, match="cannot be written"):
        StateFolder(tmp_path / "file" / "state").create()


def test_a_full_disk_is_one_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(state, "MIN_FREE", 1 << 60)

    with pytest.raises(CommandError, match="is full"):
        StateFolder(tmp_path).create()


async def test_a_full_disk_is_shown_while_it_is_full(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """NATS is restarted afterwards."""
    lines: list[str] = []
    restarts: list[None] = []

    async def restart() -> None:
        restarts.append(None)

    dashboard = DashboardState(emit=lambda _, line: lines.append(line))
    monkeypatch.setattr(disk, "POLL_S", 0.01)
    monkeypatch.setattr(state, "MIN_FREE", 1 << 60)
    task = asyncio.create_task(disk.watch_disk(StateFolder(tmp_path), dashboard, restart))
    await eventually(lambda: "disk" in dashboard.notices, 10, "the dashboard shows it")
    assert "MiB left: free" in dashboard.notices["disk"][1]
    assert StateFolder(tmp_path).disk_error()

    monkeypatch.setattr(state, "MIN_FREE", 0)

    await eventually(lambda: "disk" not in dashboard.notices, 10, "the dashboard shows it no longer")
    await eventually(lambda: restarts, 10, "NATS is restarted")
    task.cancel()
    assert StateFolder(tmp_path).disk_error() == ""
    assert (len(lines), len(restarts)) == (2, 1)


def test_no_webcam_is_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(CommandError, match="no USB camera"):
        webcam(tmp_path / "video0")


def test_the_doctor_checks_everything_on_this_machine(tmp_path: Path) -> None:
    found = {finding.name: finding for finding in examine(tmp_path)}

    assert {"Python", "libpython", "Triton", "NATS", "Postgres", "models", "/dev/shm", "GPU"} <= set(found)  # noqa: S108 - its name
    assert [finding.message for finding in found.values() if finding.mark == "missing"] == []


def test_the_doctor_names_a_remedy_for_each_missing_part(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")

    found = {finding.name: finding for finding in examine(tmp_path / "file" / "state")}

    assert found["state folder"].mark == "missing"
    assert "--state" in found["state folder"].message


def test_the_doctor_names_the_variable_of_the_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_text("in the way")
    monkeypatch.setenv("VIGIL_CACHE_DIR", str(tmp_path / "file" / "cache"))

    found = {finding.name: finding for finding in examine(tmp_path)}

    assert found["cache"].mark == "missing"
    assert f"The cache {tmp_path}/file/cache cannot be written" in found["cache"].message
    assert "VIGIL_CACHE_DIR" in found["cache"].message
    assert "--state" not in found["cache"].message
