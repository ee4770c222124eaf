"""Become another program that ends with its parent; run as a script, so that it imports next to nothing.

Usage: `launch.py PARENT_PID AS PROGRAM [ARGUMENT …]`. It asks the kernel for SIGKILL when the parent ends (prctl(2),
PR_SET_PDEATHSIG), which also holds for a parent that was killed and could clean up nothing. `AS` is `same` (user), or,
for root and programs that refuse to run as root: `namespace`, a user namespace in which root is `nobody` (files keep
their owner, and no account is needed); `nobody`, that user itself, where the kernel does not allow the namespace (as in
most containers). It keeps one capability, which it needs to reach its files below folders of root.
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

# The numbers are those of linux/capability.h and linux/prctl.h; capabilities(7) describes ambient ones.
CAP_DAC_OVERRIDE = 1
CAPABILITY_VERSION_3 = 0x20080522
PR_SET_KEEPCAPS = 8
PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE = 47, 2


def become_nobody_within(libc: ctypes.CDLL) -> None:
    """Map root to `nobody` in a new user namespace; raise OSError where the kernel does not allow it."""
    _checked(libc.unshare(CLONE_NEWUSER), "unshare(CLONE_NEWUSER)")
    Path("/proc/self/setgroups").write_text("deny")
    Path("/proc/self/uid_map").write_text(f"{NOBODY} 0 1")
    Path("/proc/self/gid_map").write_text(f"{NOBODY} 0 1")


def become_nobody(libc: ctypes.CDLL) -> None:
    """Change to the user `nobody` for good, and keep one capability through the start of the next program."""
    _checked(libc.prctl(PR_SET_KEEPCAPS, 1, 0, 0, 0), "prctl(PR_SET_KEEPCAPS)")
    os.setgroups([])
    os.setgid(NOBODY)
    os.setuid(NOBODY)
    kept = 1 << CAP_DAC_OVERRIDE
    header = (ctypes.c_uint32 * 2)(CAPABILITY_VERSION_3, 0)
    sets = (ctypes.c_uint32 * 6)(kept, kept, kept, 0, 0, 0)  # effective, permitted, inheritable; low words, high words
    _checked(libc.capset(header, sets), "capset")
    _checked(libc.prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, CAP_DAC_OVERRIDE, 0, 0), "prctl(PR_CAP_AMBIENT)")


def _checked(result: int, call: str) -> None:
    if result != 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{call}: {os.strerror(number)}")


def main(arguments: list[str]) -> int:
    """Bind this process to its parent and execute the program; return the exit code when that failed."""
    parent, user, *argv = arguments
    libc = ctypes.CDLL(None, use_errno=True)
    try:
        if user == "namespace":
            become_nobody_within(libc)
        elif user == "nobody":
            become_nobody(libc)
        libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)  # last, because a change of user clears it
        if os.getppid() != int(parent):  # it ended before the call above
            return CANNOT_START
        os.execv(argv[0], argv)  # noqa: S606 - the whole purpose; no shell is involved
    except OSError as error:
        sys.stderr.write(f"cannot start {argv[0]}: {error}\n")
    return CANNOT_START


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
