"""Become another program that dies with the one that started it; run as a script, so that it imports next to nothing.

Usage: `launch.py PARENT_PID USER_NAMESPACE PROGRAM [ARGUMENT …]`. It asks the kernel for SIGKILL when the parent ends
(prctl(2), PR_SET_PDEATHSIG), which also holds for a parent that was killed and could clean up nothing. With
USER_NAMESPACE `1` root enters a user namespace in which it is `nobody`: files keep their owner, no account has to be
made, and programs that refuse to run as root do run.
"""

import ctypes
import os
import signal
import sys
from pathlib import Path

PR_SET_PDEATHSIG = 1
CLONE_NEWUSER = 0x10000000
NOBODY = 65534
CANNOT_START = 127


def become_nobody(libc: ctypes.CDLL) -> None:
    """Map root to `nobody` in a user namespace of its own; raises OSError where the kernel does not allow it."""
    if libc.unshare(CLONE_NEWUSER) != 0:
        number = ctypes.get_errno()
        raise OSError(number, f"unshare(CLONE_NEWUSER): {os.strerror(number)}")
    Path("/proc/self/setgroups").write_text("deny")
    Path("/proc/self/uid_map").write_text(f"{NOBODY} 0 1")
    Path("/proc/self/gid_map").write_text(f"{NOBODY} 0 1")


def main(arguments: list[str]) -> int:
    """Set the bonds and execute the program; returns only when that failed."""
    parent, namespace, *argv = arguments
    libc = ctypes.CDLL(None, use_errno=True)
    try:
        if namespace == "1":
            become_nobody(libc)
        libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
        if os.getppid() != int(parent):  # it ended before the bond was made
            return CANNOT_START
        os.execv(argv[0], argv)  # noqa: S606 - the whole purpose; no shell is involved
    except OSError as error:
        sys.stderr.write(f"cannot start {argv[0]}: {error}\n")
    return CANNOT_START


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
