"""A photo on a wall is one sighting, marked as still: real models find it in noise, among people who pass and stand."""

import time
from pathlib import Path

import av
import cv2
import numpy as np
import pytest
from bench.gate.models import LocalModels
from bench.gate.people import FACE, Person, Portrait, load
from bench.gate.play import Silent
from bench.gate.scenes import Painter, Place, Scene, Visit
from tests.support.servers import OPEN_PACK, model_repository

from vigil_contracts.events import CameraRef, CloseReason, Sighting
from vigil_contracts.resources.camera import CameraSpec
from vigil_stream.analyses.analysis import AnalysisContext
from vigil_stream.analyses.faces.analysis import FaceAnalysis
from vigil_stream.capture.luma import LumaReader
from vigil_stream.capture.slot import Frame
from vigil_stream.frame_pipeline import FramePipeline
from vigil_stream.publish.event import OutgoingEvent
from vigil_vision.triton import TritonClient

pytestmark = pytest.mark.integration

FPS = 4
WIDTH = 60
"""Of the face on the photo, in pixels."""


@pytest.fixture(scope="module")
def local_models() -> LocalModels:
    return LocalModels(model_repository(OPEN_PACK))


@pytest.fixture(scope="module")
def people(local_models: LocalModels, faces: Path) -> dict[str, Person]:
    return {person.name: person for person in load(local_models, faces)}


class Wall:
    """A camera that looks at a wall with a photo, and the sightings that it makes."""

    def __init__(self, models: LocalModels, photo: Portrait) -> None:
        self._painter, self._reader, self._at = Painter(1), LumaReader(), time.time()
        scale = WIDTH / FACE
        hung = cv2.resize(photo.pixels, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
        left, top = int(320 - photo.centre[0] * scale), int(150 - photo.centre[1] * scale)
        self._painter._wall[top : top + hung.shape[0], left : left + hung.shape[1]] = hung
        spec = CameraSpec.model_validate(
            {"source": {"type": "File", "url": "file:wall.mp4"}, "detection": {"stillFaces": {"afterSeconds": 12}}}
        )
        client = TritonClient(["127.0.0.1:1"], shared_memory="off")
        camera, observer = CameraRef(namespace="default", name="wall"), Silent()
        context = AnalysisContext("lab", camera, "session", spec, client, self._keep, observer)
        self._faces = FaceAnalysis(context, models)
        self._pipeline = FramePipeline(
            spec, [self._faces], observer, lambda height, width: np.zeros((height, width, 3), np.uint8)
        )
        self.sightings: dict[str, Sighting] = {}

    def _keep(self, events: list[OutgoingEvent]) -> None:
        self.sightings |= {str(one.sighting.sighting_id): one.sighting for one in events if one.sighting is not None}

    def watch(self, seconds: float, *visits: Visit, light: float = 1.0) -> None:
        for _, pixels, _ in self._painter.frames(Scene(visits, seconds), FPS):
            self._at += 1 / FPS
            lit = np.clip(pixels * light, 0, 255).astype(np.uint8)
            decoded = av.VideoFrame.from_ndarray(lit, format="rgb24").reformat(format="yuv420p")
            self._pipeline.process(Frame(decoded, self._reader.read(decoded), self._at, 1000 + self._at))
            self._faces.collect(wait=True)

    def end(self, reason: CloseReason) -> None:
        self._pipeline.end_all(reason)


def test_a_photo_on_a_wall_is_one_sighting(local_models: LocalModels, people: dict[str, Person]) -> None:
    """Somebody passes in front of it, somebody stands there, the light goes off and on, the camera is lost."""

    def passes(at: float) -> Place:
        return 60 + 110 * at, 150, 90

    def stands(at: float) -> Place | None:
        return (320 + 4 * np.sin(at), 152, 1.1 * WIDTH) if 1 < at < 6 else None

    photos = {name: person.portraits[0] for name, person in people.items()}
    wall = Wall(local_models, photos["barack-obama"])
    wall.watch(15)
    assert [one.still for one in wall.sightings.values()] == [True]
    wall.watch(4.5, Visit("kit-harington", photos["kit-harington"], passes, nearer=True))
    wall.watch(9, Visit("rose-leslie", photos["rose-leslie"], stands, nearer=True))
    wall.watch(3, light=0.1)
    wall.watch(2, light=0.7)
    wall.end(CloseReason.SOURCE_LOST)
    wall.watch(3)
    wall.end(CloseReason.SHUTDOWN)
    photo, *visitors = wall.sightings.values()
    assert (photo.still, photo.close_reason) == (True, CloseReason.SHUTDOWN)
    assert [one.still for one in visitors] == [False, False]
    assert [one.close_reason for one in visitors] == [CloseReason.LEFT] * 2
