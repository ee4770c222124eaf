"""A spec that the API server cannot read does not keep an erased Subject."""

from typing import Any

import pytest

from vigil_contracts.resources import Subject, check
from vigil_operator.reconcile.subject.erasure import valid_spec


def merged(there: Any, patch: Any) -> Any:
    """Apply a JSON merge patch (RFC 7396)."""
    if not isinstance(patch, dict):
        return patch
    result = dict(there) if isinstance(there, dict) else {}
    for name, value in patch.items():
        if value is None:
            result.pop(name, None)
        else:
            result[name] = merged(result.get(name), value)
    return result


@pytest.mark.parametrize(
    "spec",
    [
        None,
        "text",
        {},
        {"displayName": 7, "photos": "none", "colour": "red"},
        {"displayName": "Ann", "consent": "yes", "access": {"anything": 1}},
        {"displayName": "Ann", "consent": {"status": "Granted", "expiresAt": "soon", "more": 1}, "photos": [1]},
    ],
)
def test_whatever_the_spec_is_the_patch_makes_a_sound_one_of_it(spec: Any) -> None:
    made = merged(spec, valid_spec(spec))
    found = check({"apiVersion": "vigil.dev/v1alpha1", "kind": "Subject", "metadata": {"name": "ann"}, "spec": made})
    assert isinstance(found, Subject), found
    assert "Ann" not in str(made)
