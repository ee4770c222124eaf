"""The result of one inference call."""

from dataclasses import dataclass
from typing import Generic, TypeVar

import numpy as np
from numpy.typing import NDArray

from vigil_vision.faces.model_info import ModelInfo

Info = TypeVar("Info", bound=ModelInfo)


@dataclass(frozen=True, slots=True, eq=False)
class InferenceResult(Generic[Info]):
    """An answer and where it came from.

    Attributes
    ----------
    values
        Rows [N,K,15] or embeddings [N,D], float32.
    info
        Of the model that answered: after a failover it may be another than before.
    endpoint
        `host:port` that answered.
    """

    values: NDArray[np.float32]
    info: Info
    endpoint: str
