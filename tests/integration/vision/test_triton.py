"""The client against real Triton: batches, shared memory, death and return of servers."""

import os
import threading
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from tests.support.servers import TritonServer
from tests.support.waiting import wait_until

from vigil_vision import letterbox, photos
from vigil_vision.faces.models import TritonFaceModels
from vigil_vision.triton import InferenceError, InferenceRejected, TritonClient, shared_memory
from vigil_vision.triton.breaker import Circuit

pytestmark = pytest.mark.integration


@pytest.fixture(scope="session")
def image(faces: Path) -> NDArray[np.uint8]:
    photo = photos.decode_photo((faces / "groups/two-people.jpg").read_bytes())
    return photos.scale_into(photo, letterbox.fit(photo.shape[1], photo.shape[0], 640, 384))


@pytest.fixture
def mortal(own_triton: Callable[[], TritonServer]) -> TritonServer:
    """Start a server that a test may kill and start again on its port."""
    return own_triton()


def models_on(*servers: TritonServer, deadline_s: float) -> closing[TritonFaceModels]:
    return closing(TritonFaceModels(TritonClient([server.address for server in servers], deadline_s=deadline_s)))


def test_the_server_reports_its_models(models: TritonFaceModels) -> None:
    assert models.ready(deadline_s=10)
    assert models.detector_info().top_k == 128
    assert models.embedder_info().alignment_template == "arcface_112"


def test_a_batch_equals_its_images_one_by_one(models: TritonFaceModels, image: NDArray[np.uint8]) -> None:
    batch = np.stack([image, image[:, ::-1], np.zeros_like(image)])
    together = models.detect(batch).values
    alone = np.concatenate([models.detect(one).values for one in batch])
    np.testing.assert_allclose(together, alone, atol=0.02)


def test_shared_memory_and_wire_agree_and_are_reported(models: TritonFaceModels, image: NDArray[np.uint8]) -> None:
    """Shared memory and wire agree, and the endpoint's state has which one was used."""
    on_wire = models.detect(image).values
    assert not models.client.endpoint_states()[0].shared_memory
    buffer = models.frame_buffer(*image.shape[:2])
    buffer[:] = image
    np.testing.assert_array_equal(models.detect(buffer).values, on_wire)
    assert models.client.endpoint_states()[0].shared_memory
    batch = models.client.frame_buffer(*image.shape[:2], batch=2)
    batch[:] = image
    np.testing.assert_allclose(models.detect(batch[1]).values, on_wire, atol=1e-4)


def test_frames_of_changing_size_leave_no_memory_behind(models: TritonFaceModels) -> None:
    own = f"{shared_memory.PREFIX}{os.getpid()}-*"  # other processes on this machine may hold regions of their own
    for width in (64, 128, 256, 320, 640):
        buffer = models.frame_buffer(96, width)
        assert models.detect(buffer).values.shape[0] == 1
        assert len(list(shared_memory.SHM.glob(own))) == 1
        del buffer
    assert list(shared_memory.SHM.glob(own)) == []


def test_triton_itself_refuses_what_slips_through(models: TritonFaceModels) -> None:
    endpoint = models.client._endpoints[0]
    with pytest.raises(InferenceRejected):
        endpoint.attempt(
            lambda connection, left: connection.infer(
                "face_recognition", {"face": np.zeros((1, 50, 50, 3), np.uint8)}, left
            ),
            5.0,
        )
    assert endpoint.breaker.circuit is Circuit.CLOSED


def test_a_restarted_server_is_used_with_shared_memory(mortal: TritonServer, image: NDArray[np.uint8]) -> None:
    """A killed server is used again, with shared memory, when it is back."""
    with models_on(mortal, deadline_s=3) as models:
        buffer = models.frame_buffer(*image.shape[:2])
        buffer[:] = image
        expected = models.detect(buffer).values
        mortal.running.kill()
        with pytest.raises(InferenceError):
            models.detect(buffer, deadline_s=0.5)
        mortal.running.start()
        np.testing.assert_array_equal(models.detect(buffer, deadline_s=20).values, expected)
        assert models.client.endpoint_states()[0].shared_memory


def test_a_new_connection_reuses_frames_in_shared_memory(models: TritonFaceModels, image: NDArray[np.uint8]) -> None:
    """A connection that is made anew finds its frames in shared memory again."""
    buffer = models.frame_buffer(*image.shape[:2])
    buffer[:] = image
    expected = models.detect(buffer).values
    endpoint = models.client._endpoints[0]
    endpoint._drop(endpoint.connect())
    np.testing.assert_array_equal(models.detect(buffer).values, expected)
    assert models.client.endpoint_states()[0].shared_memory


def test_forty_faces_of_a_crowd_are_embedded(models: TritonFaceModels) -> None:
    faces = np.random.default_rng(4).integers(0, 256, (40, 112, 112, 3), dtype=np.uint8)
    together = models.embed(faces).values
    np.testing.assert_allclose(together[-1:], models.embed(faces[-1:]).values, atol=1e-4)


def test_a_restart_between_two_calls_loses_no_frame(mortal: TritonServer, image: NDArray[np.uint8]) -> None:
    with models_on(mortal, deadline_s=15) as models:
        buffer = models.frame_buffer(*image.shape[:2])
        buffer[:] = image
        expected = models.detect(buffer).values
        mortal.running.kill()
        mortal.running.start()
        for _ in range(3):
            np.testing.assert_array_equal(models.detect(buffer).values, expected)
        assert models.client.endpoint_states()[0].shared_memory


def test_the_second_endpoint_serves_while_the_first_is_dead(mortal: TritonServer, server: TritonServer) -> None:
    faces = np.zeros((2, 112, 112, 3), np.uint8)
    with models_on(mortal, server, deadline_s=10) as models:
        first = models.embed(faces)
        assert first.endpoint == mortal.address
        mortal.running.kill()
        second = models.embed(faces)
        assert second.endpoint == server.address
        # Each answer carries the id of the model that made it, so that vectors of two models never meet.
        with models_on(server, deadline_s=10) as other:
            assert second.info == other.embedder_info()
        assert models.client.endpoint_states()[0].circuit is not Circuit.CLOSED
        mortal.running.start()
        wait_until(lambda: models.embed(faces).endpoint == mortal.address, 60, "the preferred endpoint is back")


def test_many_threads_share_one_client(models: TritonFaceModels, image: NDArray[np.uint8]) -> None:
    expected = models.detect(image).values
    failures: list[object] = []

    def work() -> None:
        buffer = models.frame_buffer(*image.shape[:2])
        buffer[:] = image
        for _ in range(5):
            try:
                if not np.allclose(models.detect(buffer).values, expected, atol=1e-3):
                    failures.append("other values")
            except InferenceError as error:
                failures.append(error)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert failures == []
