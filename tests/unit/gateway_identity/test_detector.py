from typing import Any

import pytest

from vigil_gateway.services.detector import read_config
from vigil_vision.triton import wire


def config(parameters: dict[str, str], *instances: int) -> Any:
    made = wire.messages.ModelConfigResponse().config
    for name, value in parameters.items():
        made.parameters[name].string_value = value
    for count in instances:
        made.instance_group.add(count=count)
    return made


@pytest.mark.parametrize(
    ("parameters", "instances", "expected"),
    [
        ({"vigil_model_id": "a@1", "vigil_reference_ms": "9.5"}, (2,), ("a@1", 2, 9.5)),
        ({"vigil_model_id": "a@1", "vigil_reference_ms": "4"}, (1, 3), ("a@1", 4, 4.0)),
        ({"vigil_model_id": "a@1"}, (), ("a@1", None, None)),
        ({"vigil_model_id": "a@1", "vigil_reference_ms": "fast"}, (1,), ("a@1", 1, None)),
        ({"vigil_model_id": "a@1", "vigil_reference_ms": "-1"}, (1,), ("a@1", 1, None)),
        ({"vigil_model_id": "a@1", "vigil_reference_ms": "inf"}, (1,), ("a@1", 1, None)),
        ({}, (1,), None),
    ],
)
def test_a_figure_that_is_not_known_is_not_made_up(
    parameters: dict[str, str], instances: tuple[int, ...], expected: tuple[str, int | None, float | None] | None
) -> None:
    found = read_config(config(parameters, *instances))
    assert (found and (found.model_id, found.instances, found.reference_ms)) == expected
