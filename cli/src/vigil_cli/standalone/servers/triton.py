"""Triton, from the `nvidia-pytriton` wheel; only the server in it is used, not its Python code.

The wheel has only the Python backend; models for this machine are therefore exported for `cpu-python`.
"""

import contextlib
import importlib.metadata
import importlib.util
import os
import shutil
import sys
import sysconfig
from dataclasses import dataclass
from pathlib import Path

from vigil_cli.standalone.servers.folders import as_start_error, prepare
from vigil_cli.standalone.servers.ports import LOOPBACK, answers, check_free
from vigil_cli.supervisor.spec import ProcessSpec, StartError

NEED_BYTES = 16 << 20
SERVED = "served-models"
"""Name of the link to the model repository in the server's folder."""
READY_TIMEOUT_S = 120
"""Each instance loads its model and runs its warm-up first."""


@dataclass(frozen=True, slots=True)
class TritonPorts:
    """Ports of Triton on the loopback address."""

    grpc: int
    http: int
    metrics: int


def _package() -> Path:
    found = importlib.util.find_spec("pytriton")
    folder = Path(found.origin).parent / "tritonserver" if found and found.origin else None
    if folder is None or not (folder / "bin" / "tritonserver").exists():
        msg = "Triton is missing; install its wheel with: pip install --no-deps nvidia-pytriton==0.7.0"
        raise StartError(msg)
    return folder


def _stub() -> Path:
    """Return the program of the wheel that runs models with this Python."""
    version = f"{sys.version_info.major}.{sys.version_info.minor}"
    stub = _package() / "python_backend_stubs" / version / "triton_python_backend_stub"
    if not stub.exists():
        have = ", ".join(sorted(path.name for path in stub.parents[1].iterdir()))
        msg = f"Triton's wheel has no stub for Python {version}; make the environment with one of Python {have}."
        raise StartError(msg)
    return stub


def program() -> Path:
    """Return the path of the server, after checking that it can run models with this Python.

    Raises
    ------
    StartError
        The wheel, or its stub for this Python, is missing; the text names the remedy.
    """
    _stub()
    return _package() / "bin" / "tritonserver"


def libpython() -> Path:
    """Return the folder of the shared library of this Python, which Triton's Python backend loads.

    Raises
    ------
    StartError
        It is missing; the text names its package.
    """
    version = f"{sys.version_info.major}.{sys.version_info.minor}"
    name = f"libpython{version}.so.1.0"
    multiarch = sysconfig.get_config_var("MULTIARCH") or ""
    folders = [
        sysconfig.get_config_var("LIBDIR"),
        f"{sys.base_prefix}/lib",
        f"/usr/lib/{multiarch}",
        "/usr/lib",
        "/usr/local/lib",
    ]
    for folder in folders:
        if folder and (Path(folder) / name).exists():
            return Path(folder)
    msg = f"Triton needs {name}, which is not on this machine; install it with: apt-get install libpython{version}"
    raise StartError(msg)


def _backends(folder: Path) -> Path:
    """Copy the Python backend with the stub for this Python; return the folder of backends."""
    stub = _stub()
    release = importlib.metadata.version("nvidia-pytriton")
    target = folder / f"backends-{release}-python{stub.parent.name}" / "python"
    if not (target / stub.name).exists():
        with as_start_error(f"Triton cannot copy its backend to {target}"):
            shutil.rmtree(target, ignore_errors=True)
            shutil.copytree(_package() / "backends" / "python", target)
            partial = target / ".stub"  # its existence is checked above, so it must appear last and whole
            shutil.copy2(stub, partial)
            partial.replace(target / stub.name)
    return target.parent


def _prefix(ports: TritonPorts) -> str:
    return f"vigil_triton_{ports.grpc}_"


def _remove_stale_memory(ports: TritonPorts) -> None:
    """Remove the shared memory between a killed server and its Python processes."""
    for region in Path("/dev/shm").glob(f"{_prefix(ports)}*"):  # noqa: S108 - the folder of POSIX shared memory
        with contextlib.suppress(OSError):
            region.unlink()


def triton(folder: Path, models: Path, ports: TritonPorts) -> ProcessSpec:
    """Return the spec of a Triton server for a model repository.

    Parameters
    ----------
    folder
        For the copy of the Python backend (2 MB).
    models
        A repository exported with the `cpu-python` target.
    ports
        Ports to listen on.

    Raises
    ------
    StartError
        The wheel, its stub for this Python, or libpython is missing; the repository is empty, or the folder cannot
        be used.
    """
    if not any(models.glob("*/config.pbtxt")):
        remedy = f"vigil-models export --pack open --target cpu-python --out {models}"
        msg = f"{models} holds no exported models; make them with: {remedy}"
        raise StartError(msg)
    package = _package()
    folder = prepare(folder, "Triton", NEED_BYTES)
    # The Python backend starts its processes through a shell, without quoting. Names below the working folder are
    # therefore all that it sees of paths: a user's own may hold anything.
    options = {
        "model-repository": SERVED,
        "backend-directory": _backends(folder).name,
        "backend-config": f"python,shm-region-prefix-name={_prefix(ports)}",
        "grpc-address": LOOPBACK,
        "grpc-port": ports.grpc,
        "http-address": LOOPBACK,
        "http-port": ports.http,
        "metrics-address": LOOPBACK,
        "metrics-port": ports.metrics,
        "allow-gpu-metrics": "false",
        "exit-timeout-secs": 5,
    }
    return ProcessSpec(
        name="triton",
        argv=[str(package / "bin" / "tritonserver"), *(f"--{name}={value}" for name, value in options.items())],
        env=_environment(package),
        cwd=folder,  # the stub looks for modules in its working folder first, too
        ready=lambda: answers(ports.http, "/v2/health/ready"),
        ready_timeout_s=READY_TIMEOUT_S,
        stop_timeout_s=10,
        before_start=lambda: _prepare_start(folder, models.absolute(), ports),
    )


def _environment(package: Path) -> dict[str, str]:
    libraries = [package.parents[1] / "nvidia_pytriton.libs", libpython()]
    return {
        "LD_LIBRARY_PATH": os.pathsep.join(
            [str(path) for path in libraries] + [os.environ.get("LD_LIBRARY_PATH", "")]
        ).rstrip(":"),
        # The stub embeds an isolated Python, which finds its packages only by the first python3 on PATH.
        "PATH": os.pathsep.join([sysconfig.get_path("scripts"), os.environ.get("PATH", "")]),
        "OMP_NUM_THREADS": "1",
    }


def _prepare_start(folder: Path, models: Path, ports: TritonPorts) -> None:
    link = folder / f".{SERVED}"
    link.unlink(missing_ok=True)
    link.symlink_to(models, target_is_directory=True)
    link.replace(folder / SERVED)
    check_free(ports.grpc, "triton's gRPC")
    check_free(ports.http, "triton's HTTP")
    check_free(ports.metrics, "triton's metrics")
    _remove_stale_memory(ports)  # the ports are free, so no server uses it
