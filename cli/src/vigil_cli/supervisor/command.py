"""The command line of a child, which binds it to this process."""

import functools
import os
import subprocess
import sys

from vigil_cli.supervisor import launch
from vigil_cli.supervisor.spec import ProcessSpec

PROBE_TIMEOUT_S = 10


def _launch(user: str) -> list[str]:
    return [sys.executable, "-I", "-S", launch.__file__, str(os.getpid()), user]


@functools.cache
def unprivileged_mode() -> str:
    """Return the user for programs that refuse to run as root: `same`, `namespace` or `nobody` (see `launch`)."""
    if os.geteuid() != 0:
        return "same"
    probe = [*_launch("namespace"), sys.executable, "-I", "-S", "-c", "pass"]
    allowed = subprocess.run(probe, capture_output=True, check=False, timeout=PROBE_TIMEOUT_S)  # noqa: S603 - our own
    return "namespace" if allowed.returncode == 0 else "nobody"


def command(spec: ProcessSpec) -> list[str]:
    """Return the full command of a process, which ends with this one."""
    return [*_launch(unprivileged_mode() if spec.pretend_unprivileged else "same"), *spec.argv]
