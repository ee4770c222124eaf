"""Stories of faces, with inference that answers by script."""

import threading
import time
from typing import Any

import av
import numpy as np
import pytest
from numpy.typing import NDArray
from tests.unit.stream.observing import Recorder

from vigil_contracts.events import CameraRef, CloseReason, Sighting, SightingState
from vigil_contracts.resources.camera import CameraSpec
from vigil_stream.analyses.analysis import AnalysisContext
from vigil_stream.analyses.faces.analysis import FaceAnalysis
from vigil_stream.capture.luma import LumaReader
from vigil_stream.capture.slot import Frame
from vigil_stream.frame_pipeline import FramePipeline
from vigil_stream.masking import FrameMask
from vigil_stream.pipeline.regions import polygons
from vigil_stream.publish.event import OutgoingEvent
from vigil_vision.faces.model_info import DetectorInfo, EmbedderInfo
from vigil_vision.faces.models import DetectorResult, EmbedderResult
from vigil_vision.triton import InferenceError, InferenceResult, InferenceUnavailable, TritonClient

WIDTH, HEIGHT = 640, 352
DETECTOR = DetectorInfo("d@1", score_threshold=0.6, enrol_score_threshold=0.6, nms_iou=0.4, top_k=4)
EMBEDDER = EmbedderInfo(
    "r@1", embedding_size=2, match_threshold=0.4, match_margin=0.05, same_person=0.45, other_person=0.15
)
ALICE, BOB = (1.0, 0.0), (0.0, 1.0)
Place = tuple[float, float, float]


class Story:
    """Inference by script: faces at places, and who they are."""

    def __init__(self) -> None:
        self.faces: list[Place] = []
        self.person = ALICE
        self.detects = self.embeds = True
        self.rows, self.score = 4, 0.9
        self.gate = threading.Event()
        self.gate.set()
        self.images: list[NDArray[np.uint8]] = []
        self.crops: list[NDArray[np.uint8]] = []

    def detect(
        self,
        image: NDArray[np.uint8],
        *,
        deadline_s: float | None = None,  # noqa: ARG002 - the interface
    ) -> DetectorResult:
        if not self.detects:
            raise InferenceUnavailable("no detector")
        self.images.append(image.copy())
        rows = np.zeros((1, self.rows, 15), np.float32)
        for row, (x, y, size) in zip(rows[0], self.faces, strict=False):
            marks = np.array([(0.3, 0.35), (0.7, 0.35), (0.5, 0.55), (0.35, 0.75), (0.65, 0.75)]) * size + (x, y)
            row[:5], row[5:] = (x, y, x + size, y + size, self.score), marks.ravel()
        return InferenceResult(rows, DETECTOR, "t:1")

    def embed(
        self,
        faces: NDArray[np.uint8],
        *,
        deadline_s: float | None = None,  # noqa: ARG002 - the interface
    ) -> EmbedderResult:
        assert self.gate.wait(10)
        if not self.embeds:
            raise InferenceUnavailable("no embedder")
        self.crops.extend(faces.copy())
        return InferenceResult(np.array([self.person] * len(faces), np.float32), EMBEDDER, "t:1")

    def embedder_info(self) -> EmbedderInfo:
        return EMBEDDER

    def detector_info(self) -> DetectorInfo:
        return DETECTOR

    def frame_buffer(self, height: int, width: int) -> NDArray[np.uint8]:
        return np.zeros((height, width, 3), np.uint8)


class Camera:
    """Feeds frames 0.2 s apart, each different from the one before, and keeps the events."""

    def __init__(self, story: Story, side: int = 640, **spec: Any) -> None:
        self.story, self.events, self.at = story, [], 1000.0
        self.random = np.random.default_rng(1)
        self.size, self.lit = (WIDTH, HEIGHT), None
        source = {"type": "File", "url": "file:x.mp4"}
        self.observer = Recorder()
        self.spec = CameraSpec.model_validate({"source": source, **spec})
        camera = CameraRef(namespace="default", name="c")
        client = TritonClient(["127.0.0.1:1"], shared_memory="off")
        self.context = AnalysisContext("lab", camera, "s", self.spec, client, self.keep, self.observer)
        self.faces = FaceAnalysis(self.context, story)
        self.pipeline = FramePipeline(self.spec, [self.faces], self.observer, story.frame_buffer, side)

    events: list[Sighting]
    lit: tuple[int, ...] | None
    """Left, top, right, bottom of what alone is lit, in pixels of the frame."""

    def keep(self, events: list[OutgoingEvent]) -> None:
        self.events += [event.sighting for event in events if event.sighting is not None]

    def show(self, *faces: Place, settle: bool = True, cut: bool = False) -> None:
        self.story.faces = list(faces)
        self.pipeline.process(self.frame(cut=cut))
        if settle:
            self.settle()

    def frame(self, *, cut: bool = False, other_scene: bool = False) -> Frame:
        self.at += 0.2
        # Detail, so that faces are sharp, over the same coarse scene, so that no cut is seen.
        width, height = self.size
        coarse = np.linspace(0, 200, width).astype(np.uint8)
        if other_scene:
            coarse = coarse[::-1]
        pixels = np.repeat(np.tile(coarse, (height, 1))[..., None], 3, axis=2)
        if self.lit is not None:
            left, top, right, bottom = self.lit
            pixels[:] = 0
            pixels[top:bottom, left:right] = 110
        pixels = pixels + self.random.integers(0, 50, (height, width, 1), np.uint8)
        decoded = av.VideoFrame.from_ndarray(pixels, format="rgb24").reformat(format="yuv420p")
        if self.spec.detection.privacy_masks:
            decoded = FrameMask(polygons(self.spec.detection.privacy_masks)).applied(decoded)
        return Frame(decoded, LumaReader().read(decoded), time.time(), self.at, cut)

    def settle(self) -> None:
        if self.faces.taker._request is not None:
            assert self.observer.ready.wait(10)
            self.observer.ready.clear()
            self.pipeline.collect()

    def states(self) -> list[tuple[int, str]]:
        ids = list(dict.fromkeys(event.sighting_id for event in self.events))
        return [(ids.index(event.sighting_id), event.state.value) for event in self.events]


ALL: dict[str, Any] = {"sampling": {"motionGate": {"enabled": False}}}
HERE, FAR = (200.0, 100.0, 90.0), (450.0, 200.0, 90.0)


def test_one_person_comes_stays_and_leaves() -> None:
    camera = Camera(Story(), **ALL)
    for _ in range(5):
        camera.show(HERE)
    for _ in range(10):
        camera.show()
    assert camera.states() == [(0, "Opened"), (0, "Closed")]
    opened, closed = camera.events
    assert opened.shots[0].embedding is not None
    assert opened.trace is not None
    assert opened.trace.embedded_at is not None
    assert closed.close_reason is CloseReason.LEFT
    assert closed.frames == 5


def test_another_face_in_the_same_place_is_another_sighting() -> None:
    story = Story()
    camera = Camera(story, **ALL)
    for _ in range(12):
        camera.show(HERE)
    story.person = BOB
    for _ in range(30):
        camera.show(HERE)
    final = {event.sighting_id: event for event in camera.events}
    assert len(final) == 2
    first, second = final.values()
    assert first.close_reason is CloseReason.LEFT
    assert [shot.embedding for shot in second.shots] != [shot.embedding for shot in first.shots]
    assert len({shot.embedding.vector for shot in first.shots if shot.embedding}) == 1


def test_a_cut_closes_all_sightings() -> None:
    camera = Camera(Story(), **ALL)
    camera.show(HERE, FAR)
    camera.show(HERE, FAR)
    camera.show(HERE, cut=True)
    closed = [event for event in camera.events if event.state is SightingState.CLOSED]
    assert [event.close_reason for event in closed] == [CloseReason.CUT] * 2
    assert len({event.sighting_id for event in camera.events}) == 3


def test_frames_are_analysed_while_a_face_is_embedded() -> None:
    story = Story()
    camera = Camera(story, **ALL)
    story.gate.clear()
    for _ in range(4):
        camera.show(HERE, settle=False)
    assert camera.events == [], "the first revision waits for the shot"
    assert camera.pipeline.analysed == 4
    story.gate.set()
    camera.settle()
    assert camera.states() == [(0, "Opened")]
    assert camera.events[0].frames == 4


def test_the_last_revision_waits_for_the_shot_under_way() -> None:
    story = Story()
    camera = Camera(story, **ALL)
    story.gate.clear()
    camera.show(HERE, settle=False)
    threading.Timer(0.05, story.gate.set).start()
    camera.pipeline.end_all(CloseReason.SOURCE_LOST)
    assert camera.states() == [(0, "Opened"), (0, "Closed")]
    assert camera.events[-1].shots[0].embedding is not None


def test_a_sighting_is_emitted_without_embeddings() -> None:
    story = Story()
    story.embeds = False
    camera = Camera(story, **ALL)
    for _ in range(12):
        camera.show(HERE)
    assert camera.states() == [(0, "Opened")]
    assert camera.events[0].shots == []
    assert camera.faces.taker.error
    assert camera.faces.taker.errors > 0
    story.embeds = True
    for _ in range(8):
        camera.show(HERE)
    assert camera.states()[:2] == [(0, "Opened"), (0, "Updated")]
    assert camera.events[1].shots[0].embedding is not None
    assert camera.faces.taker.error == ""


def test_a_failed_detection_loses_no_sighting() -> None:
    story = Story()
    camera = Camera(story, **ALL)
    camera.show(HERE)
    story.detects = False
    with pytest.raises(InferenceError):
        camera.show(HERE)
    story.detects = True
    camera.show(HERE)
    assert len({event.sighting_id for event in camera.events}) == 1


@pytest.mark.parametrize(
    ("detection", "count"),
    [
        ({"minFacePixels": 100}, 0),
        ({"minConfidencePermille": 950}, 0),
        ({"maxFaces": 1}, 1),
        (
            {
                "regions": [
                    {
                        "name": "left",
                        "polygon": [
                            {"xPermille": 0, "yPermille": 0},
                            {"xPermille": 700, "yPermille": 0},
                            {"xPermille": 0, "yPermille": 1000},
                        ],
                    }
                ]
            },
            1,
        ),
        ({}, 2),
    ],
)
def test_only_the_faces_that_count_are_emitted(detection: dict[str, object], count: int) -> None:
    camera = Camera(Story(), detection=detection, **ALL)
    for _ in range(3):
        camera.show(HERE, FAR)
    assert len({event.sighting_id for event in camera.events}) == count


def test_a_single_detection_without_a_shot_is_no_sighting() -> None:
    story = Story()
    story.embeds = False
    camera = Camera(story, **ALL)
    camera.show(HERE)
    for _ in range(10):
        camera.show()
    assert camera.events == []


def test_a_still_scene_is_not_analysed_and_loses_no_sighting() -> None:
    story = Story()
    camera = Camera(story)
    camera.show(HERE)
    camera.show(HERE)
    decoded = camera.frame().decoded
    for _ in range(20):
        camera.at += 0.2
        camera.pipeline.process(Frame(decoded, LumaReader().read(decoded), time.time(), camera.at))
    assert camera.pipeline.duplicates > 10
    assert not [event for event in camera.events if event.state is SightingState.CLOSED]


def test_another_scene_closes_all_sightings() -> None:
    """Even when the source reports no cut."""
    story = Story()
    camera = Camera(story, **ALL)
    camera.show(HERE)
    camera.show(HERE)
    camera.pipeline.process(camera.frame(other_scene=True))
    assert [event.close_reason for event in camera.events if event.state is SightingState.CLOSED] == [CloseReason.CUT]


def test_a_cut_is_seen_though_inference_failed_before_it() -> None:
    story = Story()
    camera = Camera(story, **ALL)
    camera.show(HERE)
    camera.show(HERE)
    story.detects = False
    with pytest.raises(InferenceError):
        camera.show(HERE)
    with pytest.raises(InferenceError):
        camera.pipeline.process(camera.frame(other_scene=True))
    assert [event.close_reason for event in camera.events if event.state is SightingState.CLOSED] == [CloseReason.CUT]


@pytest.mark.parametrize(
    ("size", "scale", "stays", "comes"),
    [
        ((1280, 960), 2, (200.0, 152.0, 90.0), (450.0, 200.0, 90.0)),
        ((320, 192), 1, (100.0, 56.0, 45.0), (250.0, 60.0, 60.0)),
    ],
    ids=["larger, crops from the frame", "smaller, crops from the detector's input"],
)
def test_boxes_and_crops_follow_a_change_of_resolution(
    size: tuple[int, int], scale: int, stays: Place, comes: Place
) -> None:
    """One person stays, another comes; places are in pixels of the detector's input."""

    def share(place: Place) -> dict[str, float]:
        x, y, side = (scale * value for value in place)
        return {"x": x / size[0], "y": y / size[1], "width": side / size[0], "height": side / size[1]}

    story = Story()
    camera = Camera(story, **ALL)
    for _ in range(2):
        camera.show(HERE)
    camera.size = size
    x, y, side = comes
    camera.lit = tuple(int(scale * edge) for edge in (x - 25, y - 25, x + side + 25, y + side + 25))
    story.images.clear()
    story.crops.clear()
    for _ in range(3):
        camera.show(stays, comes)
    camera.pipeline.end_all(CloseReason.SHUTDOWN)

    assert {image.shape for image in story.images} == {(size[1] // scale, size[0] // scale, 3)}
    first, second = {event.sighting_id: event for event in camera.events}.values()
    assert first.box.model_dump() == pytest.approx(share(stays))
    assert second.box.model_dump() == pytest.approx(share(comes))
    assert second.shots[0].box.model_dump() == pytest.approx(share(comes))
    assert max(crop.mean() for crop in story.crops) > 110, "the face that is lit"


@pytest.mark.parametrize("side", [640, 320], ids=["from the detector's input", "from the frame"])
@pytest.mark.parametrize("masked", [True, False])
def test_masked_pixels_reach_no_model(side: int, masked: bool) -> None:
    """The mask covers the right half of the face, and all that is right of it."""
    x, y, size = 200.0, 40.0, 90.0
    edge = round((x + size / 2) / side * 1000)
    corners = [
        {"xPermille": edge, "yPermille": 0},
        {"xPermille": 1000, "yPermille": 0},
        {"xPermille": 1000, "yPermille": 1000},
        {"xPermille": edge, "yPermille": 1000},
    ]
    masks = {"detection": {"privacyMasks": [{"name": "right", "polygon": corners}]}} if masked else {}
    story = Story()
    camera = Camera(story, side, **masks, **ALL)
    camera.show((x, y, size))
    (image, *_), (crop,) = story.images, story.crops
    rows = HEIGHT * side // WIDTH
    assert image[:rows, : edge * side // 1000 - 2].mean() > 20
    assert image[:rows, edge * side // 1000 + 2 :].any() != masked
    dark = (crop == 0).all(axis=2)
    assert dark[:, 60:].mean() == (1 if masked else pytest.approx(0, abs=0.02))
    assert dark[:, :50].mean() < 0.02


def test_movement_under_a_privacy_mask_is_no_motion() -> None:
    corners = [
        {"xPermille": 0, "yPermille": 0},
        {"xPermille": 1000, "yPermille": 0},
        {"xPermille": 1000, "yPermille": 1000},
        {"xPermille": 0, "yPermille": 1000},
    ]
    story = Story()
    camera = Camera(story, detection={"privacyMasks": [{"name": "all", "polygon": corners}]})
    for n in range(4):
        camera.pipeline.process(camera.frame(other_scene=n % 2 == 1))
    assert camera.pipeline.analysed == 1
    assert camera.pipeline.duplicates == 3
