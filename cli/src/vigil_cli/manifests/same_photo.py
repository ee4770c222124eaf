"""The same photo in two Subjects: one person under two names, who then can be recognised under neither."""

import hashlib
from collections.abc import Iterator
from pathlib import Path

from vigil_cli.manifests.declared import Declared, Manifests
from vigil_cli.manifests.findings import Finding, Severity
from vigil_cli.manifests.references import local_path
from vigil_contracts.registry import MAX_PHOTO_BYTES
from vigil_contracts.resources import ConsentStatus, Problem, Subject
from vigil_contracts.resources.subject import Photo

_Occurrence = tuple[Declared[Subject], int]


def check_same_photo(manifests: Manifests) -> list[Finding]:
    """Return a warning for every photo that an earlier Subject has too, by the sha256 of its bytes.

    Subjects without consent are left out: nobody is compared with them.
    """
    first: dict[str, _Occurrence] = {}
    found = []
    for subject, index, sha256 in _photos(manifests):
        before, before_index = first.setdefault(sha256, (subject, index))
        if before is not subject:
            photo = before.resource.spec.photos[before_index].name
            path = ("spec", "photos", index)
            found.append(subject.origin.finding(Problem(path, _message(before, photo)), Severity.WARNING))
    return found


def _message(other: Declared[Subject], photo: str) -> str:
    key, where = other.resource.metadata.key, other.origin.finding(Problem(("metadata", "name"), ""))
    return (
        f"Subject {key.namespace}/{key.name} has the same photo ({photo}, {where.file}:{where.line}); one person under "
        "two names can be recognised under neither: remove one Subject, or the photo that shows somebody else"
    )


def _photos(manifests: Manifests) -> Iterator[tuple[Declared[Subject], int, str]]:
    for subject in manifests.subjects.values():
        if subject.resource.spec.consent.status is ConsentStatus.GRANTED:
            for index, photo in enumerate(subject.resource.spec.photos):
                sha256 = photo.sha256 or _sha256(photo, subject, manifests)
                if sha256 is not None:
                    yield subject, index, sha256


def _sha256(photo: Photo, subject: Declared[Subject], manifests: Manifests) -> str | None:
    """Return the sha256 of a photo whose bytes are at hand; None otherwise."""
    if photo.url is not None:
        data = _read(local_path(photo.url, subject.folder)) if photo.url.startswith("file:") else None
    else:
        stores = manifests.secrets if photo.secret_key_ref is not None else manifests.config_maps
        reference = photo.secret_key_ref or photo.config_map_key_ref
        namespace = subject.resource.metadata.namespace
        data = stores.get((namespace, reference.name), {}).get(reference.key) if reference is not None else None
    return hashlib.sha256(data).hexdigest() if data is not None else None


def _read(path: Path) -> bytes | None:
    try:
        return path.read_bytes() if path.is_file() and path.stat().st_size <= MAX_PHOTO_BYTES else None
    except OSError:
        return None  # reported with the other references
