"""The images that the chart names, built from their Dockerfiles under those names, for test clusters."""

import shutil
from pathlib import Path

from tests.support.kubernetes.images import build_image
from tests.support.shared import ROOT

TAG = "test"
OWN = ("gateway", "operator", "stream", "triton-cpu")
SERVERS = {"nats": "docker.io/library/nats:2.15.1-alpine", "postgres": "docker.io/library/postgres:18.4"}
"""Of a trial: folder below `images` to the name that the chart gives by default."""

MODELS = "vigil/open-models"


def own_images() -> list[Path]:
    """Build Vigil's own images and return their archives."""
    return [build_image(ROOT / "images" / name / "Dockerfile", f"vigil/{name}:{TAG}") for name in OWN]


def server_images() -> list[Path]:
    """Build stand-ins for the public images and return their archives."""
    folder = Path(__file__).parent / "dockerfiles"
    return [build_image(folder / name / "Dockerfile", tag) for name, tag in SERVERS.items()]


def models_image(repository: Path, scratch: Path) -> Path:
    """Build an image with an exported repository in /models and return its archive."""
    shutil.copytree(repository, scratch / "models", ignore=shutil.ignore_patterns("__pycache__"))
    dockerfile = Path(__file__).parent / "dockerfiles" / "models" / "Dockerfile"
    return build_image(dockerfile, f"{MODELS}:{TAG}", scratch)
