"""The face models against a server that fails on demand: failover, deadlines, circuit breakers, shared memory."""

import asyncio
import threading
import time
from collections.abc import Callable
from contextlib import closing
from typing import Any, Literal

import grpc
import numpy as np
import pytest
from tests.support.faulty_triton import FaultyTriton

from vigil_vision.faces.model_info import DETECTION
from vigil_vision.faces.models import TritonFaceModels
from vigil_vision.triton import (
    InferenceOverloaded,
    InferenceRejected,
    InferenceTimeout,
    InferenceUnavailable,
    TritonClient,
)
from vigil_vision.triton.breaker import Circuit

IMAGE = np.zeros((32, 64, 3), np.uint8)
FACES = np.zeros((2, 112, 112, 3), np.uint8)


def models_on(
    *servers: FaultyTriton, deadline_s: float = 5.0, shared_memory: Literal["auto", "off"] = "off"
) -> closing[TritonFaceModels]:
    addresses = [server.address for server in servers]
    return closing(TritonFaceModels(TritonClient(addresses, deadline_s=deadline_s, shared_memory=shared_memory)))


def aborts(code: grpc.StatusCode, details: str) -> Callable[[grpc.ServicerContext], None]:
    return lambda context: context.abort(code, details)


def hangs_until(released: threading.Event) -> Callable[[grpc.ServicerContext], None]:
    def fault(_: grpc.ServicerContext) -> None:
        released.wait(10)

    return fault


def wait_until(condition: Callable[[], bool], what: str, deadline_s: float = 10.0) -> None:
    until = time.monotonic() + deadline_s
    pause = threading.Event()
    while not condition():
        assert time.monotonic() < until, f"not within {deadline_s} s: {what}"
        pause.wait(0.02)


def test_results_carry_the_model_and_the_endpoint(server: FaultyTriton) -> None:
    with models_on(server) as models:
        assert models.ready()
        found = models.detect(IMAGE)
        assert found.values.shape == (1, 8, 15)
        assert found.info.model_id == "detector@0123456789ab"
        assert found.endpoint == server.address
        assert models.detect(np.zeros((3, 32, 32, 3), np.uint8)).values.shape == (3, 8, 15)
        assert models.embed(FACES).values.shape == (2, 4)
        assert models.embedder_info().embedding_size == 4
        assert models.embed(FACES[:0]).values.shape == (0, 4)


def test_faces_beyond_the_batch_limit_take_several_requests(server: FaultyTriton) -> None:
    """More faces than the model takes at once go in several requests."""
    server.max_batch = 3
    with models_on(server) as models:
        assert models.embed(np.zeros((7, 112, 112, 3), np.uint8)).values.shape == (7, 4)
    assert [request.inputs[0].shape[0] for request in server.requests] == [3, 3, 1]


def test_the_request_carries_pixels_shape_and_a_queue_timeout(server: FaultyTriton) -> None:
    pixels = np.random.default_rng(1).integers(0, 256, (2, 32, 64, 3), dtype=np.uint8)
    with models_on(server) as models:
        models.detect(pixels[:, ::-1])
    request = server.requests[0]
    assert list(request.inputs[0].shape) == [2, 32, 64, 3]
    assert request.inputs[0].datatype == "UINT8"
    assert request.raw_input_contents[0] == pixels[:, ::-1].tobytes()
    assert 0 < request.parameters["timeout"].int64_param <= 5_000_000


def test_it_works_from_asyncio(server: FaultyTriton) -> None:
    async def several() -> list[Any]:
        answers: list[Any] = await asyncio.gather(*(asyncio.to_thread(models.detect, IMAGE) for _ in range(8)))
        return answers

    with models_on(server) as models:
        assert len(asyncio.run(several())) == 8


@pytest.mark.parametrize(
    ("code", "details", "error"),
    [
        (grpc.StatusCode.UNAVAILABLE, "[request id: 1] Exceeds maximum queue size", InferenceOverloaded),
        (grpc.StatusCode.UNAVAILABLE, "Request timeout expired", InferenceOverloaded),
        (grpc.StatusCode.INVALID_ARGUMENT, "unexpected shape for input 'image'", InferenceRejected),
        (grpc.StatusCode.RESOURCE_EXHAUSTED, "Received message larger than max", InferenceRejected),
        (grpc.StatusCode.NOT_FOUND, "Request for unknown model: 'face_detection' is not found", InferenceUnavailable),
        (grpc.StatusCode.INTERNAL, "Stub process 'face_detection_0_0' is not healthy.", InferenceUnavailable),
    ],
)
def test_errors_of_triton_become_errors_of_the_client(
    server: FaultyTriton, code: grpc.StatusCode, details: str, error: type[Exception]
) -> None:
    server.fault = aborts(code, details)
    with models_on(server, deadline_s=0.5) as models, pytest.raises(error) as caught:
        models.detect(IMAGE)
    assert details in str(caught.value)
    assert server.address in str(caught.value)


def test_overload_and_bad_input_do_not_open_the_circuit(server: FaultyTriton) -> None:
    with models_on(server) as models:
        for details in ("Exceeds maximum queue size",) * 5:
            server.fault = aborts(grpc.StatusCode.UNAVAILABLE, details)
            with pytest.raises(InferenceOverloaded):
                models.detect(IMAGE)
        assert models.client.endpoint_states()[0].circuit is Circuit.CLOSED
        server.fault = None
        models.detect(IMAGE)
        assert models.client.endpoint_states()[0].last_error == ""


def test_bad_input_is_not_tried_again(server: FaultyTriton, spare: FaultyTriton) -> None:
    server.fault = aborts(grpc.StatusCode.INVALID_ARGUMENT, "unexpected shape")
    with models_on(server, spare) as models, pytest.raises(InferenceRejected):
        models.detect(IMAGE)
    assert (server.infers, spare.infers) == (1, 0)


def test_a_dead_endpoint_is_passed_over_until_it_is_back(server: FaultyTriton, spare: FaultyTriton) -> None:
    """A dead endpoint is passed over, and used again when it is back."""
    server.stop()
    with models_on(server, spare) as models:
        assert models.detect(IMAGE).endpoint == spare.address
        first, second = models.client.endpoint_states()
        assert first.circuit is not Circuit.CLOSED
        assert first.last_error
        assert second.succeeded == 1
        server.start()
        wait_until(lambda: models.detect(IMAGE).endpoint == server.address, "the first endpoint is used again")


def test_an_endpoint_that_hangs_leaves_time_for_the_next(server: FaultyTriton, spare: FaultyTriton) -> None:
    released = threading.Event()
    server.fault = hangs_until(released)
    with models_on(server, spare, deadline_s=1.0) as models:
        for _ in range(3):
            assert models.detect(IMAGE).endpoint == spare.address
        assert models.client.endpoint_states()[0].circuit is not Circuit.CLOSED
        released.set()


def test_the_next_endpoint_serves_when_one_is_overloaded(server: FaultyTriton, spare: FaultyTriton) -> None:
    server.fault = aborts(grpc.StatusCode.UNAVAILABLE, "Exceeds maximum queue size")
    with models_on(server, spare) as models:
        assert models.detect(IMAGE).endpoint == spare.address


def test_a_call_waits_out_a_short_outage_inside_its_deadline(server: FaultyTriton) -> None:
    with models_on(server, deadline_s=10) as models:
        models.detect(IMAGE)
        server.stop()
        starter = threading.Timer(0.5, server.start)
        starter.start()
        assert models.detect(IMAGE).values.shape == (1, 8, 15)
        starter.join(5)


def test_a_call_whose_time_is_up_leaves_the_probe_to_the_next(server: FaultyTriton) -> None:
    with models_on(server, deadline_s=0.3) as models:
        server.stop()
        with pytest.raises(InferenceUnavailable):
            models.detect(IMAGE)
        breaker = models.client._endpoints[0].breaker
        wait_until(lambda: breaker.wait_s() == 0, "a probe is due")
        with pytest.raises(InferenceUnavailable):
            models.detect(IMAGE, deadline_s=0)
        assert breaker.try_probe()


def test_a_probe_on_a_closed_connection_counts_as_failed(server: FaultyTriton) -> None:
    """A probe fails when another thread has closed its connection meanwhile."""
    with models_on(server) as models:
        endpoint = models.client._endpoints[0]
        endpoint.connect().abandon()
        endpoint.breaker.failed(decisive=True)
        wait_until(lambda: endpoint.breaker.wait_s() == 0, "a probe is due")
        endpoint.probe(DETECTION)
        assert endpoint.breaker.circuit is Circuit.OPEN
        assert models.detect(IMAGE).values.shape == (1, 8, 15)


def test_silence_is_a_timeout(server: FaultyTriton) -> None:
    released = threading.Event()
    server.fault = hangs_until(released)
    with models_on(server, deadline_s=0.3) as models:
        with pytest.raises(InferenceTimeout, match="no response: within"):
            models.detect(IMAGE)
        released.set()


def test_an_earlier_error_is_reported_instead_of_a_last_timeout(server: FaultyTriton) -> None:
    """The error of an endpoint is reported although its last attempt ended in silence."""
    released = threading.Event()

    def fault(context: grpc.ServicerContext) -> None:
        server.fault = hangs_until(released)
        context.abort(grpc.StatusCode.NOT_FOUND, "Request for unknown model")

    server.fault = fault
    with models_on(server, deadline_s=1.5) as models:
        with pytest.raises(InferenceUnavailable, match="Request for unknown model"):
            models.detect(IMAGE)
        assert server.infers > 1, "it was tried again"
        released.set()


def test_without_a_server_every_endpoint_is_named(server: FaultyTriton, spare: FaultyTriton) -> None:
    server.stop()
    spare.stop()
    with models_on(server, spare, deadline_s=0.4) as models:
        with pytest.raises(InferenceUnavailable) as caught:
            models.detect(IMAGE)
        assert server.address in str(caught.value)
        assert spare.address in str(caught.value)
        assert not models.ready(deadline_s=0.4)


@pytest.mark.parametrize(
    "answer",
    [np.ones((1, 7, 15), np.float32), np.ones((1, 8, 14), np.float32), np.full((1, 8, 15), np.nan, np.float32)],
    ids=["other top k", "other columns", "not finite"],
)
def test_outputs_that_break_the_contract_are_refused(
    server: FaultyTriton, answer: np.ndarray[Any, np.dtype[np.float32]]
) -> None:
    server.answer = answer
    with models_on(server, deadline_s=0.3) as models, pytest.raises(InferenceUnavailable):
        models.detect(IMAGE)


def test_another_model_behind_the_same_address_is_noticed(server: FaultyTriton) -> None:
    with models_on(server) as models:
        assert models.embed(FACES).info.model_id == "embedder@0123456789ab"
        server.stop()
        server.parameters["face_recognition"] |= {"vigil_model_id": "newer@ba9876543210", "embedding_size": "6"}
        server.answer = np.ones((2, 6), np.float32)
        server.start()

        def newer() -> bool:
            answer = models.embed(FACES)
            return answer.info.model_id == "newer@ba9876543210" and answer.values.shape == (2, 6)

        wait_until(newer, "the new model's info is used")


def test_a_model_of_another_exporter_is_refused(server: FaultyTriton) -> None:
    server.parameters["face_detection"].pop("top_k")
    words = "parameter top_k is missing; was the model exported"
    with models_on(server, deadline_s=0.3) as models, pytest.raises(InferenceUnavailable, match=words):
        models.detect(IMAGE)


@pytest.mark.parametrize(
    ("image", "words"),
    [
        (np.zeros((30, 64, 3), np.uint8), "64x30 cannot be analysed; sides must be multiples of 32"),
        (np.zeros((0, 32, 32, 3), np.uint8), "cannot be analysed"),
        (np.zeros((32, 64), np.uint8), r"\[32, 64\]"),
        (np.zeros((32, 64, 4), np.uint8), r"\[1, 32, 64, 4\]"),
        (np.zeros((32, 64, 3), np.float32), "float32, cannot be sent"),
    ],
)
def test_unfit_images_are_refused_before_they_travel(server: FaultyTriton, image: Any, words: str) -> None:
    with models_on(server) as models, pytest.raises(InferenceRejected, match=words):
        models.detect(image)
    assert server.infers == 0


def test_faces_that_are_not_aligned_are_refused(server: FaultyTriton) -> None:
    with models_on(server) as models, pytest.raises(InferenceRejected, match="align them to 112x112"):
        models.embed(np.zeros((1, 64, 64, 3), np.uint8))


@pytest.mark.parametrize("endpoints", [[], [""], ["a:1", "a:1"]])
def test_impossible_endpoints_are_refused(endpoints: list[str]) -> None:
    with pytest.raises(ValueError, match="at least one host:port, each once"):
        TritonClient(endpoints)


def test_frames_take_the_wire_where_shared_memory_fails(server: FaultyTriton) -> None:
    """A server that cannot open shared memory gets frames over the wire."""
    with models_on(server, shared_memory="auto") as models:
        buffer = models.frame_buffer(32, 64)
        buffer[:] = 9
        models.detect(buffer)
        models.detect(buffer)
        assert [len(request.raw_input_contents[0]) for request in server.requests] == [32 * 64 * 3] * 2
        assert not models.client.endpoint_states()[0].shared_memory


def test_a_region_registered_by_an_earlier_connection_is_used(server: FaultyTriton) -> None:
    """A region that the server has from an earlier connection is used."""
    server.knows_memory = True
    with models_on(server, shared_memory="auto") as models:
        models.detect(models.frame_buffer(32, 64))
        assert models.client.endpoint_states()[0].shared_memory
    assert "shared_memory_region" in server.requests[0].inputs[0].parameters


def test_a_hanging_registration_leaves_time_for_the_wire(server: FaultyTriton) -> None:
    """A server that hangs while it registers shared memory gets the frame over the wire in time."""
    server.registers = threading.Event()
    server.fault = lambda _: time.sleep(0.1)  # what inference takes, so that the last millisecond is not enough
    with models_on(server, deadline_s=2.0, shared_memory="auto") as models:
        assert models.detect(models.frame_buffer(32, 64)).values.shape == (1, 8, 15)
        server.registers.set()


def test_a_closed_client_reports_that_it_is_closed(server: FaultyTriton) -> None:
    with models_on(server) as models:
        models.close()
        with pytest.raises(InferenceUnavailable, match="closed"):
            models.detect(IMAGE)
        assert not models.ready()
