"""One thing that is wrong with a manifest, and where."""

import re
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

_USERINFO = re.compile(r"(?<=://)[^/@\s]+(?=@)")


class Severity(StrEnum):
    """An error keeps the manifests from being used; a warning does not."""

    ERROR = "error"
    WARNING = "warning"


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that a person should know about a manifest.

    Attributes
    ----------
    line, column
        From 1, of the value (or of its key, where the value is missing or unknown).
    path
        As kubectl writes it: `spec.photos[0].url`; empty for the document itself.
    message
        What is wrong and what to do.
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
    """Hide user and password of every address in a text, so that an error message does not repeat them."""
    return _USERINFO.sub("…", text)
