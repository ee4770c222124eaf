"""Test material that is not part of the repository: real models, faces and video in `../shared`."""

import os
from pathlib import Path
from typing import NoReturn

import pytest

ROOT = Path(__file__).parents[2]
SHARED = ROOT.parent / "shared"


def in_ci() -> bool:
    return os.environ.get("CI", "").lower() in {"1", "true", "yes"}


def missing(what: str) -> NoReturn:
    """Skip by name; in CI everything has to be there, so it is a failure."""
    if in_ci():
        pytest.fail(f"{what} is missing, and in CI nothing may be", pytrace=False)
    pytest.skip(f"needs {what}")


def shared(path: str) -> Path:
    """Find a file or folder of the shared material, or skip the test by its name."""
    found = SHARED / path
    if not found.exists():
        missing(f"../shared/{path}")
    return found
