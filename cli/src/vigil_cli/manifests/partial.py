"""What is applied of manifests with errors while Vigil runs: all that is right, and each withdrawal and removal.

A resource with an error stays as it was before. Nobody is erased because of an error: a Subject whose manifest is gone
stays while a manifest that cannot be read may declare it. Consent that is no longer granted counts wherever it is
written, also in a manifest with errors.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from vigil_cli.manifests.declared import Declared, LoadedT, Manifests
from vigil_cli.manifests.findings import Place
from vigil_contracts.ids import ResourceKey
from vigil_contracts.resources import ConsentStatus, Subject, withdrawal


@dataclass(slots=True)
class Readable:
    """The readable part of manifests with errors.

    Attributes
    ----------
    manifests
        Resources that are valid in themselves.
    broken
        Those of them that cannot be used, such as with a reference to nothing.
    declared
        Kind and name of invalid resources.
    unread
        Files that may declare more, with as much of their text as could be read.
    withdrawn
        Subjects for which a manifest that is not used states another consent than Granted.
    """

    manifests: Manifests
    broken: set[Place] = field(default_factory=set)
    declared: set[tuple[str, ResourceKey]] = field(default_factory=set)
    unread: dict[Path, str] = field(default_factory=dict)
    withdrawn: set[ResourceKey] = field(default_factory=set)

    def may_declare(self, kind: str, key: ResourceKey, file: Path) -> bool:
        """Return whether a resource of an earlier state, in this file, may still be declared."""
        name = re.compile(rf"name[\"']?\s*:\s*[\"']?{re.escape(key.name)}(?![-a-z0-9])")
        return (
            (kind, key) in self.declared
            or any(file == unread or unread in file.parents for unread in self.unread)
            or any(name.search(text) for text in self.unread.values())
        )


def withdrawals(data: object) -> set[ResourceKey]:
    """Return the Subjects of a manifest, valid or not, with another consent than Granted."""
    if not isinstance(data, Mapping):
        return set()
    if data.get("kind") == "List" and isinstance(data.get("items"), list):
        return {key for item in data["items"] if item != data for key in withdrawals(item)}
    found = withdrawal(data)
    return {found.metadata.key} if found is not None else set()


def applicable(before: Manifests, found: Readable) -> Manifests:
    """Return the manifests to apply: the new state where it can be used, else the one before."""
    new = found.manifests
    subjects = _merged("Subject", before.subjects, new.subjects, found)
    for key in found.withdrawn & subjects.keys():
        subjects[key] = replace(subjects[key], resource=_withdrawn(subjects[key].resource))
    return Manifests(
        cameras=_merged("Camera", before.cameras, new.cameras, found),
        subjects=subjects,
        sites=_merged("Site", before.sites, new.sites, found),
        secrets={**before.secrets, **new.secrets},
        config_maps={**before.config_maps, **new.config_maps},
        warnings=new.warnings,
    )


def _merged(
    kind: str,
    before: Mapping[ResourceKey, Declared[LoadedT]],
    new: Mapping[ResourceKey, Declared[LoadedT]],
    found: Readable,
) -> dict[ResourceKey, Declared[LoadedT]]:
    usable = {key: one for key, one in new.items() if one.origin.place not in found.broken or _is_barred(one.resource)}
    kept = {
        key: one
        for key, one in before.items()
        if key not in usable and (key in new or found.may_declare(kind, key, one.origin.file))
    }
    return {**kept, **usable}


def _is_barred(resource: Any) -> bool:  # noqa: ANN401 - a resource of any kind
    """Return whether a resource is a Subject without consent, which needs nothing that could be missing."""
    return isinstance(resource, Subject) and resource.spec.consent.status is not ConsentStatus.GRANTED


def _withdrawn(subject: Subject) -> Subject:
    consent = subject.spec.consent.model_copy(update={"status": ConsentStatus.WITHDRAWN})
    return subject.model_copy(update={"spec": subject.spec.model_copy(update={"consent": consent})})
