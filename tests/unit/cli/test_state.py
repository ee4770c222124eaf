"""A state folder is used by one at a time, keeps its secrets to itself, and says what is wrong with it."""

import subprocess
import sys
from pathlib import Path

import pytest

from vigil_cli.commands.doctor import examine
from vigil_cli.commands.up import webcam
from vigil_cli.errors import CommandError
from vigil_cli.standalone import state
from vigil_cli.standalone.state import StateFolder


def test_secrets_are_made_once_and_for_the_owner_only(tmp_path: Path) -> None:
    folder = StateFolder(tmp_path)

    first = folder.secrets()

    assert folder.secrets() == first
    assert (tmp_path / "secrets.json").stat().st_mode & 0o077 == 0
    assert len({first.nats, first.database, first.registry, first.api}) == 4


def test_a_second_user_of_the_folder_is_told(tmp_path: Path) -> None:
    with StateFolder(tmp_path).locked():
        assert StateFolder(tmp_path).is_locked
        with pytest.raises(CommandError, match="already running"), StateFolder(tmp_path).locked():
            pass

    assert not StateFolder(tmp_path).is_locked


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
    monkeypatch.setattr(state, "LEAST_FREE", 1 << 60)

    with pytest.raises(CommandError, match="is full"):
        StateFolder(tmp_path).create()


def test_no_webcam_is_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(CommandError, match="no USB camera"):
        webcam(tmp_path / "video0")


def test_the_doctor_looks_at_everything_and_finds_this_machine_fit(tmp_path: Path) -> None:
    found = {finding.what: finding for finding in examine(tmp_path)}

    assert {"Python", "libpython", "Triton", "NATS", "Postgres", "models", "/dev/shm", "GPU"} <= set(found)  # noqa: S108 - its name
    assert [finding.told for finding in found.values() if finding.mark == "missing"] == []


def test_the_doctor_says_how_to_get_what_is_missing(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")

    found = {finding.what: finding for finding in examine(tmp_path / "file" / "state")}

    assert found["state folder"].mark == "missing"
    assert "--state" in found["state folder"].told
