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
    same_person, other_person
        Shots of one sighting at least so similar agree, and less similar ones contradict each other; 1 and 0 of a model
        that is not served now, whose limits are not known.
    """

    model_id: str
    size: int
    threshold: float
    margin: float
    same_person: float = 1.0
    other_person: float = 0.0

    @property
    def one_person(self) -> float:
        """Least cosine of two enrolment photos of one person, as `vigil enroll` has it."""
        return model_info.one_person(self.threshold, self.margin)
