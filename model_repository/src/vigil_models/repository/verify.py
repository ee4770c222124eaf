"""Checking an exported repository: every file exists and is unchanged, and every model runs."""

from pathlib import Path

import numpy as np

from vigil_models import catalogue
from vigil_models.catalogue import CROP, Detector
from vigil_models.errors import RepositoryError
from vigil_models.graph.preprocess import input_of
from vigil_models.graph.source import sha256_of
from vigil_models.proof import inputs, reference
from vigil_models.repository import manifest, write
from vigil_models.repository.manifest import Manifest, ManifestModel

SIZE = 64
"""Side of the images that detectors are checked with, in pixels."""


def verify_repository(repository: Path) -> Manifest:
    """Check an exported repository against its own manifest and run every model once.

    Raises
    ------
    RepositoryError
        When the manifest is missing or unreadable, files are missing or changed (all are named), or a model does not
        run or returns another shape.
    """
    found = manifest.read(repository)
    problems = [problem for model in found.models for problem in _changed(repository, model)]
    if problems:
        raise RepositoryError(f"{repository}: {'; '.join(problems)}. Export it again.")
    for model in found.models:
        _try(repository, model)
    return found


def _changed(repository: Path, model: ManifestModel) -> list[str]:
    problems = []
    for name, expected in model.files.items():
        path = repository / name
        if not path.is_file():
            problems.append(f"{name} is missing")
        elif sha256_of(path) != expected:
            problems.append(f"{name} was changed")
    return problems


def _try(repository: Path, model: ManifestModel) -> None:
    entry = catalogue.load().models.get(model.catalogue_entry)
    if entry is None:
        raise RepositoryError(f"{repository}: {model.catalogue_entry} is not in this catalogue. Export it again.")
    side = SIZE if isinstance(entry, Detector) else CROP
    images = np.stack([inputs.noise(side, side, 3), inputs.scene(side, side, 4)])
    path = repository / model.name / write.VERSION / "model.onnx"
    try:
        output = reference.session(path.read_bytes()).run(None, {input_of(entry): images})[0]
    except Exception as error:
        raise RepositoryError(f"{path}: does not run: {error}") from error
    expected = (2, entry.top_k, 15) if isinstance(entry, Detector) else (2, entry.embedding_size)
    if output.shape != expected or not np.isfinite(output).all():
        raise RepositoryError(f"{path}: returns {list(output.shape)}, expected finite {list(expected)}.")
