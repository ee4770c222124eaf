"""What other commands read of a run: what is not applied and why, and which photos identity has assessed.

Both files name people. They are written anew with each change of the manifests, and an erasure removes the person.
"""

import contextlib
import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from vigil_cli.manifests import Finding, Manifests, Severity
from vigil_cli.standalone.state import MANIFESTS, write_private
from vigil_contracts.ids import ResourceKey
from vigil_contracts.registry import EnrolmentReport, PhotoReason
from vigil_contracts.resources import Problem
from vigil_contracts.resources.subject import Photo


@dataclass(frozen=True, slots=True)
class Unapplied:
    """A part of the manifests that is not applied; line 0: no line is known."""

    file: str
    line: int
    resource: str
    reason: str


@dataclass(slots=True)
class Record:
    """The files of one run.

    Attributes
    ----------
    root
        The state folder.
    """

    root: Path
    _manifests: Manifests = field(default_factory=Manifests)
    _findings: list[Finding] = field(default_factory=list)
    _problems: dict[tuple[str, ResourceKey], str] = field(default_factory=dict)
    _assessed: dict[str, dict[str, str]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._assessed = _read_assessed(self.root)

    def set_manifests(self, manifests: Manifests, findings: Iterable[Finding] = ()) -> None:
        """Record the manifests that are applied, and the errors of those that are not."""
        self._manifests = manifests
        self._findings = [finding for finding in findings if finding.severity is Severity.ERROR]
        self._write()

    def set_problem(self, kind: str, key: ResourceKey, problem: str) -> None:
        """Record why a resource cannot be applied; empty: it can."""
        if problem:
            self._problems[kind, key] = problem
        else:
            self._problems.pop((kind, key), None)
        self._write()

    def set_assessed(self, key: ResourceKey, report: EnrolmentReport) -> None:
        """Record which photos of a Subject identity has assessed."""
        known = {
            photo.name: photo.sha256
            for photo in report.photos
            if photo.sha256 is not None and photo.reason not in {PhotoReason.MISSING, PhotoReason.NOT_FOUND}
        }
        self._assessed[str(key)] = known
        self._write_assessed()

    def forget(self, key: ResourceKey) -> None:
        """Remove an erased Subject."""
        self._assessed.pop(str(key), None)
        self._problems.pop(("subject", key), None)
        self._write_assessed()
        self._write()

    def is_assessed(self, key: ResourceKey, photo: Photo) -> bool:
        """Return whether identity has assessed the very bytes that a Subject states."""
        return photo.sha256 is not None and self._assessed.get(str(key), {}).get(photo.name) == photo.sha256

    def _write_assessed(self) -> None:
        with contextlib.suppress(OSError):  # a full disk is reported by itself
            write_private(self.root / ASSESSED, json.dumps(self._assessed))

    def _write(self) -> None:
        rows = [asdict(one) for one in self._unapplied()]
        subjects = [_subject_row(key, self._manifests) for key in self._manifests.subjects]
        with contextlib.suppress(OSError):
            write_private(self.root / MANIFESTS, json.dumps({"unapplied": rows, "subjects": subjects}))

    def _unapplied(self) -> Iterable[Unapplied]:
        for finding in self._findings:
            yield Unapplied(str(finding.file), finding.line, finding.path, finding.message)
        for (kind, key), problem in self._problems.items():
            file, line = self._origin(kind, key)
            yield Unapplied(file, line, f"{kind.capitalize()} {key}", problem)

    def _origin(self, kind: str, key: ResourceKey) -> tuple[str, int]:
        kinds: dict[str, Any] = {
            "camera": self._manifests.cameras,
            "subject": self._manifests.subjects,
            "site": self._manifests.sites,
        }
        declared = kinds.get(kind, {}).get(key)
        if declared is None:
            return "", 0
        finding = declared.origin.finding(Problem(("metadata", "name"), ""))
        return str(finding.file), finding.line


ASSESSED = "assessed.json"
"""File with the sha256 of each assessed photo by its name, by Subject."""


def _read_assessed(root: Path) -> dict[str, dict[str, str]]:
    with contextlib.suppress(OSError, ValueError, TypeError, AttributeError):
        found = json.loads((root / ASSESSED).read_text())
        return {str(key): {str(name): str(sha) for name, sha in photos.items()} for key, photos in found.items()}
    return {}


def _subject_row(key: ResourceKey, manifests: Manifests) -> dict[str, Any]:
    """Return what decides when a Subject may be recognised."""
    subject = manifests.subjects[key].resource
    spec = subject.spec
    moments = {
        "notBefore": spec.validity.not_before,
        "notAfter": spec.validity.not_after,
        "consentExpiresAt": spec.consent.expires_at,
    }
    return {
        **key._asdict(),
        "displayName": spec.display_name,
        "consent": str(spec.consent.status),
        **{name: moment.isoformat() if moment else None for name, moment in moments.items()},
    }
