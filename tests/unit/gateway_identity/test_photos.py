import numpy as np
import pytest
from numpy.typing import NDArray

from vigil_contracts.registry import PhotoReason
from vigil_gateway.services.photos import refused, same_person
from vigil_gateway.storage.postgres.resource_rows import PhotoRow

MIN_SIMILARITY = 0.4


def photo(name: str, vector: list[float]) -> PhotoRow:
    unit: NDArray[np.float64] = np.array(vector) / np.linalg.norm(vector)
    return PhotoRow(
        name,
        "0" * 64,
        "net",
        accepted=True,
        reason="Accepted",
        message="",
        quality=None,
        vector=unit.astype("<f4").tobytes(),
    )


ANN = [1.0, 0, 0]
ANN_OLDER = [0.9, 0.3, 0]
ANN_TURNED = [0.8, 0, 0.3]
EVE = [0, 1.0, 0]
MALLORY = [0, 0, 1.0]


@pytest.mark.parametrize(
    ("vectors", "accepted"),
    [
        ([], []),
        ([ANN], [True]),
        ([ANN, ANN_OLDER], [True, True]),
        ([ANN, EVE], [False, False]),
        ([ANN, ANN_OLDER, EVE], [True, True, False]),
        ([EVE, ANN, ANN_OLDER, ANN_TURNED], [False, True, True, True]),
        ([ANN, EVE, MALLORY], [False, False, False]),
        ([ANN, ANN, EVE, EVE], [False, False, False, False]),
    ],
)
def test_only_photos_of_one_person_are_accepted(vectors: list[list[float]], accepted: list[bool]) -> None:
    """Of the one whom most of the photos show."""
    assessed = same_person([photo(f"p{n}", vector) for n, vector in enumerate(vectors)], MIN_SIMILARITY)
    assert [one.accepted for one in assessed] == accepted
    for one in assessed:
        assert (one.vector is not None) == one.accepted
        if not one.accepted:
            assert one.reason == PhotoReason.NOT_THE_SAME_PERSON
            assert "0.40 is needed" in one.message


def test_refused_photos_are_not_compared() -> None:
    bad = refused("bad", PhotoReason.MISSING, "not sent")
    assert same_person([bad, photo("a", ANN)], MIN_SIMILARITY)[0] is bad
    assert same_person([bad, photo("a", ANN)], MIN_SIMILARITY)[1].accepted
