"""Errors and warnings about manifests, with their positions."""

import re
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING

from vigil_contracts.addresses import shown_address

if TYPE_CHECKING:
    from vigil_cli.manifests.partial import Readable

Place = tuple[Path, int, int, tuple[str | int, ...]]
"""A resource in the files that were read: file, line and column of its document, and its path in there."""

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
    place: Place | None = field(default=None, compare=False)
    """The resource that it is about; None: a whole file or document."""

    def __str__(self) -> str:
        where = f"{self.path}: " if self.path else ""
        return f"{self.file}:{self.line}:{self.column}: {self.severity}: {where}{self.message}"


class ManifestError(Exception):
    """The manifests cannot be used.

    Attributes
    ----------
    findings
        All of them, warnings too, in the order of files and lines.
    readable
        The part of the manifests that was read, with what is known of the rest.
    """

    def __init__(self, findings: list[Finding], readable: "Readable") -> None:
        self.findings = findings
        self.readable = readable
        count = sum(finding.severity is Severity.ERROR for finding in findings)
        super().__init__(f"{count} {'error' if count == 1 else 'errors'} in the manifests")


def shown_line(line: str) -> str:
    """Return a line of a manifest without what its addresses may hold of secrets.

    An address in it ends with a quote or with the line, because a blank may have been forgotten in it.
    """
    return _ADDRESS.sub(lambda found: shown_address(found[0]), line)
