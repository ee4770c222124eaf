"""A recognition model, as enrolment and the decision use it; pure."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Model:
    """A recognition model that is or was served.

    Attributes
    ----------
    size
        Length of its embeddings.
    threshold, margin
        Calibrated: least cosine of the same person, least difference to the second nearest Subject.
    """

    model_id: str
    size: int
    threshold: float
    margin: float
