"""What may not change while Vigil runs, as the API server refuses it too."""

from collections.abc import Iterable
from typing import Any

from vigil_cli.manifests.declared import Declared, Manifests
from vigil_cli.manifests.findings import Finding
from vigil_contracts.resources import check_update


def check_changes(before: Manifests, after: Manifests) -> list[Finding]:
    """List the fields that differ from what runs although they cannot be changed."""
    kinds: Iterable[tuple[dict[Any, Declared[Any]], dict[Any, Declared[Any]]]] = (
        (before.cameras, after.cameras),
        (before.subjects, after.subjects),
        (before.sites, after.sites),
    )
    return [
        declared.origin.finding(problem)
        for old, new in kinds
        for key, declared in new.items()
        if key in old
        for problem in check_update(old[key].resource, declared.resource)
    ]
