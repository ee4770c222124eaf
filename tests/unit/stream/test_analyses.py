"""The seam of analyses: the same pipeline feeds another one beside faces, and neither disturbs the other."""

from collections.abc import Mapping, Sequence
from typing import ClassVar

import numpy as np
import pytest
from numpy.typing import NDArray
from tests.unit.stream.test_frame_pipeline import ALL, HERE, Camera, Story

from vigil_contracts.analyses import ANALYSES, AnalysisInfo, AnalysisName
from vigil_contracts.events import CloseReason
from vigil_stream.analyses.analysis import Analysis, Detected
from vigil_stream.analyses.catalogue import CLASSES, make_analyses
from vigil_stream.frame_pipeline import FramePipeline
from vigil_stream.pipeline.tracker import Track, Tracker
from vigil_stream.scene import Scene
from vigil_vision.detection import Detections
from vigil_vision.faces.model_info import DETECTION, RECOGNITION
from vigil_vision.letterbox import Letterbox
from vigil_vision.triton import InferenceUnavailable


class Vehicles:
    """Sees one vehicle of fixed size in every frame, through a detector of fixed input size."""

    name: ClassVar[AnalysisName] = AnalysisName.VEHICLES

    def __init__(self) -> None:
        self.tracker = Tracker()
        self.error = ""
        self.works = True
        self.log: list[str] = []
        self.last_at = 0.0
        self.inputs: set[tuple[int, ...]] = set()

    def counters(self) -> Mapping[str, int]:
        return {"inference_errors": 3}

    def input_size(self) -> tuple[int, int] | None:
        return 320, 320

    def detect(self, pixels: NDArray[np.uint8], letterbox: Letterbox) -> Detected:
        if not self.works:
            raise InferenceUnavailable("no detector of vehicles")
        self.inputs.add(pixels.shape)
        assert letterbox.width == 320
        boxes, marks = np.array([[400, 50, 560, 150]], np.float32), np.zeros((1, 5, 2), np.float32)
        return Detected(Detections(boxes, np.ones(1, np.float32), marks), "v:1")

    def update(self, scene: Scene, tracks: Sequence[Track]) -> None:
        assert len(scene.detections) == len(tracks)
        self.log.append(f"update {[track.track_id for track in tracks]}")

    def keep_still(self, tracks: Sequence[Track], captured_at: float) -> None:
        self.log.append(f"still {len(tracks)}")
        self.last_at = captured_at

    def collect(self) -> None:
        pass

    def end(self, tracks: Sequence[Track], captured_at: float, reason: CloseReason) -> None:
        if tracks:
            self.log.append(f"end {reason.value}")
            self.last_at = captured_at

    def end_all(self, reason: CloseReason) -> None:
        self.log.append(f"end all {reason.value}")


@pytest.fixture
def vehicles() -> Vehicles:
    return Vehicles()


def both(camera: Camera, vehicles: Analysis) -> Camera:
    """Let the pipeline of a camera feed two analyses."""
    camera.pipeline = FramePipeline(camera.spec, [camera.faces, vehicles], camera.observer, camera.story.frame_buffer)
    return camera


def test_two_analyses_share_a_frame_and_nothing_else(vehicles: Vehicles) -> None:
    alone, beside = Camera(Story(), **ALL), both(Camera(Story(), **ALL), vehicles)
    for camera in (alone, beside):
        for _ in range(3):
            camera.show(HERE)
        camera.show(HERE, cut=True)
        camera.pipeline.end_all(CloseReason.SHUTDOWN)
    assert beside.states() == alone.states()
    assert vehicles.log == ["update [1]"] * 3 + ["end Cut", "update [2]", "end all Shutdown"]
    assert vehicles.inputs == {(320, 320, 3)}
    assert beside.pipeline.count("inference_errors") == 3
    assert beside.pipeline.endpoint == "v:1"


def test_a_frame_that_one_cannot_detect_in_is_handed_to_none(vehicles: Vehicles) -> None:
    camera = both(Camera(Story(), **ALL), vehicles)
    vehicles.works = False
    with pytest.raises(InferenceUnavailable):
        camera.show(HERE)
    assert camera.events == []
    assert camera.pipeline.analysed == 0
    vehicles.error = "no reader of plates"
    assert camera.pipeline.error == "no reader of plates"


def test_the_catalogue_makes_the_analyses_that_a_camera_names() -> None:
    camera = Camera(Story(), **ALL)
    made = make_analyses(camera.context)
    assert [one.name for one in made] == camera.spec.analyses == [AnalysisName.FACES]


def test_each_analysis_that_is_implemented_has_a_class() -> None:
    """The operator admits Cameras by the same entries."""
    assert CLASSES.keys() == ANALYSES.keys()
    faces = AnalysisInfo(AnalysisName.FACES, ("face_detection", "face_recognition"), 1000)
    assert ANALYSES[AnalysisName.FACES] == faces
    assert faces.models == (DETECTION, RECOGNITION)
