"""Real Triton serves what was exported: the same answers, errors that stay with their request, no instance starving."""

import threading
from collections.abc import Iterator

import numpy as np
import pytest
import tritonclient.grpc as grpcclient
from numpy.typing import NDArray
from tests.support.servers import ARCFACE_PACK, OPEN_PACK, TritonServer, model_repository, start_triton
from tests.support.waiting import wait_until
from tritonclient.utils import InferenceServerException

from vigil_models.proof import inputs, reference

pytestmark = pytest.mark.integration

TIMEOUT_S = 30


@pytest.fixture(scope="module", params=[OPEN_PACK, ARCFACE_PACK])
def server(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[TritonServer]:
    started = start_triton(tmp_path_factory.mktemp("triton"), request.param)
    yield started
    started.running.stop()


@pytest.fixture
def client(server: TritonServer) -> Iterator[grpcclient.InferenceServerClient]:
    with grpcclient.InferenceServerClient(server.address) as opened:
        yield opened


def _infer(client: grpcclient.InferenceServerClient, model: str, pixels: NDArray[np.generic]) -> NDArray[np.float32]:
    name, answer = {"face_detection": ("image", "detections"), "face_recognition": ("face", "embedding")}[model]
    tensor = grpcclient.InferInput(name, list(pixels.shape), "UINT8")
    tensor.set_data_from_numpy(pixels)
    wanted = [grpcclient.InferRequestedOutput(answer)]
    got: NDArray[np.float32] = client.infer(model, [tensor], outputs=wanted, client_timeout=TIMEOUT_S).as_numpy(answer)
    return got


@pytest.mark.parametrize(
    ("model", "images"),
    [
        ("face_detection", np.stack([inputs.scene(384, 640, 5)])),
        ("face_detection", np.stack([inputs.scene(256, 320, 6), inputs.noise(256, 320, 7)])),
        ("face_recognition", np.stack([inputs.scene(112, 112, seed) for seed in range(5)])),
    ],
    ids=["a frame", "two small frames", "five faces"],
)
def test_what_is_served_is_what_was_proven(
    server: TritonServer, client: grpcclient.InferenceServerClient, model: str, images: NDArray[np.uint8]
) -> None:
    path = model_repository(server.pack) / model / "1" / "model.onnx"
    session = reference.session(path.read_bytes())
    expected = session.run(None, {session.get_inputs()[0].name: images})[0]
    np.testing.assert_allclose(_infer(client, model, images), expected, rtol=1e-4, atol=5e-3)


@pytest.mark.parametrize(
    ("model", "shape", "message"),
    [
        ("face_detection", (1, 100, 640, 3), "640x100: sides must be multiples of 32"),
        ("face_detection", (1, 0, 640, 3), "expected 1 to 8 images"),
        ("face_detection", (9, 32, 32, 3), "batch-size must be <= 8"),
        ("face_detection", (1, 32, 32, 4), r"unexpected shape for input 'image'"),
        ("face_recognition", (1, 113, 112, 3), r"unexpected shape for input 'face'"),
    ],
)
def test_a_bad_request_gets_its_error_and_harms_no_other(
    client: grpcclient.InferenceServerClient, model: str, shape: tuple[int, ...], message: str
) -> None:
    """A bad request is answered with its error and harms no other request."""
    with pytest.raises(InferenceServerException, match=message):
        _infer(client, model, np.zeros(shape, np.uint8))
    assert _infer(client, "face_detection", inputs.noise(64, 64, 1)[None]).shape == (1, 128, 15)


def test_waiting_requests_go_to_instances_one_at_a_time(
    server: TritonServer, client: grpcclient.InferenceServerClient
) -> None:
    """Waiting requests are shared between the instances, one at a time."""
    frame = inputs.noise(384, 640, 8)[None]

    def send() -> None:
        with grpcclient.InferenceServerClient(server.address) as own:
            for _ in range(5):
                wait_until(lambda: not _refuses(own, frame), TIMEOUT_S, "an answer", poll_s=0)

    before = _batches(client)
    threads = [threading.Thread(target=send) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(TIMEOUT_S)

    def since() -> dict[int, int]:
        return {size: count - before.get(size, 0) for size, count in _batches(client).items()}

    # Triton counts a request a moment after it has answered it.
    wait_until(lambda: sum(since().values()) >= 30, 10, "all requests are counted")
    assert {size: count for size, count in since().items() if count} == {1: 30}


def _refuses(client: grpcclient.InferenceServerClient, frame: NDArray[np.uint8]) -> bool:
    """Request a detection; return whether the server had no time for it, as on a machine that does other things too."""
    try:
        _infer(client, "face_detection", frame)
    except InferenceServerException as error:
        if "timeout expired" not in str(error):
            raise
        return True
    return False


def _batches(client: grpcclient.InferenceServerClient) -> dict[int, int]:
    statistics = client.get_inference_statistics("face_detection").model_stats[0]
    return {batch.batch_size: batch.compute_infer.count for batch in statistics.batch_stats}


def test_the_servers_log_holds_no_traceback(server: TritonServer, client: grpcclient.InferenceServerClient) -> None:
    _infer(client, "face_detection", inputs.noise(64, 64, 2)[None])
    assert "Traceback" not in server.running.log.read_text(errors="replace")
