"""The client: endpoints in order of preference, one deadline over all attempts."""

from collections.abc import Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Generic, Literal, Self, TypeVar

import numpy as np
from numpy.typing import NDArray

from vigil_vision.triton.cards import DetectionCard, ModelCard, RecognitionCard
from vigil_vision.triton.endpoint import EndpointState

Card = TypeVar("Card", bound=ModelCard)


@dataclass(frozen=True, slots=True, eq=False)
class Answer(Generic[Card]):
    """An answer and where it came from.

    Attributes
    ----------
    values
        Rows [N,K,15] or embeddings [N,D], float32.
    card
        Of the model that answered: after a failover it may be another than before.
    endpoint
        `host:port` that answered.
    """

    values: NDArray[np.float32]
    card: Card
    endpoint: str


class InferenceClient:
    """Calls `face_detection` and `face_recognition` on the first endpoint that works.

    All methods may be called from several threads; from asyncio through `asyncio.to_thread`. Creating a client connects to
    nothing.

    Parameters
    ----------
    endpoints
        `host:port` of Triton's gRPC services, the preferred one first; at least one.
    deadline_s
        Seconds that a call may take, all attempts together.
    shared_memory
        `auto` puts frames into POSIX shared memory where the server can open it; `off` always uses the wire.
    """

    def __init__(
        self, endpoints: Sequence[str], *, deadline_s: float = 2.0, shared_memory: Literal["auto", "off"] = "auto"
    ) -> None:
        raise NotImplementedError

    def detect(self, image: NDArray[np.uint8], *, deadline_s: float | None = None) -> NDArray[np.float32]:
        """Find faces; as `detect_answer` without the origin. [N,K,15] float32."""
        return self.detect_answer(image, deadline_s=deadline_s).values

    def embed(self, faces: NDArray[np.uint8], *, deadline_s: float | None = None) -> NDArray[np.float32]:
        """Embed aligned faces; as `embed_answer` without the origin. [N,D] float32, unit length."""
        return self.embed_answer(faces, deadline_s=deadline_s).values

    def detect_answer(self, image: NDArray[np.uint8], *, deadline_s: float | None = None) -> Answer[DetectionCard]:
        """Find faces in one picture or a batch of equal size.

        Parameters
        ----------
        image
            [H,W,3] or [N,H,W,3] uint8 RGB, H and W multiples of 32. An array from `frame_buffer` travels through shared memory.
        deadline_s
            Instead of the client's.

        Returns
        -------
        Answer with values [N,K,15] in pixels of that picture (N is 1 for a single picture), for `detection.decode`.

        Raises
        ------
        InferenceError
            One of its subclasses.
        """
        raise NotImplementedError

    def embed_answer(self, faces: NDArray[np.uint8], *, deadline_s: float | None = None) -> Answer[RecognitionCard]:
        """Embed aligned faces [N,112,112,3] uint8 RGB in one request; values [N,D] float32 of unit length. N may be 0."""
        raise NotImplementedError

    def detection_card(self) -> DetectionCard:
        """Read the detector's card from the first endpoint that works."""
        raise NotImplementedError

    def recognition_card(self) -> RecognitionCard:
        """Read the embedder's card from the first endpoint that works."""
        raise NotImplementedError

    def ready(self, *, deadline_s: float = 1.0) -> bool:
        """Tell whether at least one endpoint serves both models now."""
        raise NotImplementedError

    def endpoint_states(self) -> tuple[EndpointState, ...]:
        """Tell about every endpoint, in order of preference."""
        raise NotImplementedError

    def frame_buffer(self, height: int, width: int, *, batch: int | None = None) -> NDArray[np.uint8]:
        """Give a picture to write into, which `detect` then passes on without a copy where it can.

        Returns
        -------
        [height,width,3] (or [batch,height,width,3]) uint8, zeros, contiguous. Write into it only between calls. Its memory is given back
        when the array is garbage collected.
        """
        raise NotImplementedError

    def close(self) -> None:
        """Close all connections and give back shared memory; calls after that raise InferenceUnavailable."""
        raise NotImplementedError

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
