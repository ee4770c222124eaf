"""What a whole-node cluster leaves outside its programs, and how every trace of it is removed.

A cluster has a slot: a small number that names its network namespace, its link, its cgroup, its address ranges and its
state folder, and that nobody else has as long as the slot's lock is held. So whatever bears the number once the lock
is free is left over; the next run that takes the slot removes it first.

Run as a module (`-m tests.support.kubernetes.cleanup NUMBER`, standard library only) it is the warden of one cluster:
it waits until its standard input ends, which the kernel sees to however the cluster's holder dies, and removes
the rest.
"""

import contextlib
import fcntl
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from tests.support.kubernetes import fixed_places

SLOTS = 64
TIMEOUT_S = 30.0
CGROUPS = Path("/sys/fs/cgroup")
NAMESPACES = Path("/run/netns")


@dataclass(frozen=True)
class Slot:
    """The number of a cluster, and what is named by it."""

    number: int

    @property
    def name(self) -> str:
        """The name of the cluster, its node, its network namespace, its CNI network and its cgroup."""
        return f"vigil-{self.number}"

    @property
    def link(self) -> str:
        """The host's end of the link; the other is `eth0` in the namespace."""
        return f"vigil{self.number}"

    @property
    def cut(self) -> str:
        """The table of packet filter rules by which the link is cut."""
        return f"vigil-cut-{self.number}"

    @property
    def folder(self) -> Path:
        """The state folder; short, because paths of Unix sockets are."""
        return base_folder() / str(self.number)

    @property
    def namespace(self) -> Path:
        """The file that the network namespace is entered by."""
        return NAMESPACES / self.name

    @property
    def cgroups(self) -> list[Path]:
        """The cgroup in each hierarchy of version 1, or the one of version 2."""
        if (CGROUPS / "cgroup.controllers").exists():
            return [CGROUPS / self.name]
        return [root / self.name for root in sorted(CGROUPS.iterdir()) if root.is_dir() and not root.is_symlink()]


def base_folder() -> Path:
    """Return the folder of all slots."""
    return Path(tempfile.gettempdir()) / "vigil-clusters"


class NoSlotError(Exception):
    """All slots are taken by living clusters."""


def take_slot() -> tuple[Slot, int]:
    """Remove what crashed clusters left, and take the first free slot.

    Returns
    -------
    The slot, and the file descriptor that holds it: for as long as that, or a copy in another process, is open.
    """
    base_folder().mkdir(mode=0o700, exist_ok=True)
    for left in sorted(base_folder().iterdir()):
        if left.is_dir() and left.name.isdigit() and (held := _hold(Slot(int(left.name)))) is not None:
            remove(Slot(int(left.name)))
            os.close(held)
    for number in range(SLOTS):
        slot = Slot(number)
        held = _hold(slot)
        if held is not None:
            remove(slot)
            return slot, held
    raise NoSlotError(f"{SLOTS} clusters run on this machine already; end some (see {base_folder()})")


def _hold(slot: Slot) -> int | None:
    descriptor = os.open(slot.folder.with_suffix(".lock"), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(descriptor)
        return None
    return descriptor


def remove(slot: Slot, report: Callable[[str], None] = lambda _: None) -> None:
    """End all processes of a slot and remove its mounts, cgroups, namespace, link and folder; does nothing twice.

    Parameters
    ----------
    slot
        What bears its number is removed.
    report
        Called with each step as it begins.

    Raises
    ------
    OSError
        Something could not be removed; the folder stays as long as anything is mounted in it.
    """
    report(f"ending the pods of {slot.name}")
    _end_processes(slot)
    report(f"removing {len(mounts(slot.folder))} mounts of pods")
    _unmount(slot.folder)
    report("removing the cgroups of pods")
    for cgroup in slot.cgroups:
        _remove_cgroup(cgroup)
    report("removing the network")
    if slot.namespace.exists():
        _run("ip", "netns", "delete", slot.name)
    if Path(f"/sys/class/net/{slot.link}").exists():
        _run("ip", "link", "delete", slot.link)
    if shutil.which("nft"):
        _run("nft", f"delete table inet {slot.cut}")
    report(f"removing the files in {slot.folder}")
    _remove_files(slot)


def _run(*command: str) -> None:
    """Run what may fail because there is nothing to do."""
    subprocess.run(command, check=False, capture_output=True, timeout=TIMEOUT_S)


def _end_processes(slot: Slot) -> None:
    """Kill what is in the cgroup (pods) or in the network namespace (programs), until nothing is."""
    deadline = time.monotonic() + TIMEOUT_S
    while found := {*_in_cgroups(slot), *_in_namespace(slot)} - {os.getpid()}:
        for pid in found:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        if time.monotonic() > deadline:
            raise OSError(f"processes {sorted(found)} of {slot.name} do not end")
        time.sleep(0.02)


def _in_cgroups(slot: Slot) -> Iterator[int]:
    for cgroup in slot.cgroups:
        for listing in cgroup.rglob("cgroup.procs") if cgroup.exists() else ():
            with contextlib.suppress(OSError):
                yield from (int(line) for line in listing.read_text().split() if int(line) > 0)


def _in_namespace(slot: Slot) -> Iterator[int]:
    if not slot.namespace.exists():
        return
    wanted = slot.namespace.stat().st_ino
    for process in Path("/proc").iterdir():
        if process.name.isdigit():
            with contextlib.suppress(OSError):
                if (process / "ns/net").stat().st_ino == wanted:
                    yield int(process.name)


def mounts(folder: Path) -> list[Path]:
    """List what is mounted at or below a folder, the last mounted first."""
    found = []
    for line in Path("/proc/self/mountinfo").read_text().splitlines():
        point = Path(re.sub(r"\\(\d{3})", lambda match: chr(int(match[1], 8)), line.split()[4]))
        if point.is_relative_to(folder):
            found.append(point)
    return found[::-1]


def _unmount(folder: Path) -> None:
    deadline = time.monotonic() + TIMEOUT_S
    while points := mounts(folder):
        for point in points:
            _run("umount", "-l", str(point))
        if time.monotonic() > deadline:
            raise OSError(f"{points[0]} cannot be unmounted")


def _remove_cgroup(cgroup: Path) -> None:
    """Remove a cgroup and those below it; it may stay busy for a moment after its last process has ended."""
    deadline = time.monotonic() + TIMEOUT_S
    while cgroup.exists():
        for folder in sorted((path for path in cgroup.rglob("*") if path.is_dir()), reverse=True):
            with contextlib.suppress(OSError):
                folder.rmdir()
        with contextlib.suppress(OSError):
            cgroup.rmdir()
        if time.monotonic() > deadline:
            raise OSError(f"{cgroup} cannot be removed")
        time.sleep(0.02)


def _remove_files(slot: Slot) -> None:
    fixed_places.remove_of_containers(slot.folder)
    if mounts(slot.folder):  # never delete through a mount: it may be a folder of the host
        raise OSError(f"{slot.folder} still has mounts in it")
    shutil.rmtree(slot.folder, ignore_errors=True)
    fixed_places.restore(base_folder())


def main(arguments: list[str]) -> int:
    """Wait for the end of the cluster's holder, and clean up after it."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    while sys.stdin.buffer.read(4096):
        pass
    remove(Slot(int(arguments[0])), lambda text: print(f"cluster: {text}", flush=True))  # noqa: T201 - its log
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
