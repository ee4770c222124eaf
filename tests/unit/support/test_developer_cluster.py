"""What `make cluster` hands over, and what `make cluster-down` says meanwhile."""

import json
import subprocess
import sys
from dataclasses import asdict
from pathlib import Path

import pytest
from tests.support.kubernetes import cleanup, developer, programs
from tests.support.waiting import wait_until

from vigil_cli.supervisor import orphans

HOLDER = """
import signal, sys, time
log, warden = (open(path, "a", buffering=1) for path in sys.argv[1:])
def end(*_):
    print("cluster: ending kubelet", file=log)
    print("cluster: removing 3 mounts of pods", file=warden)
    sys.exit()
signal.signal(signal.SIGTERM, end)
print("cluster: started", file=log)
while True:
    signal.pause()
"""
"""It says what a holder and its warden say; there is no cluster."""


def _held(pid: int, kubeconfig: str = "/nowhere/admin.kubeconfig") -> developer.Held:
    seen = orphans.find_process(pid)
    assert seen is not None
    return developer.Held(pid, seen.started, orphans.boot_id(), 7, kubeconfig, "/nowhere/containerd.sock", "10.0.0.1")


def test_what_is_handed_over_has_a_shell_find_kubectl_and_helm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(programs, "programs_folder", lambda: tmp_path / "with a space")
    for name in developer.COMMANDS:
        for one in programs._BY_PROGRAM[name].programs:
            program = programs._target(programs._BY_PROGRAM[name]) / one
            program.parent.mkdir(parents=True, exist_ok=True)
            program.write_text('#!/bin/sh\necho "$(basename "$0") at $KUBECONFIG"\n')
            program.chmod(0o755)
    shell = (
        developer.environment(_held(1, "/nowhere/a b/kubeconfig")) + "\nkubectl; helm; ls / >/dev/null && echo others"
    )
    done = subprocess.run(["bash", "-ec", shell], capture_output=True, text=True, check=False, timeout=30)
    assert done.stdout.splitlines() == [
        "kubectl at /nowhere/a b/kubeconfig",
        "helm at /nowhere/a b/kubeconfig",
        "others",
    ]


def test_down_passes_on_each_step_of_the_holder_and_its_warden(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("VIGIL_CACHE_DIR", str(tmp_path))
    monkeypatch.setattr(cleanup, "base_folder", lambda: tmp_path)
    log = developer.folder() / "holder.log"
    holder = subprocess.Popen([sys.executable, "-c", HOLDER, log, tmp_path / "7.log"])
    try:
        wait_until(lambda: log.exists() and "started" in log.read_text(), 30, "the holder runs")
        (developer.folder() / "cluster.json").write_text(json.dumps(asdict(_held(holder.pid))))
        developer.down()
    finally:
        holder.kill()
        holder.wait(10)
    assert capsys.readouterr().err.splitlines() == [
        "cluster: ending kubelet",
        "cluster: removing 3 mounts of pods",
        "cluster: vigil-7 is removed",
    ]
    assert developer.held() is None
