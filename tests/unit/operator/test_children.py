"""When a child has to be written, and when not."""

import copy

import pytest
from tests.unit.operator.builders import camera, wiring

from vigil_operator.kube.kinds import Kind, Object
from vigil_operator.kube.trim import trim
from vigil_operator.reconcile.camera.children import is_applied
from vigil_operator.resources.camera import children

WANTED = dict(children(camera(), wiring()))
REFUSED = {"type": "ReplicaFailure", "status": "True", "reason": "FailedCreate", "message": "exceeded quota"}


def stored(kind: Kind, **more: object) -> Object:
    """Return a child as the cache has it after the API server stored it."""
    return trim(kind, copy.deepcopy(WANTED[kind]) | more)


@pytest.mark.parametrize("kind", WANTED)
def test_what_is_there_as_wanted_is_not_written(kind: Kind) -> None:
    assert is_applied(kind, stored(kind), WANTED[kind])


def test_a_deployment_without_its_pods_is_written_once() -> None:
    """The API server refuses the pods."""
    seen = stored(Kind.DEPLOYMENT, status={"conditions": [REFUSED]})
    assert seen["status"]["conditions"] == [REFUSED]
    assert is_applied(Kind.DEPLOYMENT, seen, WANTED[Kind.DEPLOYMENT])


def test_a_deployment_that_somebody_scaled_is_written() -> None:
    wanted = WANTED[Kind.DEPLOYMENT]
    assert not is_applied(Kind.DEPLOYMENT, stored(Kind.DEPLOYMENT, spec=wanted["spec"] | {"replicas": 3}), wanted)
