"""Errors and warnings about manifests, with their positions."""

import re
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from vigil_contracts.addresses import shown_address

_ADDRESS = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://[^\"'\n]*")


class Severity(StrEnum):
    """Manifests with an error are refused; those with a warning are used."""

    ERROR = "error"
    WARNING = "warning"


@dataclass(frozen=True, slots=True)
class Finding:
    """An error or a warning about a manifest.

    Attributes
    ----------
    line, column
        From 1, of the value (or of its key, where the value is missing or unknown).
    path
        As kubectl writes it: `spec.photos[0].url`; empty for the document itself.
    message
        The fault and the remedy.
    excerpt
        The line of the file; empty where it must not be shown (Secrets).
    """

    file: Path
    line: int
    column: int
    path: str
    message: str
    severity: Severity = Severity.ERROR
    excerpt: str = ""

    def __str__(self) -> str:
        where = f"{self.path}: " if self.path else ""
        return f"{self.file}:{self.line}:{self.column}: {self.severity}: {where}{self.message}"


class ManifestError(Exception):
    """The manifests cannot be used.

    Attributes
    ----------
    findings
        All of them, warnings too, in the order of files and lines.
    """

    def __init__(self, findings: list[Finding]) -> None:
        self.findings = findings
        count = sum(finding.severity is Severity.ERROR for finding in findings)
        super().__init__(f"{count} {'error' if count == 1 else 'errors'} in the manifests")


def shown_line(line: str) -> str:
    """Return a line of a manifest without what its addresses may hold of secrets.

    An address in it ends with a quote or with the line, because a blank may have been forgotten in it.
    """
    return _ADDRESS.sub(lambda found: shown_address(found[0]), line)
