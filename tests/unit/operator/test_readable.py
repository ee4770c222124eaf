"""What the operator receives of Secrets: values only of those that a resource may name."""

import pytest
from tests.unit.operator.builders import secret, settings

from vigil_operator.factory import scopes
from vigil_operator.kube.kinds import Kind, Object


@pytest.mark.parametrize(
    ("obj", "metadata_only"),
    [
        (secret("login", readable_by="Camera"), False),
        (secret("anything", readable_by="Anybody"), False),
        (secret("payroll", readable_by=None), True),
        (secret("vigil-bus", readable_by=None), False),
        (secret("vigil-bus", readable_by="Site"), False),
    ],
    ids=lambda value: str(value["metadata"]["name"]) if isinstance(value, dict) else str(value),
)
def test_values_of_unlabelled_secrets_are_not_watched(obj: Object, *, metadata_only: bool) -> None:
    """Each Secret belongs to one watch, and the API server sends its values in that of readable ones only."""
    found = [scope for scope in scopes(settings()) if scope.kind is Kind.SECRET and scope.covers(obj)]
    assert [scope.metadata_only for scope in found] == [metadata_only]
