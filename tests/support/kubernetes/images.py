"""Container images for test clusters, built without a registry and kept in the user's cache.

An image is built when its Dockerfile, what that copies, or its base has changed, and is kept as an OCI archive that
`NodeCluster.load_image` takes. The storage of layers is one of our own, so that nobody else's images are touched.
"""

import hashlib
import os
import re
import shlex
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import filelock
from tests.support.kubernetes import base_image, machine
from tests.support.kubernetes.buildah import BUILD_TIMEOUT_S, buildah, images_folder
from tests.support.kubernetes.errors import ClusterError
from tests.support.kubernetes.programs import program
from tests.support.shared import ROOT

PAUSE = "docker.io/vigil/pause:test"
DOCKERFILES = Path(__file__).parent / "images"
KEPT = 3
"""Archives of one image that are kept: other checkouts of the repository use the same cache."""


def full_name(tag: str) -> str:
    """Return an image's whole name, as a node knows it: `vigil/stream:test` is `docker.io/vigil/stream:test`."""
    first, slash, _ = tag.partition("/")
    if not slash:
        return f"docker.io/library/{tag}"
    return tag if "." in first or ":" in first or first == "localhost" else f"docker.io/{tag}"


def build_image(
    dockerfile: Path,
    tag: str,
    context: Path = ROOT,
    arguments: Mapping[str, str] | None = None,
    progress: Callable[[str], None] = lambda _: None,
) -> Path:
    """Build an image as its users do, unless what it is made of is what it was made of before.

    Parameters
    ----------
    dockerfile
        On a base of `base_image.BASES`, or on an image that was built before.
    tag
        Its name, for pods with `imagePullPolicy: Never` or `IfNotPresent`.
    context
        What COPY takes from.
    arguments
        For ARG.

    Returns
    -------
    The OCI archive.

    Raises
    ------
    ClusterError
        The build failed; its last lines are in the text.
    NotHereError
        This machine cannot build images.
    """
    machine.check_images()
    given = dict(arguments or {})
    name = full_name(tag)
    folder = images_folder()
    with filelock.FileLock(folder / "build.lock", timeout=BUILD_TIMEOUT_S):
        for base in _bases(dockerfile, given):
            base_image.ensure(base, progress)
        key = _key(dockerfile, context, given)
        archive = folder / f"{re.sub('[^a-z0-9.]+', '-', name)}-{key}.tar"
        if not archive.exists():
            progress(f"building {name}")
            _build(dockerfile, name, context, given, archive)
            _forget_old(archive)
        os.utime(archive)
    return archive


def pause_image() -> Path:
    """Return the archive of the image that holds a pod's namespaces."""
    with tempfile.TemporaryDirectory() as scratch:
        shutil.copy2(program("pause"), Path(scratch) / "pause")
        return build_image(DOCKERFILES / "pause" / "Dockerfile", PAUSE, Path(scratch))


def _build(dockerfile: Path, name: str, context: Path, arguments: Mapping[str, str], archive: Path) -> None:
    options = [f"--build-arg={key}={value}" for key, value in arguments.items()]
    with base_image.trust() as mounts:
        buildah(
            *("bud", "--pull-never", "--isolation=chroot", "--layers", "--format=oci", "--network=host"),
            *(*mounts, *options, "-f", str(dockerfile), "-t", name, str(context)),
            timeout_s=BUILD_TIMEOUT_S,
        )
    partial = archive.with_suffix(f".{os.getpid()}")
    try:
        buildah("push", "--disable-compression", name, f"oci-archive:{partial}:{name}")
        partial.replace(archive)
    finally:
        partial.unlink(missing_ok=True)


def _forget_old(archive: Path) -> None:
    stem = archive.name.rpartition("-")[0]
    same = [path for path in archive.parent.glob(f"{stem}-*.tar") if path.name.rpartition("-")[0] == stem]
    for old in sorted(same, key=lambda path: path.stat().st_mtime)[:-KEPT]:
        old.unlink(missing_ok=True)


def _instructions(dockerfile: Path, arguments: Mapping[str, str]) -> Iterator[list[str]]:
    """Return the instructions that name images or files, with the values of ARG put in."""
    values = dict(arguments)
    for line in re.sub(r"\\\n", " ", dockerfile.read_text()).splitlines():
        word, _, rest = line.strip().partition(" ")
        if word.upper() == "ARG":
            name, _, default = rest.strip().partition("=")
            values.setdefault(name, default.strip("\"'"))
        elif word.upper() in {"FROM", "COPY", "ADD"}:
            known = re.sub(r"\$\{?(\w+)\}?", lambda match: values.get(match[1], match[0]), rest)
            yield [word.upper(), *shlex.split(known)]


def _bases(dockerfile: Path, arguments: Mapping[str, str]) -> list[str]:
    """List the images that a Dockerfile builds on and that we know how to make."""
    words = (word for instruction in _instructions(dockerfile, arguments) for word in instruction[1:])
    return [
        name
        for name in dict.fromkeys(full_name(word.removeprefix("--from=")) for word in words)
        if name in base_image.BASES
    ]


def _key(dockerfile: Path, context: Path, arguments: Mapping[str, str]) -> str:
    """Sum up all that an image is made of."""
    digest = hashlib.sha256(dockerfile.read_bytes() + repr(sorted(arguments.items())).encode())
    for base in _bases(dockerfile, arguments):
        digest.update(base_image.BASES[base]().encode())
    for instruction in _instructions(dockerfile, arguments):
        options = [word for word in instruction[1:] if word.startswith("--")]
        if instruction[0] == "FROM" or any(option.startswith("--from=") for option in options):
            continue
        for source in [word for word in instruction[1:] if not word.startswith("--")][:-1]:
            for path in _files(context, source):
                mode = path.lstat().st_mode & 0o111
                digest.update(f"{path.relative_to(context)}\0{mode}\0".encode())
                digest.update(os.readlink(path).encode() if path.is_symlink() else path.read_bytes())  # noqa: PTH115 - bytes
    return digest.hexdigest()[:12]


def _files(context: Path, source: str) -> list[Path]:
    """List the files that COPY takes: those that git would take, where the context is a repository."""
    relative = source.strip("/") or "."
    listing = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard", "--", relative]
    listed = subprocess.run(listing, cwd=context, capture_output=True, check=False, timeout=60)
    if listed.returncode == 0 and listed.stdout:
        found = [context / name.decode() for name in set(listed.stdout.split(b"\0")) if name]
    else:
        tops = sorted(context.glob(relative)) if relative != "." else [context]
        found = [path for top in tops for path in ([top] if not top.is_dir() else top.rglob("*"))]
    if not found:
        raise ClusterError(f"{context}: there is nothing to copy at {source}")
    return sorted(path for path in found if path.is_symlink() or path.is_file())
