"""The whole system as a user runs it: `vigil up` in a process of its own, seen from outside."""

import hashlib
import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import psutil
import yaml
from tests.support.servers import environment
from tests.support.waiting import wait_until

from vigil_cli.supervisor.orphans import find_process

API = "vigil.dev/v1alpha1"
CAMERAS = """
{ cameras(first: 50) { nodes {
    name
    heartbeat { state reason message since nextAttemptAt analysedFps stale outboxPending
                counters { eventsCreated eventsPublished eventsDropped reconnects framesAnalysed } } } } }
"""
SUBJECTS = "{ subjects(first: 50) { nodes { name enrolled photos { name accepted reason message } } } }"


def camera(name: str, kind: str, url: str, **spec: Any) -> dict[str, Any]:
    source = {"type": kind, "url": url, **({"loop": True} if kind == "File" else {})}
    return {"apiVersion": API, "kind": "Camera", "metadata": {"name": name}, "spec": {"source": source, **spec}}


def subject(name: str, display_name: str, photos: list[Path]) -> dict[str, Any]:
    listed = [
        {"name": f"photo-{number}", "url": f"file:{photo}", "sha256": hashlib.sha256(photo.read_bytes()).hexdigest()}
        for number, photo in enumerate(photos, 1)
    ]
    spec = {"displayName": display_name, "consent": {"status": "Granted"}, "photos": listed}
    return {"apiVersion": API, "kind": "Subject", "metadata": {"name": name}, "spec": spec}


@dataclass
class System:
    """One `vigil up` with a folder of manifests and a state folder of its own."""

    folder: Path
    pack: str
    _process: subprocess.Popen[bytes] | None = field(default=None, init=False)

    @property
    def manifests(self) -> Path:
        return self.folder / "manifests"

    @property
    def state(self) -> Path:
        return self.folder / "state"

    def write(self, file: str, *documents: dict[str, Any]) -> None:
        self.manifests.mkdir(parents=True, exist_ok=True)
        (self.manifests / file).write_text(yaml.safe_dump_all(documents))

    def start(self, *options: str) -> None:
        arguments = [
            "up",
            "-f",
            str(self.manifests),
            "--state",
            str(self.state),
            "--pack",
            self.pack,
            "--plain",
            *options,
        ]
        self.folder.mkdir(parents=True, exist_ok=True)
        with (self.folder / "up.log").open("ab") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "vigil_cli", *arguments],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                env=environment(),
            )
        wait_until(self._answers, 120, "the API answers")

    def _answers(self) -> bool:
        assert self._process is not None
        assert self._process.poll() is None, f"vigil up ended:\n{self.output()[-4000:]}"
        try:
            return bool(self.query("{ __typename }"))
        except (OSError, httpx.HTTPError, ValueError, KeyError):
            return False

    def output(self) -> str:
        return (self.folder / "up.log").read_text()

    def stop(self) -> int:
        """Press Ctrl-C and wait for the end."""
        assert self._process is not None
        self._process.send_signal(signal.SIGINT)
        try:
            return self._process.wait(60)
        finally:
            self._process.kill()

    def dispose(self) -> None:
        if self._process is not None and self._process.poll() is None:
            self._process.kill()
            self._process.wait(10)

    @property
    def _running(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads((self.state / "run.json").read_text())
        return found

    @property
    def token(self) -> str:
        return str(json.loads((self.state / "secrets.json").read_text())["api"])

    @property
    def database_password(self) -> str:
        return str(json.loads((self.state / "secrets.json").read_text())["database"])

    @property
    def graphql(self) -> str:
        return f"{self._running['api_url']}/graphql"

    @property
    def subscription_url(self) -> str:
        return self.graphql.replace("http://", "ws://")

    def query(self, text: str) -> dict[str, Any]:
        response = httpx.post(
            self.graphql, json={"query": text}, headers={"Authorization": f"Bearer {self.token}"}, timeout=5
        )
        body = response.json()
        assert "errors" not in body, body
        data: dict[str, Any] = body["data"]
        return data

    def cameras(self) -> dict[str, dict[str, Any]]:
        """Ask for the last heartbeat of each camera; empty while the API is away."""
        try:
            nodes = self.query(CAMERAS)["cameras"]["nodes"]
        except (OSError, httpx.HTTPError, AssertionError):
            return {}
        return {node["name"]: node["heartbeat"] or {} for node in nodes}

    def streaming(self) -> set[str]:
        """Name the cameras that stream and whose process is alive."""
        return {
            name for name, beat in self.cameras().items() if beat.get("state") == "STREAMING" and not beat.get("stale")
        }

    def enrolled(self) -> set[str]:
        try:
            return {node["name"] for node in self.query(SUBJECTS)["subjects"]["nodes"] if node["enrolled"]}
        except (OSError, httpx.HTTPError, AssertionError):
            return set()

    def pid(self, name: str) -> int | None:
        """Find a process of the system by its name; None while it is down."""
        try:
            note = json.loads((self.state / "run" / f"{name}.json").read_text())
        except (OSError, ValueError):
            return None
        seen = find_process(note["pid"])
        return seen.pid if seen is not None and seen.started == note["started"] else None

    def kill_9(self, name: str) -> float:
        """Kill a process and wait until another has taken its place; returns the seconds that took."""
        old = self.pid(name)
        assert old is not None, f"{name} is not running"
        os.kill(old, signal.SIGKILL)
        began = time.monotonic()
        wait_until(lambda: self.pid(name) not in {None, old}, 60, f"{name} is started again")
        return time.monotonic() - began

    def children(self) -> list[psutil.Process]:
        assert self._process is not None
        return psutil.Process(self._process.pid).children(recursive=True)
