"""The base images that Dockerfiles name, made of Debian's packages under the public names.

They stand in for the public ones where no registry is to be had: the same Debian release and the same Python, which the
public image has in /usr/local and Debian in /usr, so the names in /usr/local/bin lead there.
"""

import contextlib
import hashlib
import os
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

from tests.support.kubernetes.buildah import TAIL, buildah
from tests.support.kubernetes.errors import ClusterError

PYTHON = "docker.io/library/python:3.13.18-slim-trixie"
SUITE = "trixie"
MIRROR = "http://deb.debian.org/debian"
PACKAGES = ("python3", "python3-venv", "libpython3.13", "ca-certificates")
NAMES = ("python3.13", "python3", "python")
TIMEOUT_S = 900.0
LABEL = "vigil.test.key"
CERTIFICATES = Path("/etc/ssl/certs/ca-certificates.crt")
_SMALLER = ("usr/share/doc", "usr/share/man", "usr/share/locale", "var/cache/apt", "var/lib/apt/lists", "var/log")
"""What the public slim images do not have either."""


def _python_key() -> str:
    recipe = (SUITE, PACKAGES, NAMES, _SMALLER, "1")
    return hashlib.sha256(repr(recipe).encode()).hexdigest()[:12]


BASES: dict[str, Callable[[], str]] = {PYTHON: _python_key}
"""Name to what it is made of, summed up."""


def ensure(name: str, progress: Callable[[str], None] = lambda _: None) -> None:
    """See to it that a base image is in the storage; raises ClusterError."""
    key = BASES[name]()
    if _key_of(name) != key:
        progress(f"making {name} of Debian's packages (once; a minute or two)")
        with tempfile.TemporaryDirectory(prefix="vigil-base-") as scratch:
            root = Path(scratch) / "root"
            _debootstrap(root)
            _finish(root)
            _commit(root, name, key)


def _key_of(name: str) -> str:
    template = '{{index .OCIv1.Config.Labels "%s"}}' % LABEL  # noqa: UP031 - braces belong to Go's template
    return buildah("inspect", "--type=image", "--format", template, name, check=False).stdout.strip()


def _debootstrap(root: Path) -> None:
    command = ["debootstrap", "--variant=minbase", f"--include={','.join(PACKAGES)}", SUITE, str(root)]
    mirror = os.environ.get("VIGIL_DEBIAN_MIRROR", MIRROR)
    try:
        done = subprocess.run([*command, mirror], capture_output=True, text=True, check=False, timeout=TIMEOUT_S)
    except subprocess.TimeoutExpired as error:
        raise ClusterError(f"debootstrap: not within {TIMEOUT_S:g} s; set VIGIL_DEBIAN_MIRROR to a near one") from error
    if done.returncode != 0:
        raise ClusterError(f"debootstrap failed (VIGIL_DEBIAN_MIRROR names another mirror):\n{done.stdout[-TAIL:]}")


def _finish(root: Path) -> None:
    """Remove what a running container does not need, and move Python to the paths of the public image."""
    for folder in _SMALLER:
        for path in sorted((root / folder).rglob("*"), reverse=True):
            if path.is_dir() and not path.is_symlink():
                with contextlib.suppress(OSError):
                    path.rmdir()
            else:
                path.unlink()
    for name in NAMES:
        (root / "usr/local/bin" / name).symlink_to("/usr/bin/python3.13")


def _commit(root: Path, name: str, key: str) -> None:
    container = buildah("from", "scratch").stdout.strip()
    try:
        buildah("add", "--quiet", container, str(root), "/")
        buildah("config", f"--label={LABEL}={key}", "--env=LANG=C.UTF-8", "--cmd=python3", container)
        buildah("commit", "--quiet", "--format=oci", container, name)
    finally:
        buildah("rm", container, check=False)


@contextlib.contextmanager
def trust() -> Iterator[list[str]]:
    """Let pip in a build trust what this machine trusts; the Dockerfiles stay as users need them.

    Yields
    ------
    Options for `buildah bud`.
    """
    with tempfile.TemporaryDirectory(prefix="vigil-trust-") as scratch:
        if not CERTIFICATES.exists():
            yield []
            return
        configuration = Path(scratch) / "pip.conf"
        configuration.write_text(f"[global]\ncert = {CERTIFICATES}\n")
        yield [f"--volume={CERTIFICATES}:{CERTIFICATES}:ro", f"--volume={configuration}:/etc/pip.conf:ro"]
