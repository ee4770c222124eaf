"""A developer's cluster with Vigil installed: `make cluster` and `make cluster-down`.

The cluster lives in a process of its own, the holder, which `up` starts and `down` ends; whatever becomes of the
holder, its programs end with it. Run `up` again after a change: it builds what changed and upgrades the
release.
"""

import json
import os
import shlex
import signal
import subprocess
import sys
import tempfile
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from types import FrameType
from typing import NoReturn

import filelock
from tests.chart import images
from tests.chart.installed import SETS
from tests.chart.rendering import CHART, helm, values_of
from tests.support.kubernetes import cleanup, machine, programs
from tests.support.kubernetes.errors import ClusterError
from tests.support.kubernetes.node import PROGRAMS, NodeCluster, import_image
from tests.support.servers import OPEN_PACK, model_repository
from tests.support.shared import ROOT
from tests.support.waiting import wait_until

from vigil_cli.standalone.servers.go2rtc import cache_folder
from vigil_cli.supervisor import orphans

NAMESPACE = "vigil"
START_TIMEOUT_S = 300.0
STOP_TIMEOUT_S = 90.0
INSTALL_TIMEOUT_S = 300.0
KUBECTL_TIMEOUT_S = 60.0
COMMANDS = ("kubectl", "helm")
"""What the guides have a person run."""
_VIGIL = "app.kubernetes.io/part-of=vigil"
_NAMESPACES = "jsonpath={.items[*].metadata.namespace}"


@dataclass(frozen=True)
class Held:
    """The cluster of a holder, as the holder wrote it to cluster.json.

    Attributes
    ----------
    started, boot
        With the pid they name the holder: see `orphans`.
    slot
        Number of the cluster.
    """

    pid: int
    started: int
    boot: str
    slot: int
    kubeconfig: str
    containerd: str
    host_ip: str

    def lives(self) -> bool:
        """Return whether the holder still runs."""
        seen = orphans.find_process(self.pid)
        return seen is not None and seen.started == self.started and orphans.boot_id() == self.boot


def folder() -> Path:
    """Return the folder of the developer's cluster."""
    made = cache_folder() / "kubernetes" / "developer"
    made.mkdir(parents=True, exist_ok=True)
    return made


def held() -> Held | None:
    """Return the running holder's cluster; None when no holder runs."""
    with suppress(OSError, ValueError, TypeError):
        found = Held(**json.loads((folder() / "cluster.json").read_text()))
        return found if found.lives() else None
    return None


def up() -> None:
    """Start the cluster unless it runs, load the images of this working tree, and install or upgrade the chart.

    Raises
    ------
    ClusterError
        Something could not be built, started or installed.
    NotHereError
        This machine lacks something.
    """
    machine.check_node()
    machine.check_images()
    with filelock.FileLock(folder() / "lock"):
        programs.ensure([*PROGRAMS, "helm"], report)
        running = held()
        cluster = running or _start_holder()
        report(f"the cluster runs; loading Vigil's images ({', '.join(images.OWN)})")
        _load_images(cluster)
        report(f"installing {CHART.relative_to(ROOT)}")
        _install(cluster)
        if running is not None:
            _take_new_images(cluster)
    report(f"ready. Pods reach this machine at {cluster.host_ip}; make cluster-down removes all. Now:")
    print(environment(cluster))  # noqa: T201 - what the developer copies


def down() -> None:
    """End the cluster and remove every trace of it; does nothing when there is none."""
    with filelock.FileLock(folder() / "lock"):
        cluster = held()
        if cluster is None:
            slot, descriptor = cleanup.take_slot()  # removes what holders that crashed have left
            os.close(descriptor)
            report(f"no cluster runs (traces of crashed ones are removed; {slot.name} is free)")
        else:
            _end_holder(cluster)
        (folder() / "cluster.json").unlink(missing_ok=True)


def environment(cluster: Held) -> str:
    """Write the lines of shell after which kubectl and helm are found and use the cluster."""
    folders = dict.fromkeys(str(programs.program(name).parent) for name in COMMANDS)
    return f'export KUBECONFIG={shlex.quote(cluster.kubeconfig)}\nexport PATH={shlex.quote(":".join(folders))}:"$PATH"'


def hold() -> None:
    """Start the cluster, write cluster.json, and keep the cluster until a signal ends this process."""
    signal.signal(signal.SIGTERM, _end)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    cluster = NodeCluster.start()
    try:
        seen = orphans.find_process(os.getpid())
        assert seen is not None
        number = int(cluster.name.rpartition("-")[2])
        running = Held(
            seen.pid,
            seen.started,
            orphans.boot_id(),
            number,
            str(cluster.kubeconfig),
            str(cluster.containerd),
            cluster.host_ip,
        )
        partial = folder() / "cluster.json.part"
        partial.write_text(json.dumps(asdict(running)))
        partial.replace(folder() / "cluster.json")
        while True:
            signal.pause()
    finally:
        try:
            _stop_programs(cluster)
        finally:
            cluster.close()


def _stop_programs(cluster: NodeCluster) -> None:
    """End the programs, the last started first, with a line for each: `down` prints it."""
    for name in reversed(cluster.programs.names):
        report(f"ending {name}")
        with suppress(ClusterError):  # it is stopped
            cluster.programs.stop(name)


def _end_holder(cluster: Held) -> None:
    """Stop the holder, and print its log and its warden's until it has ended."""
    slot = cleanup.Slot(cluster.slot)
    logs = [_Tail(folder() / "holder.log"), _Tail(slot.folder.with_suffix(".log"))]

    def ended() -> bool:
        gone = not cluster.lives()  # checked first: its last lines are then in the log
        for log in logs:
            log.pass_on()
        return gone

    os.kill(cluster.pid, signal.SIGTERM)
    wait_until(ended, STOP_TIMEOUT_S, f"process {cluster.pid}, which holds {slot.name}, ends; see {logs[0].path}")
    report(f"{slot.name} is removed")


class _Tail:
    """What is written to a log from now on."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._read = path.stat().st_size if path.exists() else 0

    def pass_on(self) -> None:
        """Print the whole lines that have come."""
        if not self.path.exists():
            return
        with self.path.open("rb") as log:
            log.seek(self._read)
            whole, newline, _ = log.read().rpartition(b"\n")
        self._read += len(whole + newline)
        for line in whole.decode(errors="replace").splitlines():
            print(line, file=sys.stderr, flush=True)  # noqa: T201 - a program for the terminal


def _end(_signal: int, _frame: FrameType | None) -> NoReturn:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    raise SystemExit(0)


def _start_holder() -> Held:
    (folder() / "cluster.json").unlink(missing_ok=True)
    log = folder() / "holder.log"
    report(f"starting a cluster (its log: {log})")
    with log.open("wb") as output:
        holder = subprocess.Popen(
            [sys.executable, "-m", "tests.support.kubernetes", "hold"],
            cwd=ROOT,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,
        )

    def answer() -> Held | None:
        if holder.poll() is not None:
            raise ClusterError(f"the cluster did not start:\n{log.read_text()[-3000:]}")
        return held()

    found = wait_until(answer, START_TIMEOUT_S, f"the cluster starts; see {log}")
    assert found is not None
    return found


def _load_images(cluster: Held) -> None:
    with tempfile.TemporaryDirectory(prefix="vigil-models-") as scratch:
        models = images.models_image(model_repository(OPEN_PACK), Path(scratch))
    for archive in (*images.own_images(), *images.server_images(), models):
        import_image(Path(cluster.containerd), archive)


def _install(cluster: Held) -> None:
    where = ("--namespace", NAMESPACE, "--create-namespace", "--wait", "--timeout", f"{INSTALL_TIMEOUT_S:.0f}s")
    options = [part for each in SETS for part in ("--set", each)]
    done = helm(
        *("upgrade", "--install", "vigil", str(CHART), *values_of("trial"), *options, *where),
        check=False,
        kubeconfig=Path(cluster.kubeconfig),
        timeout_s=INSTALL_TIMEOUT_S + 60,
    )
    if done.returncode != 0:
        raise ClusterError(f"the chart could not be installed: {done.stderr.strip()}\n{_state(cluster)}")


def _state(cluster: Held) -> str:
    """Return the list of pods and the last lines of their logs."""
    state = _kubectl(cluster, "get", "pods", "--all-namespaces")
    state += _kubectl(cluster, "logs", "-n", NAMESPACE, "-l", _VIGIL, "--all-containers", "--prefix", "--tail=5")
    return f"{state}\nThe cluster still runs; make cluster-down removes it:\n{environment(cluster)}"


def _take_new_images(cluster: Held) -> None:
    """Start all pods of Vigil anew: their images have the same names as before, and nothing else may have changed."""
    restart = ["rollout", "restart", "deployment", f"--selector={_VIGIL}"]
    namespaces = ["get", "deployment", "-A", f"--selector={_VIGIL}", "-o", _NAMESPACES]
    for namespace in sorted(set(_kubectl(cluster, *namespaces).split())):
        _kubectl(cluster, *restart, "-n", namespace)


def _kubectl(cluster: Held, *arguments: str) -> str:
    command = [str(programs.program("kubectl")), "--kubeconfig", cluster.kubeconfig, *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=KUBECTL_TIMEOUT_S)
    if done.returncode != 0:
        raise ClusterError(f"kubectl {arguments[0]}: {done.stderr.strip()}")
    return done.stdout


def report(text: str) -> None:
    """Print a line of progress."""
    print(f"cluster: {text}", file=sys.stderr, flush=True)  # noqa: T201 - a program for the terminal
