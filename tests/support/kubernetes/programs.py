"""The programs of a cluster, built once from pinned Go modules into the user's cache and found there ever after."""

import functools
import hashlib
import os
import shutil
import tempfile
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

import filelock
from tests.support.kubernetes.errors import ClusterError

from vigil_cli.standalone.servers.folders import prepare
from vigil_cli.standalone.servers.go2rtc import cache_folder
from vigil_cli.standalone.servers.go_build import go_build
from vigil_cli.supervisor.spec import StartError

KUBERNETES = "v1.36.3"
SOURCES = Path(__file__).parent / "programs"
BUILD_TIMEOUT_S = 2400.0
"""Kubernetes itself takes six minutes on two cores; a busy machine may take several times as long."""
NEED_BYTES = 3 << 30
"""Modules, Go's own build cache, and the result."""
_MAJOR, _MINOR, _ = KUBERNETES[1:].split(".")
_VERSION = "k8s.io/component-base/version"
"""Without its version, the API server takes itself for one of the distant past."""
_CLIENT_VERSION = "k8s.io/client-go/pkg/version"
"""What programs call themselves in requests."""


@dataclass(frozen=True)
class Module:
    """One Go module and the programs that come of it.

    Attributes
    ----------
    name
        Its folder below `SOURCES`, with the go.mod and go.sum that pin it.
    package
        What is built: the module's own main, or that of a requirement.
    programs
        The names that the one resulting file is called by.
    """

    name: str
    programs: tuple[str, ...]
    package: str = "."
    variables: tuple[tuple[str, str], ...] = ()


MODULES = (
    Module(
        "kubernetes",
        ("kube-apiserver", "kube-controller-manager", "kube-scheduler", "kubelet", "kube-proxy", "kubectl"),
        variables=(
            (f"{_VERSION}.gitVersion", KUBERNETES),
            (f"{_VERSION}.gitMajor", _MAJOR),
            (f"{_VERSION}.gitMinor", _MINOR),
            (f"{_VERSION}.gitTreeState", "clean"),
            (f"{_CLIENT_VERSION}.gitVersion", KUBERNETES),
            (f"{_CLIENT_VERSION}.gitCommit", "test"),
        ),
    ),
    Module("etcd", ("etcd",)),
    Module("pause", ("pause",)),
    Module("coredns", ("coredns",), "github.com/coredns/coredns"),
    Module("kwok", ("kwok",)),
    Module("helm", ("helm",), "helm.sh/helm/v3/cmd/helm"),
    Module("kubeconform", ("kubeconform",), "github.com/yannh/kubeconform/cmd/kubeconform"),
)
_BY_PROGRAM = {program: module for module in MODULES for program in module.programs}

Progress = Callable[[str], None]


def programs_folder() -> Path:
    """Return the folder of built programs."""
    return cache_folder() / "kubernetes" / KUBERNETES


def find(program: str) -> Path | None:
    """Find a program in the cache; None when it would have to be built first."""
    path = _target(_BY_PROGRAM[program]) / program
    return path if path.exists() else None


def ensure(programs: Iterable[str], progress: Progress = lambda _: None) -> None:
    """Build what is missing, one module after the other.

    Parameters
    ----------
    programs
        Names, as in `MODULES`.
    progress
        Called with a line for each build: what is built, and how long the build was.

    Raises
    ------
    ClusterError
        There is no Go, no room, or a build failed.
    """
    for module in dict.fromkeys(_BY_PROGRAM[program] for program in programs):
        if not _is_built(module):
            _build_alone(module, progress)


def program(name: str) -> Path:
    """Find a program, or build it.

    Raises
    ------
    ClusterError
        As `ensure`.
    """
    ensure([name])
    return _target(_BY_PROGRAM[name]) / name


def _is_built(module: Module) -> bool:
    return all((_target(module) / program).exists() for program in module.programs)


@functools.cache
def _digest(module: Module) -> str:
    digest = hashlib.sha256(repr((module.package, module.programs, module.variables)).encode())
    for path in sorted((SOURCES / module.name).iterdir()):
        digest.update(f"{path.name}\0".encode() + path.read_bytes())
    return digest.hexdigest()[:12]


def _target(module: Module) -> Path:
    return programs_folder() / f"{module.name}-{_digest(module)}"


def _build_alone(module: Module, progress: Progress) -> None:
    """Build while no other process does; what that one built meanwhile is not built again."""
    target = _target(module)
    try:
        prepare(target.parent, f"The build of {module.name}")
        with filelock.FileLock(target.with_suffix(".lock"), timeout=BUILD_TIMEOUT_S):
            if not _is_built(module):
                prepare(target.parent, f"The build of {module.name}", NEED_BYTES)
                _build(module, target, progress)
    except (StartError, OSError) as error:
        raise ClusterError(str(error)) from error


def _build(module: Module, target: Path, progress: Progress) -> None:
    progress(f"building {module.name} (once; into {target})")
    begun = time.monotonic()
    with tempfile.TemporaryDirectory(dir=target.parent, prefix=".build-") as scratch:
        folder = Path(scratch) / target.name
        folder.mkdir()
        first, *others = module.programs
        go_build(
            module.name, module.package, SOURCES / module.name, folder / first, BUILD_TIMEOUT_S, dict(module.variables)
        )
        for other in others:
            os.link(folder / first, folder / other)  # the program looks at the name that it is called by
        shutil.rmtree(target, ignore_errors=True)
        folder.replace(target)
    progress(f"built {module.name} in {time.monotonic() - begun:.0f} s")
