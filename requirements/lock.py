"""Pin what ships and what builds it, with hashes, for every supported Python: `make lock`."""

import subprocess
import sys
import tomllib
from pathlib import Path

HERE = Path(__file__).parent
ROOT = HERE.parent


def runtime_requirements() -> list[str]:
    """Collect the requirements of all distributions that are not distributions of this workspace."""
    found: set[str] = set()
    for project in ROOT.glob("*/pyproject.toml"):
        found |= set(tomllib.loads(project.read_text())["project"]["dependencies"])
    return sorted(name for name in found if not name.startswith("vigil-"))


def pin(requirements: list[str], target: Path, *constraints: Path) -> None:
    """Resolve requirements into one hashed file that holds for Python 3.11 and later on Linux."""
    command = [str(Path(sys.executable).with_name("uv")), "pip", "compile", "--quiet", "--universal"]
    command += [
        "--python-version",
        "3.11",
        "--generate-hashes",
        "--no-header",
        "--no-annotate",
        "--upgrade",
        "--output-file",
        str(target),
        "-",
    ]
    for constraint in constraints:
        command += ["--constraint", str(constraint)]
    subprocess.run(command, input="\n".join(requirements), text=True, check=True, stdout=subprocess.DEVNULL)  # noqa: S603


if __name__ == "__main__":
    runtime, dev = HERE / "runtime.txt", HERE / "dev.txt"
    pin(runtime_requirements(), runtime)
    pin((HERE / "dev.in").read_text().splitlines(), dev, runtime)
