"""People who pass one after another are told apart: real models, the stream's pipeline, and identity's decision."""

from pathlib import Path

import pytest
from bench.gate.models import LocalModels
from bench.gate.people import Person, load
from bench.gate.scenes import MEETINGS
from bench.gate.table import score_scene
from tests.support.servers import OPEN_PACK, model_repository

pytestmark = pytest.mark.integration

GAP_S = 0.6


@pytest.fixture(scope="module")
def local_models() -> LocalModels:
    return LocalModels(model_repository(OPEN_PACK))


@pytest.fixture(scope="module")
def people(local_models: LocalModels, faces: Path) -> dict[str, Person]:
    return {person.name: person for person in load(local_models, faces)}


@pytest.mark.parametrize(
    ("meeting", "first", "second", "enrolled"),
    [
        ("same place", ("alex-lacamoire", 2), ("barack-obama", 1), {"alex-lacamoire"}),
        ("crossing", ("barack-obama", 1), ("joe-biden", 0), {"joe-biden"}),
        ("one hides the other", ("alex-lacamoire", 0), ("lin-manuel-miranda", 0), {"alex-lacamoire"}),
    ],
)
def test_nobody_is_wrongly_named_at_a_gate(
    local_models: LocalModels,
    people: dict[str, Person],
    meeting: str,
    first: tuple[str, int],
    second: tuple[str, int],
    enrolled: set[str],
) -> None:
    """Pairs whose photos are alike; every revision counts, and each person is one sighting."""
    (name, photo), (other, another) = first, second
    visits = (name, people[name].portraits[photo]), (other, people[other].portraits[another])
    known = [person for person in people.values() if person.name in enrolled or person.name not in {name, other}]
    score = score_scene(local_models, MEETINGS[meeting](*visits, GAP_S), 5, known, [first, second], 1)
    assert (score.joined, score.wrongly_named, score.swallowed, score.split) == (0, 0, 0, 0)
