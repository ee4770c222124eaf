"""Errors and warnings about manifests, with their positions."""

import re
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

_USERINFO = re.compile(r"(?<=://)[^/@\s]+(?=@)")


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


def without_userinfo(text: str) -> str:
    """Return a text without the user and password of its addresses, so that no error message repeats them."""
    return _USERINFO.sub("…", text)
