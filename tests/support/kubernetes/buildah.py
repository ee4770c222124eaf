"""buildah, with a storage of its own in the user's cache."""

import os
import subprocess
from pathlib import Path

from tests.support.kubernetes.errors import ClusterError

from vigil_cli.standalone.servers.go2rtc import cache_folder

BUILD_TIMEOUT_S = 1800.0
TIMEOUT_S = 300.0
TAIL = 3000


def images_folder() -> Path:
    """Return the folder of archives and layers."""
    folder = cache_folder() / "kubernetes" / "images"
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def buildah(*arguments: str, timeout_s: float = TIMEOUT_S, check: bool = True) -> subprocess.CompletedProcess[str]:
    """Run buildah.

    Raises
    ------
    ClusterError
        It failed and `check` is set; its last lines are in the text. Or it exceeded its deadline.
    """
    storage = images_folder() / "storage"
    options = [f"--root={storage}", f"--runroot={storage}-run", "--storage-driver=overlay"]
    try:
        done = subprocess.run(
            ["buildah", *options, *arguments],
            capture_output=True,
            text=True,
            check=False,
            timeout=timeout_s,
            stdin=subprocess.DEVNULL,
            env={**os.environ, "BUILDAH_ISOLATION": "chroot", "STORAGE_OPTS": ""},
        )
    except subprocess.TimeoutExpired as error:
        raise ClusterError(f"buildah {arguments[0]}: not within {timeout_s:g} s") from error
    if check and done.returncode != 0:
        raise ClusterError(f"buildah {' '.join(arguments)} failed:\n{(done.stdout + done.stderr)[-TAIL:]}")
    return done
