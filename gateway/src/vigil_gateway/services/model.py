"""An embedder, as enrolment and the decision know it; pure."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Model:
    """An embedder that is or was served.

    Attributes
    ----------
    size
        Length of its embeddings.
    threshold, margin
        Calibrated: least cosine of the same person, least lead over the second nearest Subject.
    """

    model_id: str
    size: int
    threshold: float
    margin: float
