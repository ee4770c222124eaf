"""What Kubernetes' programs change at fixed paths of the machine, and how it is put back.

Some bears the id of a container, which is in the cluster's state; the rest (kernel settings, the kubelet's folder of
device plugins) is noted before the first cluster starts, and put back when the last one is gone.
"""

import contextlib
import fcntl
import json
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

CNI_RESULTS = Path("/var/lib/cni/results")
CONTAINER_LOGS = Path("/var/log/containers")
RUNC_STATE = Path("/run/containerd/runc/k8s.io")
FOLDERS = (Path("/var/lib/kubelet"), CONTAINER_LOGS)
"""Made where they were not."""
SETTINGS = ("vm/overcommit_memory", "vm/panic_on_oom", "kernel/panic", "kernel/panic_on_oops")
"""Below /proc/sys; the kubelet sets them."""


def remember(base: Path) -> None:
    """Note how the machine is before a cluster changes it, unless another one has; its state folder must be there.

    Parameters
    ----------
    base
        The folder of all slots.
    """
    with _alone(base):
        notes = base / "machine.json"
        if not notes.exists():
            settings = {name: (Path("/proc/sys") / name).read_text().strip() for name in SETTINGS}
            missing = [str(folder) for folder in FOLDERS if not folder.exists()]
            notes.write_text(json.dumps({"settings": settings, "missing": missing}))


def restore(base: Path) -> None:
    """Put the machine back as it was, unless there still is a cluster."""
    with _alone(base):
        notes = base / "machine.json"
        if not notes.exists() or any(path.is_dir() and path.name.isdigit() for path in base.iterdir()):
            return
        noted = json.loads(notes.read_text())
        for name, value in noted["settings"].items():
            with contextlib.suppress(OSError):
                (Path("/proc/sys") / name).write_text(value)
        for folder in noted["missing"]:
            _remove_empty(Path(folder))
        notes.unlink()


def network_results(state: Path) -> list[Path]:
    """List what the network plugins noted about the pods of the cluster with this folder: it names their namespaces."""
    mine = f'"{state}/'.encode()
    return [path for path in CNI_RESULTS.glob("*") if path.is_file() and mine in path.read_bytes()]


def remove_of_containers(state: Path) -> None:
    """Remove what belongs to the containers of the cluster with this folder."""
    tasks = state / "containerd/state/io.containerd.runtime.v2.task/k8s.io"
    for address in tasks.glob("*/address"):
        with contextlib.suppress(OSError):
            Path(address.read_text().strip().removeprefix("unix://")).unlink()
    known = state / "containerd/root/io.containerd.grpc.v1.cri"
    for identity in {path.name for pattern in ("sandboxes/*", "containers/*") for path in known.glob(pattern)}:
        shutil.rmtree(RUNC_STATE / identity, ignore_errors=True)
    for result in network_results(state):
        result.unlink(missing_ok=True)
    for link in CONTAINER_LOGS.glob("*.log"):
        if link.is_symlink() and link.readlink().is_relative_to(state):
            link.unlink(missing_ok=True)


def _remove_empty(folder: Path) -> None:
    """Remove a folder and those below it, as far as there is no file in them but a dead kubelet's socket."""
    for path in (folder / "device-plugins" / name for name in ("kubelet.sock", "DEPRECATION")):
        path.unlink(missing_ok=True)
    for path in (*sorted((path for path in folder.rglob("*") if path.is_dir()), reverse=True), folder):
        with contextlib.suppress(OSError):
            path.rmdir()


@contextlib.contextmanager
def _alone(base: Path) -> Iterator[None]:
    descriptor = os.open(base / "machine.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)
