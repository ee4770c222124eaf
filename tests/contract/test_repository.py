"""Rules of the repository itself."""

import re
import subprocess
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PROJECTS = sorted(ROOT.glob("*/pyproject.toml"))


def tracked() -> list[Path]:
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, check=True, text=True).stdout
    return [ROOT / name for name in listed.split("\0") if name]


def requirement_names(project: Path) -> set[str]:
    declared = tomllib.loads(project.read_text())["project"]["dependencies"]
    return {re.split(r"[\[<>=~!; ]", requirement, maxsplit=1)[0].lower() for requirement in declared}


@pytest.mark.parametrize("project", PROJECTS, ids=lambda path: path.parent.name)
def test_every_dependency_says_why_it_is_there(project: Path) -> None:
    known = (ROOT / "docs" / "dependencies.md").read_text().lower()
    assert {name for name in requirement_names(project) if not name.startswith("vigil-") and name not in known} == set()


@pytest.mark.parametrize("project", PROJECTS, ids=lambda path: path.parent.name)
def test_every_dependency_is_pinned_with_its_hash(project: Path) -> None:
    pinned = set(re.findall(r"^([a-z0-9-]+)==", (ROOT / "requirements" / "runtime.txt").read_text(), re.MULTILINE))
    assert {name for name in requirement_names(project) if not name.startswith("vigil-")} <= pinned


def test_no_folder_shadows_the_standard_library() -> None:
    assert not (ROOT / "operator" / "__init__.py").exists()


def test_no_weights_photos_or_videos_are_committed() -> None:
    forbidden = {".onnx", ".plan", ".engine", ".jpg", ".jpeg", ".mp4", ".mkv", ".webm", ".whl"}
    assert [path for path in tracked() if path.suffix.lower() in forbidden] == []


def test_dependencies_are_named_by_version_and_never_by_address() -> None:
    address = re.compile(r"https?://|git\+|--(extra-)?index-url|--find-links")
    files = [path for path in tracked() if path.parent.name == "requirements" and path.suffix in {".txt", ".in"}]
    assert files
    assert [path.name for path in files if address.search(path.read_text())] == []


def without_code(text: str) -> str:
    """Leave out what stands between backticks in a line: a regular expression looks like a link."""
    return re.sub(r"`[^`\n]*`", "", text)


def test_every_relative_link_in_the_docs_has_a_target() -> None:
    links = [
        (page, target)
        for page in tracked()
        if page.suffix == ".md"
        for target in re.findall(r"\]\((?!https?://|#|mailto:)([^)#\s]+)", without_code(page.read_text()))
    ]
    assert links
    assert [
        f"{page.relative_to(ROOT)}: {target}" for page, target in links if not (page.parent / target).exists()
    ] == []
