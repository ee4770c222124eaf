"""With the real models: all enrolled people are recognised in the composed scenes, and no other person."""

import itertools
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image
from tests.support.servers import OPEN_PACK, model_repository
from tests.support.shared import missing

from vigil_cli.demo.compose import compose
from vigil_cli.demo.cutout import Figure, cut_out, enrolment_photo
from vigil_cli.demo.people import ENROLLED, PEOPLE
from vigil_cli.demo.photos import ensure_photos
from vigil_cli.demo.scene import FPS, SCENES, Scene
from vigil_cli.errors import CommandError
from vigil_cli.inference import local_inference
from vigil_cli.preparation import PreparationObserver
from vigil_models.api import cache_dir
from vigil_vision.faces.enrolment import enroll_photo, find_faces
from vigil_vision.faces.models import FaceModels

EVERY = FPS // 3
"""Three frames per second are analysed."""


@pytest.fixture(scope="module")
def photos() -> dict[str, Path]:
    try:
        return ensure_photos(cache_dir(), PreparationObserver(lambda _: None, lambda *_: None, lambda _: False))
    except CommandError as error:
        missing(f"the demo's photos ({error})")


@pytest.fixture(scope="module")
def client() -> Iterator[FaceModels]:
    with local_inference(model_repository(OPEN_PACK)) as client:
        yield client


@pytest.fixture(scope="module")
def figures(photos: dict[str, Path]) -> dict[str, Figure]:
    return {person.key: cut_out(person, Image.open(photos[person.shown.name])) for person in PEOPLE}


@pytest.fixture(scope="module")
def gallery(client: FaceModels, photos: dict[str, Path]) -> dict[str, NDArray[np.float32]]:
    found = {}
    for person in ENROLLED:
        enrolment = enroll_photo(client, enrolment_photo(person, photos))
        assert enrolment.embedding is not None, f"{person.name}: {enrolment.assessment.message}"
        found[person.key] = enrolment.embedding
    return found


@pytest.mark.integration
@pytest.mark.parametrize("scene", SCENES, ids=[scene.name for scene in SCENES])
def test_the_enrolled_are_recognised_and_nobody_else_is(
    scene: Scene,
    client: FaceModels,
    figures: dict[str, Figure],
    gallery: dict[str, NDArray[np.float32]],
) -> None:
    threshold = client.embedder_info().match_threshold
    best = dict.fromkeys(gallery, -1.0)
    unknown = 0
    for frame in itertools.islice(compose(scene, figures, 7), 0, None, EVERY):
        faces = find_faces(client, frame)
        clear = faces.detections.scores >= client.detector_info().score_threshold
        if not clear.any():
            continue
        embeddings = client.embed(faces.crops[clear]).values
        for embedding in embeddings:
            similarity = {key: float(embedding @ known) for key, known in gallery.items()}
            unknown += max(similarity.values()) < threshold
            best = {key: max(best[key], similarity[key]) for key in best}
    for key, highest in best.items():
        if key in scene.people:
            assert highest >= threshold + 0.1, key
        else:
            assert highest < threshold - 0.05, key
    assert unknown >= 5, "people who are not enrolled are seen as well"
