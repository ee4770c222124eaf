# ruff: noqa: INP001 - a script
"""Build Vigil's images, with every label that an OCI image has, and push them if asked: `make images`.

The names are those that the chart makes of `image.repository`: <repository>/<image>:<tag>. Standard library only.
"""

import argparse
import datetime as dt
import re
import shutil
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).parents[1]
IMAGES: Final = tuple(sorted(path.parent.name for path in (ROOT / "images").glob("*/Dockerfile")))
TOOLS: Final = ("docker", "podman", "buildah")
LABEL: Final = "org.opencontainers.image"


@dataclass(frozen=True, slots=True)
class Build:
    """Properties that all images of one build share.

    Attributes
    ----------
    tool
        Path or name of docker (with buildx), podman or buildah.
    repository
        Registry and path in front of an image's name: `registry.example.com/vigil`.
    platforms
        Such as `linux/arm64`; empty: the platform of this machine.
    push
        Push to the registry; docker needs it for more than one platform, which it cannot keep locally.
    labels
        Labels beside those of the Dockerfiles; the ones without a value are left out.
    base_digest
        Digest of the base image, which is then used by it; empty: by its tag.
    """

    tool: str
    repository: str
    tag: str
    revision: str
    platforms: tuple[str, ...] = ()
    push: bool = False
    labels: tuple[tuple[str, str], ...] = ()
    base_digest: str = ""

    def name(self, image: str) -> str:
        """Return the reference of an image."""
        return f"{self.repository}/{image}:{self.tag}"

    def commands(self, image: str) -> list[list[str]]:
        """Return the commands that build one image and push it."""
        name, docker = self.name(image), Path(self.tool).name == "docker"
        several = len(self.platforms) > 1
        command = [self.tool, *(("buildx", "build") if docker else ("build",)), "-f", f"images/{image}/Dockerfile"]
        command += ["--manifest" if several and not docker else "-t", name]
        command += ["--build-arg", f"VERSION={self.tag}", "--build-arg", f"REVISION={self.revision}"]
        if self.platforms:
            command += ["--platform", ",".join(self.platforms)]
        for key, value in self.labels:
            if value:
                command += ["--label", f"{LABEL}.{key}={value}"]
        if self.base_digest:
            command += ["--build-arg", f"BASE={base_of(image)}@{self.base_digest}"]
            command += ["--label", f"{LABEL}.base.name={base_of(image)}"]
            command += ["--label", f"{LABEL}.base.digest={self.base_digest}"]
        if docker:
            return [[*command, "--push" if self.push else "--load", "."]]
        built = [[*command, "."]]
        if self.push:
            push = ("manifest", "push", "--all") if several else ("push",)
            built.append([self.tool, *push, name, f"docker://{name}"])
        return built


def base_of(image: str) -> str:
    """Return the base image that a Dockerfile names."""
    found = re.search(r"^ARG BASE=(\S+)$", (ROOT / "images" / image / "Dockerfile").read_text(), re.MULTILINE)
    if found is None:
        msg = f"images/{image}/Dockerfile has no line `ARG BASE=…`"
        raise ValueError(msg)
    return found[1]


def _git(*arguments: str) -> str:
    done = subprocess.run(["git", *arguments], cwd=ROOT, capture_output=True, text=True, check=False)  # noqa: S603, S607
    return done.stdout.strip() if done.returncode == 0 else ""


def _version() -> str:
    found = re.search(r"^appVersion: (\S+)$", (ROOT / "charts/vigil/Chart.yaml").read_text(), re.MULTILINE)
    return found[1] if found else "0"


def parse(arguments: Sequence[str]) -> tuple[Build, list[str]]:
    """Return the build that the arguments ask for, and its images; exits with a message when they are wrong."""
    parser = argparse.ArgumentParser(description="Build Vigil's images.")
    parser.add_argument("--repository", default="vigil", help="such as registry.example.com/vigil")
    parser.add_argument("--tag", default=_version(), help="default: the chart's appVersion")
    parser.add_argument("--platforms", default="", help="such as linux/amd64,linux/arm64; default: this machine's")
    parser.add_argument("--tool", default="", help="docker, podman or buildah; default: the first that is installed")
    parser.add_argument("--source", default="", help="public address of the source code, for the label")
    parser.add_argument("--base-digest", default="", help="sha256:… of the base image")
    parser.add_argument("--push", action="store_true", help="push the images to their registry")
    parser.add_argument("images", nargs="*", metavar="IMAGE", help=f"default: {' '.join(IMAGES)}")
    given = parser.parse_args(arguments)
    if unknown := sorted(set(given.images) - set(IMAGES)):
        parser.error(f"there is no image {', '.join(unknown)}; there are {', '.join(IMAGES)}")
    tool = given.tool or next((name for name in TOOLS if shutil.which(name)), "")
    if not tool:
        parser.error("neither docker, podman nor buildah is installed; install one, or name it with --tool")
    platforms = tuple(part for part in given.platforms.split(",") if part)
    if Path(tool).name == "docker" and len(platforms) > 1 and not given.push:
        parser.error("docker cannot keep an image of several platforms; add --push, or build one platform")
    created = _git("log", "-1", "--format=%cI") or dt.datetime.now(dt.UTC).isoformat(timespec="seconds")
    build = Build(
        tool=tool,
        repository=given.repository.rstrip("/"),
        tag=given.tag,
        revision=_git("rev-parse", "HEAD") or "unknown",
        platforms=platforms,
        push=given.push,
        labels=(("created", created), ("source", given.source)),
        base_digest=given.base_digest,
    )
    return build, given.images or list(IMAGES)


def main() -> int:
    """Build the images one by one; the status of the first command that fails."""
    build, images = parse(sys.argv[1:])
    for image in images:
        for command in build.commands(image):
            print(" ".join(command), flush=True)  # noqa: T201 - a script
            status = subprocess.run(command, cwd=ROOT, check=False).returncode  # noqa: S603
            if status != 0:
                return status
    return 0


if __name__ == "__main__":
    sys.exit(main())
