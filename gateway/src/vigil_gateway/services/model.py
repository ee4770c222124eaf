"""A recognition model, as enrolment and the decision use it; pure."""

from dataclasses import dataclass

from vigil_vision.faces import model_info


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

    @property
    def one_person(self) -> float:
        """Least cosine of two enrolment photos of one person, as `vigil enroll` has it."""
        return model_info.one_person(self.threshold, self.margin)
