"""Declared resources, each with its position in a file."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Generic, TypeVar

from vigil_cli.manifests.documents import Document
from vigil_cli.manifests.findings import Finding, Place, Severity, shown_line
from vigil_cli.manifests.stores import Store
from vigil_contracts.addresses import hide_secrets
from vigil_contracts.ids import ResourceKey
from vigil_contracts.resources import Camera, Problem, Site, Subject

LoadedT = TypeVar("LoadedT", Camera, Subject, Site)


@dataclass(frozen=True, slots=True)
class Origin:
    """The file and document of a resource; makes findings about it.

    Attributes
    ----------
    prefix
        Path of the resource inside the document; not empty for the items of a List.
    """

    file: Path
    document: Document
    lines: tuple[str, ...] = ()
    prefix: tuple[str | int, ...] = ()

    @property
    def place(self) -> Place:
        """The resource as findings name it."""
        start = self.document.position(())
        return self.file, start.line, start.column, self.prefix

    def finding(self, problem: Problem, severity: Severity = Severity.ERROR) -> Finding:
        """Return a problem with its position."""
        of_key = problem.message.startswith(("unknown field", "appears twice"))
        position = self.document.position((*self.prefix, *problem.path), of_key=of_key)
        line = self.lines[position.line - 1] if position.line <= len(self.lines) else ""
        message = hide_secrets(problem.message)
        excerpt = shown_line(line)
        line_column = position.line, position.column
        return Finding(self.file, *line_column, problem.where, message, severity, excerpt, self.place)


@dataclass(frozen=True, slots=True)
class Declared(Generic[LoadedT]):
    """A resource and its origin."""

    resource: LoadedT
    origin: Origin

    @property
    def folder(self) -> Path:
        """Base folder of relative `file:` addresses."""
        return self.origin.file.resolve().parent


@dataclass(slots=True)
class Manifests:
    """All declared resources.

    Attributes
    ----------
    secrets, config_maps
        Values by namespace and name.
    warnings
        Findings with which the manifests can be used all the same.
    """

    cameras: dict[ResourceKey, Declared[Camera]] = field(default_factory=dict)
    subjects: dict[ResourceKey, Declared[Subject]] = field(default_factory=dict)
    sites: dict[ResourceKey, Declared[Site]] = field(default_factory=dict)
    secrets: dict[tuple[str, str], Store] = field(default_factory=dict)
    config_maps: dict[tuple[str, str], Store] = field(default_factory=dict)
    warnings: list[Finding] = field(default_factory=list)
