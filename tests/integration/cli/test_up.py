"""`vigil up` as a user has it: one command, real servers, and nothing left behind."""

import contextlib
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil
import pytest
from tests.support.shared import shared
from tests.support.waiting import wait_until

from vigil_cli.commands.enroll import manifest
from vigil_cli.commands.status_report import StatusReport

pytestmark = pytest.mark.integration

START_S = 150
"""On a machine that is busy with other tests."""

CAMERA = """
apiVersion: vigil.dev/v1alpha1
kind: Camera
metadata: {{name: {name}}}
spec: {{source: {{type: File, url: "file:{video}", loop: true}}}}
"""


@dataclass
class Vigil:
    """A running `vigil up` and its folders."""

    manifests: Path
    state: Path
    output: Path
    process: "subprocess.Popen[bytes] | None" = None
    seen: list[psutil.Process] = field(default_factory=list)

    def command(self, *arguments: str) -> list[str]:
        return [sys.executable, "-m", "vigil_cli", *arguments, "--state", str(self.state)]

    def start(self, *options: str) -> None:
        with self.output.open("w") as file:
            self.process = subprocess.Popen(
                self.command("up", "-f", str(self.manifests), "--plain", *options),
                stdout=file,
                stderr=subprocess.STDOUT,
            )

    def run(self, *arguments: str) -> "subprocess.CompletedProcess[str]":
        return subprocess.run(self.command(*arguments), capture_output=True, text=True, timeout=120, check=False)

    @property
    def printed(self) -> str:
        return self.output.read_text()

    def wait_printed(self, text: str, deadline_s: float = START_S) -> None:
        wait_until(lambda: text in self.printed or self.ended, deadline_s, f"vigil up prints {text!r}")
        assert text in self.printed, self.printed

    @property
    def ended(self) -> bool:
        return self.process is None or self.process.poll() is not None

    def processes(self) -> dict[str, dict[str, Any]]:
        with contextlib.suppress(OSError, ValueError):
            return {row["name"]: row for row in json.loads((self.state / "processes.json").read_text())}
        return {}

    def remember(self) -> None:
        """Note every process of this run, so that what is left behind is found."""
        assert self.process is not None
        self.seen = psutil.Process(self.process.pid).children(recursive=True)
        assert len(self.seen) > 5

    def interrupt(self) -> int:
        assert self.process is not None
        self.process.send_signal(signal.SIGINT)
        return self.process.wait(90)

    def left(self) -> list[str]:
        return [process.name() for process in self.seen if process.is_running() and process.status() != "zombie"]


@pytest.fixture
def vigil(tmp_path: Path) -> Iterator[Vigil]:
    """Folders whose names a shell would split, quote and run (case state-folder-with-space)."""
    manifests = tmp_path / "it's my folder"
    manifests.mkdir()
    made = Vigil(manifests, tmp_path / "-my state; touch INJECTED;#", tmp_path / "output.txt")
    camera(made, "lobby")
    yield made
    if made.process is not None and made.process.poll() is None:
        made.process.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            made.process.wait(60)
        made.process.kill()


def camera(vigil: Vigil, name: str) -> None:
    text = CAMERA.format(name=name, video=shared("video/short_hamilton_clip.mp4").resolve())
    (vigil.manifests / f"{name}.yaml").write_text(text)


def subject(vigil: Vigil) -> None:
    photo = vigil.manifests / "my photo.png"
    shutil.copy(shared("faces/lin-manuel-miranda/1.png"), photo)
    found = manifest("Lin-Manuel Miranda", {photo: photo.read_bytes()}, vigil.manifests)
    (vigil.manifests / "lin.json").write_text(json.dumps(found))


def test_one_command_recognises_a_person_and_ends_cleanly(vigil: Vigil) -> None:
    """No process is left after Ctrl-C."""
    subject(vigil)
    vigil.start()
    vigil.wait_printed("Lin-Manuel Miranda enrolled with 1 of 1 photos")
    vigil.wait_printed("lobby: Lin-Manuel Miranda")
    vigil.remember()

    second = vigil.run("up", "-f", str(vigil.manifests))
    status = vigil.run("status")
    report = StatusReport.model_validate_json(vigil.run("status", "--output", "json").stdout)

    assert second.returncode == 1
    assert "already running" in second.stderr
    assert "Lin-Manuel Miranda" in status.stdout
    assert report.error is None
    assert {process.state for process in report.processes} == {"Ready"}
    assert [camera.name for camera in report.cameras] == ["lobby"]
    assert [subject.display_name for subject in report.subjects if subject.enrolled] == ["Lin-Manuel Miranda"]
    assert report.sightings
    withdraw_and_erase(vigil)
    assert vigil.interrupt() == 0
    assert not list(vigil.manifests.parent.rglob("INJECTED"))
    assert naming(vigil.state.joinpath("logs").iterdir()) == []
    wait_until(lambda: not vigil.left(), 10, "no process is left")
    assert "No Vigil runs" in vigil.run("status").stderr


def withdraw_and_erase(vigil: Vigil) -> None:
    """withdrawn-and-photo-gone and withdrawal-waits: at once, with another manifest broken; then erase the person."""
    (vigil.manifests / "my photo.png").unlink()
    (vigil.manifests / "broken.yaml").write_text(
        "kind: Camera\napiVersion: vigil.dev/v1alpha1\nmetadata: {name: gate}\n"
    )
    lin = vigil.manifests / "lin.json"
    lin.write_text(lin.read_text().replace("Granted", "Withdrawn"))

    wait_until(lambda: why_not(vigil) == "consent is withdrawn", 30, "the withdrawal is applied")
    report = StatusReport.model_validate_json(vigil.run("status", "--output", "json").stdout)
    (unapplied,) = report.unapplied
    assert (Path(unapplied.file).name, unapplied.line, unapplied.reason) == ("broken.yaml", 1, "is required")
    assert "broken.yaml:1" in vigil.run("status").stdout
    lin.unlink()
    vigil.wait_printed("Everything about Subject", 60)
    wait_until(lambda: not naming(vigil.state.glob("*.json")), 10, "no file of the state folder names the person")


def naming(files: Iterable[Path]) -> list[str]:
    """Return the names of files that name the person."""
    return [file.name for file in files if b"miranda" in file.read_bytes().lower()]


def why_not(vigil: Vigil) -> str:
    report = StatusReport.model_validate_json(vigil.run("status", "--output", "json").stdout)
    return "".join(subject.why for subject in report.subjects if not subject.enrolled)


def test_a_killed_process_comes_back(vigil: Vigil) -> None:
    vigil.start()
    vigil.wait_printed("camera lobby is Streaming")
    before = vigil.processes()

    for name in ("stream-default_lobby", "api"):
        os.kill(before[name]["pid"], signal.SIGKILL)

    for name in ("stream-default_lobby", "api"):
        vigil.wait_printed(f"{name} is back")
    wait_until(
        lambda: all(row["state"] == "Ready" for row in vigil.processes().values()), 60, "all processes are ready again"
    )
    assert vigil.processes()["nats"]["pid"] == before["nats"]["pid"]


def test_a_watcher_misses_nothing_while_the_api_is_killed(vigil: Vigil, tmp_path: Path) -> None:
    vigil.start()
    vigil.wait_printed("camera lobby is Streaming")
    received = tmp_path / "events.jsonl"
    with received.open("w") as file:
        watcher = subprocess.Popen(vigil.command("watch", "--json"), stdout=file, stderr=subprocess.PIPE)
    try:
        wait_until(lambda: len(seqs(received)) > 5, 90, "the watcher receives sightings")
        os.kill(vigil.processes()["api"]["pid"], signal.SIGKILL)
        before = len(seqs(received))
        vigil.wait_printed("api is back")
        wait_until(lambda: len(seqs(received)) > before + 20, 90, "the watcher receives more")
    finally:
        watcher.terminate()
        _, errors = watcher.communicate(timeout=30)

    found = seqs(received)
    assert found == list(range(found[0], found[0] + len(found)))
    assert [line.split(b" (")[0] for line in errors.splitlines()] == [b"No connection", b"Connected again"]


def seqs(file: Path) -> list[int]:
    return [int(json.loads(line)["seq"]) for line in file.read_text().splitlines(keepends=True) if line.endswith("\n")]


def test_detached_it_runs_until_down(vigil: Vigil) -> None:
    up = vigil.run("up", "-f", str(vigil.manifests), "--detach")
    try:
        assert up.returncode == 0, up.stderr
        assert "#token=" in up.stdout
        assert "identity" in vigil.run("status").stdout
        assert vigil.run("logs", "api", "-n", "5").returncode == 0
        assert "there are:" in vigil.run("logs", "nobody").stderr
    finally:
        down = vigil.run("down")

    assert "Stopped" in down.stdout
    assert not vigil.processes() or "No Vigil runs" in vigil.run("status").stderr


def test_changed_manifests_are_applied_and_bad_ones_are_not(vigil: Vigil) -> None:
    vigil.start()
    vigil.wait_printed("camera lobby is Streaming")
    first = vigil.processes()["stream-default_lobby"]["pid"]

    camera(vigil, "gate")
    vigil.wait_printed("camera gate is Streaming")
    (vigil.manifests / "gate.yaml").write_text("kind: Camera\napiVersion: vigil.dev/v1alpha1\nmetadata: {name: gate}\n")
    vigil.wait_printed("gate.yaml:1:1: error: spec: is required")
    assert "the previous state goes on" in vigil.printed
    assert vigil.processes()["stream-default_gate"]["state"] == "Ready"

    (vigil.manifests / "gate.yaml").unlink()
    wait_until(lambda: "stream-default_gate" not in vigil.processes(), 60, "the removed camera's process is gone")
    wait_until(lambda: "gate" not in vigil.run("status").stdout.split("Last sightings")[0], 60, "the camera is gone")
    assert vigil.processes()["stream-default_lobby"]["pid"] == first


def test_a_subject_without_a_manifest_is_erased_on_request(vigil: Vigil) -> None:
    """Starting with other manifests is refused: it would erase people by mistake."""
    subject(vigil)
    vigil.start()
    vigil.wait_printed("Lin-Manuel Miranda enrolled")
    assert vigil.interrupt() == 0
    (vigil.manifests / "lin.json").unlink()

    refused = vigil.run("up", "-f", str(vigil.manifests))
    assert refused.returncode == 1
    assert "no manifest declares them: default/lin-manuel-miranda" in " ".join(refused.stderr.split())
    vigil.start("--prune")
    vigil.wait_printed("camera lobby is Streaming")

    wait_until(lambda: "Lin-Manuel" not in subjects_part(vigil.run("status").stdout), 60, "the Subject is erased")


def subjects_part(output: str) -> str:
    return output.split("Subjects")[1].split("Last sightings", maxsplit=1)[0]


def test_a_killed_vigil_starts_again_on_the_same_state(vigil: Vigil) -> None:
    """Its children end with it."""
    vigil.start()
    vigil.wait_printed("camera lobby is Streaming")
    vigil.remember()
    assert vigil.process is not None
    vigil.process.kill()
    vigil.process.wait(10)
    wait_until(lambda: not vigil.left(), 30, "the children die with it")

    vigil.start()

    vigil.wait_printed("camera lobby is Streaming")


def test_a_taken_port_is_one_sentence(vigil: Vigil) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        done = vigil.run("up", "-f", str(vigil.manifests), "--plain", "--port", str(taken.getsockname()[1]))

    assert done.returncode == 1
    assert "is taken by" in done.stderr
    assert "choose another port" in done.stderr
    assert "Traceback" not in done.stderr
