"""Writing a repository: all files into a folder beside the destination, then one rename. Whole, or absent."""

import shutil
import tempfile
from collections.abc import Mapping
from contextlib import suppress
from importlib import resources
from pathlib import Path

from vigil_models.errors import RepositoryError
from vigil_models.repository import manifest

VERSION = "1"
"""Triton's version folder; a model change is another repository, not another version."""


def python_model() -> bytes:
    """Return the program that Triton's python backend runs."""
    return (resources.files("vigil_models") / "repository" / "python_backend" / "model.py").read_bytes()


def write(destination: Path, files: Mapping[str, bytes]) -> None:
    """Write files into a folder that appears, or replaces an earlier export, at once.

    Parameters
    ----------
    destination
        The repository; absent, empty, or an earlier export.
    files
        Path below it to content.

    Raises
    ------
    RepositoryError
        When the destination holds something else, or cannot be written; then nothing is changed.
    """
    _check_free(destination)
    try:
        destination.parent.mkdir(parents=True, exist_ok=True)
        staging = Path(tempfile.mkdtemp(prefix=f".{destination.name}.", dir=destination.parent))
    except OSError as error:
        raise RepositoryError(f"{destination}: cannot be written ({error.strerror}).") from error
    try:
        for name, content in files.items():
            path = staging / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
        staging.chmod(0o755)
        _swap(staging, destination)
    except OSError as error:
        raise RepositoryError(f"{destination}: cannot be written ({error.strerror}); nothing was changed.") from error
    finally:
        shutil.rmtree(staging, ignore_errors=True)


def _check_free(destination: Path) -> None:
    if destination.is_symlink() or (destination.exists() and not destination.is_dir()):
        raise RepositoryError(f"{destination}: is not a folder. Choose another --out.")
    if destination.is_dir() and any(destination.iterdir()) and not (destination / manifest.NAME).is_file():
        raise RepositoryError(f"{destination}: holds files that are no export of vigil-models. Choose another --out.")


def _swap(staging: Path, destination: Path) -> None:
    if not destination.exists():
        staging.rename(destination)
        return
    old = Path(tempfile.mkdtemp(prefix=f".{destination.name}.old.", dir=destination.parent))
    try:
        destination.rename(old / "was")
        try:
            staging.rename(destination)
        except OSError:
            with suppress(OSError):
                (old / "was").rename(destination)
            raise
    finally:
        if destination.exists():
            shutil.rmtree(old, ignore_errors=True)
