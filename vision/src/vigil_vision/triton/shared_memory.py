"""Frames in POSIX shared memory that a Triton server on the same host can read.

Each region is a file in /dev/shm with a name of its own, held with `flock` as long as its owner lives. The kernel drops
the lock when the owner is killed, so the next process that starts recognises a stray region, even across containers
where process ids mean nothing, and unlinks it.
"""

import fcntl
import logging
import mmap
import os
import secrets
import threading
import weakref
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

SHM = Path("/dev/shm")  # noqa: S108 - the mount point of POSIX shared memory, not a temporary file
PREFIX = "vigil-frame-"

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Region:
    """One piece of shared memory.

    Attributes
    ----------
    name
        Also the name it is registered under.
    address, size
        Where it lies in this process, in bytes.
    descriptor
        Holds the lock.
    owner
        Process id; a fork that ends must not take its parent's memory away.
    """

    name: str
    address: int
    size: int
    descriptor: int
    owner: int

    @property
    def key(self) -> str:
        """A name for `shm_open`."""
        return f"/{self.name}"


class RegionStore:
    """The regions of one client; releases each when its array is garbage collected, and all at exit."""

    def __init__(self, folder: Path = SHM) -> None:
        self._folder = folder
        self._lock = threading.Lock()
        self._regions: dict[str, Region] = {}
        self._finalizers: list[weakref.finalize[..., NDArray[np.uint8]]] = []
        remove_strays(folder)

    def allocate(self, size: int) -> NDArray[np.uint8]:
        """Return `size` zero bytes of shared memory as an array [size].

        Raises
        ------
        OSError
            When there is no shared memory here, or not enough left.
        """
        descriptor, name = _create(self._folder)
        try:
            # Reserves the memory now; without it, writing to a full /dev/shm kills the process with SIGBUS.
            os.posix_fallocate(descriptor, 0, size)
            array = np.frombuffer(mmap.mmap(descriptor, size), np.uint8)
        except OSError:
            os.close(descriptor)
            (self._folder / name).unlink(missing_ok=True)
            raise
        region = Region(name, array.ctypes.data, size, descriptor, os.getpid())
        with self._lock:
            self._regions[name] = region
            self._finalizers = [one for one in self._finalizers if one.alive]
            self._finalizers.append(weakref.finalize(array, self._release, region))
        return array

    def find(self, array: NDArray[Any]) -> tuple[Region, int] | None:
        """Return the region in which an array lies and the offset in it; None when in none or not contiguous."""
        if not array.flags.c_contiguous:
            return None
        address = array.ctypes.data
        with self._lock:
            for region in list(self._regions.values()):
                if region.address <= address and address + array.nbytes <= region.address + region.size:
                    return region, address - region.address
        return None

    def names(self) -> set[str]:
        """Return the names of all regions in use."""
        with self._lock:
            return set(self._regions)

    def close(self) -> None:
        """Unlink everything; arrays that are still held stay readable in this process."""
        with self._lock:
            finalizers, self._finalizers = self._finalizers, []
        for finalizer in finalizers:
            finalizer()

    def _release(self, region: Region) -> None:
        # Runs in the garbage collector, possibly while this very thread holds the lock: takes no lock.
        self._regions.pop(region.name, None)
        if region.owner != os.getpid():
            return
        with suppress(OSError):
            (self._folder / region.name).unlink(missing_ok=True)
        with suppress(OSError):
            os.close(region.descriptor)


def remove_strays(folder: Path = SHM) -> int:
    """Unlink the regions of processes that were killed and return their number; never raises."""
    removed = 0
    with suppress(OSError):
        for path in folder.glob(f"{PREFIX}*"):
            removed += _remove_if_stray(path)
    if removed:
        _log.info("removed %d shared memory regions of killed processes", removed)
    return removed


def _remove_if_stray(path: Path) -> bool:
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW)
    except OSError:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        path.unlink()
    except OSError:
        return False
    else:
        return True
    finally:
        os.close(descriptor)


def _create(folder: Path) -> tuple[int, str]:
    for _ in range(10):
        name = f"{PREFIX}{os.getpid()}-{secrets.token_hex(6)}"
        descriptor = os.open(folder / name, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        # A cleaner may come between the two and take the new file for a stray; then it is gone, and another is made.
        with suppress(OSError):
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if os.fstat(descriptor).st_nlink:
                return descriptor, name
        os.close(descriptor)
    msg = f"no shared memory region could be made in {folder}"
    raise OSError(msg)
