"""Finding a package as the user's own pip does: its index, mirrors, links and certificates.

pip is asked for the address (`pip install --dry-run --report`), so no registry is named here; the file itself is
fetched by `download`, which can resume and show progress. Where that is refused (a registry that requires a login that
only pip has), pip fetches it.
"""

import ast
import json
import ssl
import subprocess
import sys
import tempfile
from pathlib import Path
from urllib.parse import unquote, urlsplit

from vigil_models.errors import FetchError
from vigil_models.fetch.download import Progress, download

TIMEOUT_SECONDS = 180
WHEEL, SDIST = "--only-binary=:all:", "--no-binary=:all:"


def wheel_name(requirement: str) -> str:
    """Return the file name of a pure-Python wheel: `name-1.2-py3-none-any.whl` for `name==1.2`."""
    name, version = requirement.split("==")
    return f"{name.replace('-', '_')}-{version}-py3-none-any.whl"


def fetch_wheel(requirement: str, folder: Path, progress: Progress) -> Path:
    """Fetch a pure-Python wheel from the registry that pip is configured for.

    Parameters
    ----------
    requirement
        `name==version`.
    folder
        Destination folder.
    progress
        Called after every chunk.

    Raises
    ------
    FetchError
        When pip is missing, the registry cannot be reached, or it has no such version; the text has the remedy.
    """
    return _fetch(requirement, folder, wheel_name(requirement), WHEEL, progress)


def fetch_package(requirement: str, folder: Path, pattern: str, progress: Progress, *, sdist: bool = False) -> Path:
    """Fetch any package's file: its wheel for this machine, or its source archive.

    Parameters
    ----------
    requirement
        `name==version`.
    folder
        Destination folder.
    pattern
        Glob of the file's name, which the registry chooses.
    progress
        Called after every chunk.
    sdist
        The source archive instead of the wheel.

    Raises
    ------
    FetchError
        As `fetch_wheel`.
    """
    return _fetch(requirement, folder, pattern, SDIST if sdist else WHEEL, progress)


def _fetch(requirement: str, folder: Path, pattern: str, form: str, progress: Progress) -> Path:
    url, sha256 = _locate(requirement, form, folder / pattern)
    destination = folder / unquote(urlsplit(url).path).rsplit("/", 1)[-1]
    try:
        download(url, destination, sha256=sha256, progress=progress, verify=_certificates())
    except FetchError as error:
        folder.mkdir(parents=True, exist_ok=True)
        ran = _pip(["download", "--no-deps", form, "--dest", str(folder), requirement])
        found = sorted(folder.glob(pattern))
        if ran.returncode or not found:
            raise FetchError(f"{error} {_advice(requirement, form, folder / pattern)}") from error
        return found[-1]
    return destination


def _locate(requirement: str, form: str, destination: Path) -> tuple[str, str | None]:
    with tempfile.TemporaryDirectory() as scratch:
        report = Path(scratch) / "report.json"
        options = ["--dry-run", "--ignore-installed", "--no-deps", form, "--report", str(report)]
        ran = _pip(["install", *options, requirement])
        if ran.returncode or not report.is_file():
            reason = next((line for line in reversed(ran.stderr.splitlines()) if line.strip()), "no reason")
            advice = _advice(requirement, form, destination)
            raise FetchError(f"{requirement}: the package registry did not deliver it ({reason}). {advice}")
        info = json.loads(report.read_text(encoding="utf-8"))["install"][0]["download_info"]
    return info["url"], info.get("archive_info", {}).get("hashes", {}).get("sha256")


def _advice(requirement: str, form: str, destination: Path) -> str:
    option = f"{form} " if form == SDIST else ""
    return (
        f"Without network: on another machine run `pip download --no-deps {option}{requirement}` "
        f"and put {destination.name} into {destination.parent}."
    )


def _pip(arguments: list[str]) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "pip", "--no-input", "--disable-pip-version-check", "--quiet", *arguments]
    try:
        return subprocess.run(  # noqa: S603 - our own arguments, no shell
            command, capture_output=True, text=True, timeout=TIMEOUT_SECONDS, check=False
        )
    except subprocess.TimeoutExpired as error:
        raise FetchError(f"pip did not end within {TIMEOUT_SECONDS} s ({' '.join(arguments)}).") from error


def _certificates() -> ssl.SSLContext | None:
    """Return the certificates that pip trusts (`PIP_CERT`, `cert` in pip's configuration)."""
    for line in _pip(["config", "list"]).stdout.splitlines():
        key, _, value = line.partition("=")
        if key.endswith(".cert"):
            path = Path(str(ast.literal_eval(value)))
            return ssl.create_default_context(cafile=str(path)) if path.is_file() else None
    return None
