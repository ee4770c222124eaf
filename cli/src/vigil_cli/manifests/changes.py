"""Fields that cannot change while Vigil runs; the API server refuses the same changes."""

from collections.abc import Iterable
from typing import Any

from vigil_cli.manifests.declared import Declared, Manifests
from vigil_cli.manifests.findings import Finding
from vigil_contracts.resources import check_update


def check_changes(before: Manifests, after: Manifests) -> list[Finding]:
    """Return a finding for each changed field that cannot change."""
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
