"""Load the manifests of files and folders: all findings at once, or resources that can be used."""

import difflib
import json
from collections.abc import Collection, Iterable, Mapping
from pathlib import Path
from typing import Any

from vigil_cli.manifests import stores
from vigil_cli.manifests.changes import check_changes
from vigil_cli.manifests.declared import Declared, Manifests, Origin
from vigil_cli.manifests.documents import NotYamlError, documents
from vigil_cli.manifests.files import ManifestFileError, all_files, read_text
from vigil_cli.manifests.findings import Finding, ManifestError, Severity, shown_line
from vigil_cli.manifests.partial import Readable, withdrawals
from vigil_cli.manifests.references import IsAssessed, check_references
from vigil_cli.manifests.same_photo import check_same_photo
from vigil_contracts.ids import ResourceKey
from vigil_contracts.resources import API_VERSION, KINDS, Camera, Problem, Subject, check
from vigil_contracts.resources.common import GROUP

RENAME = "rename this one, or omit --webcam"


def load(
    paths: Iterable[Path],
    before: Manifests | None = None,
    taken: Collection[ResourceKey] = (),
    is_assessed: IsAssessed = lambda *_: False,
) -> Manifests:
    """Read, check and connect all manifests.

    Parameters
    ----------
    paths
        Files and folders; of a folder its `.yaml`, `.yml` and `.json` files, not hidden ones or those of folders in it.
    before
        The running manifests; fields that cannot change are compared with theirs.
    taken
        Names of Cameras without a manifest, such as the webcam's.
    is_assessed
        Whether the bytes of a photo are not needed again.

    Raises
    ------
    ManifestError
        With all findings, and the part that could be read.
    """
    loader = _Loader()
    files, problems = all_files(paths)
    for problem in problems:
        loader.findings.append(Finding(problem.path, 1, 1, "", str(problem)))
        loader.readable.unread[_shown(problem.path)] = ""
    for file in files:
        loader.read(file)
    found = loader.manifests
    findings = (
        loader.findings
        + check_references(found, is_assessed)
        + check_same_photo(found)
        + (check_changes(before, found) if before else [])
    )
    findings += [
        found.cameras[key].origin.finding(Problem(("metadata", "name"), f"--webcam adds a Camera {key}; {RENAME}"))
        for key in taken
        if key in found.cameras
    ]
    findings.sort(key=lambda finding: (str(finding.file), finding.line, finding.column))
    if any(finding.severity is Severity.ERROR for finding in findings):
        errors = [finding for finding in findings if finding.severity is Severity.ERROR]
        loader.readable.broken = {finding.place for finding in errors if finding.place is not None}
        raise ManifestError(findings, loader.readable)
    found.warnings = findings
    return found


class _Loader:
    """Collects resources and findings of all files."""

    def __init__(self) -> None:
        self.manifests = Manifests()
        self.readable = Readable(self.manifests)
        self.findings: list[Finding] = []
        self._seen: dict[tuple[str, str, str], Finding] = {}

    def read(self, file: Path) -> None:
        shown = _shown(file)
        try:
            text = read_text(file)
        except ManifestFileError as problem:
            self.findings.append(Finding(shown, 1, 1, "", str(problem)))
            self.readable.unread[shown] = problem.text
            return
        lines = tuple(text.splitlines())
        try:
            for document in documents(text):
                self._document(Origin(shown, document, lines), text)
        except NotYamlError as error:
            self.readable.unread[shown] = text
            excerpt = lines[error.position.line - 1] if error.position.line <= len(lines) else ""
            line, column = error.position.line, error.position.column
            self.findings.append(Finding(shown, line, column, "", str(error), excerpt=shown_line(excerpt)))

    def _document(self, origin: Origin, text: str) -> None:
        document = origin.document
        if document.problems:
            self.readable.unread[origin.file] = text
            self.readable.withdrawn |= withdrawals(document.data)
            self.findings += [origin.finding(problem) for problem in document.problems]
            return
        if document.data is not None:
            self._resource(document.data, origin)

    def _resource(self, data: Any, origin: Origin) -> None:  # noqa: ANN401 - plain data of any shape
        if not isinstance(data, Mapping):
            self._note_unread(origin)
            self.findings.append(origin.finding(Problem((), "a manifest must be a mapping with apiVersion and kind")))
            return
        kind = data.get("kind")
        if kind == "List" and data.get("apiVersion") == "v1":
            self._list(data, origin)
        elif kind in stores.KINDS:
            self._store(data, origin)
        elif kind in KINDS or str(data.get("apiVersion")).startswith(f"{GROUP}/") or not isinstance(kind, str):
            self._ours(data, origin)
        else:
            message = f"{kind} ({data.get('apiVersion')}) is ignored; Vigil reads {_kinds()}"
            close = difflib.get_close_matches(kind, [*KINDS, *stores.KINDS], n=1, cutoff=0.75)
            severity = Severity.ERROR if close else Severity.WARNING
            if close:
                self._note_unread(origin)
            message = f"there is no kind {kind}; did you mean {close[0]}?" if close else message
            self.findings.append(origin.finding(Problem(("kind",), message), severity))

    def _list(self, data: Mapping[str, Any], origin: Origin) -> None:
        items = data.get("items")
        if not isinstance(items, list):
            self._note_unread(origin)
            self.findings.append(origin.finding(Problem(("items",), "a List needs items")))
            return
        for index, item in enumerate(items):
            inner = (*origin.prefix, "items", index)
            if len(inner) > 4:
                self._note_unread(origin)
                self.findings.append(origin.finding(Problem((), "a List inside a List is not read")))
                return
            self._resource(item, Origin(origin.file, origin.document, origin.lines, inner))

    def _store(self, data: Mapping[str, Any], origin: Origin) -> None:
        origin = Origin(origin.file, origin.document, (), origin.prefix)  # without lines: they are secret
        found = stores.read_store(data)
        if isinstance(found, list):
            self.findings += [origin.finding(problem) for problem in found]
            return
        key, values = found
        if self._is_first(data["kind"], *key, origin):
            target = self.manifests.secrets if data["kind"] == "Secret" else self.manifests.config_maps
            target[key] = values

    def _ours(self, data: Mapping[str, Any], origin: Origin) -> None:
        found = check(json.loads(json.dumps(data)))
        if isinstance(found, list):
            self.findings += [origin.finding(_with_suggestion(problem, data)) for problem in found]
            self.readable.withdrawn |= withdrawals(data)
            self._seen_name(data, origin)
            return
        key = found.metadata.key
        if not self._is_first(found.kind, *key, origin):
            self.readable.withdrawn |= withdrawals(data)
            return
        if isinstance(found, Camera):
            self.manifests.cameras[key] = Declared(found, origin)
        elif isinstance(found, Subject):
            self.manifests.subjects[key] = Declared(found, origin)
        else:
            self.manifests.sites[key] = Declared(found, origin)

    def _seen_name(self, data: Mapping[str, Any], origin: Origin) -> None:
        """Remember the name of a broken resource too, so that references to it are no additional errors."""
        metadata = data.get("metadata")
        if isinstance(metadata, Mapping) and isinstance(metadata.get("name"), str) and data.get("kind") in KINDS:
            namespace = metadata.get("namespace", "default")
            if isinstance(namespace, str):
                self._is_first(str(data["kind"]), namespace, metadata["name"], origin)
                self.readable.declared.add((str(data["kind"]), ResourceKey(namespace, metadata["name"])))
                return
        self._note_unread(origin)

    def _note_unread(self, origin: Origin) -> None:
        """Note that a file may declare more than was read of it."""
        self.readable.unread[origin.file] = "\n".join(origin.lines)

    def _is_first(self, kind: str, namespace: str, name: str, origin: Origin) -> bool:
        first = self._seen.get((kind, namespace, name))
        finding = origin.finding(Problem(("metadata", "name"), ""))
        if first is None:
            self._seen[kind, namespace, name] = finding
            return True
        message = f"{kind} {namespace}/{name} is declared twice, first in {first.file}:{first.line}; rename one of them"
        self.findings.append(origin.finding(Problem(("metadata", "name"), message)))
        return False


def _with_suggestion(problem: Problem, data: Mapping[str, Any]) -> Problem:
    """Add the likely kind to a message about an unknown one."""
    if problem.path != ("kind",):
        return problem
    close = difflib.get_close_matches(str(data.get("kind")), [*KINDS, *stores.KINDS], n=1, cutoff=0.6)
    return Problem(problem.path, f"{problem.message}; did you mean {close[0]}?") if close else problem


def _kinds() -> str:
    return f"{', '.join(KINDS)} ({API_VERSION}), {' and '.join(stores.KINDS)} (v1)"


def _shown(file: Path) -> Path:
    """Return a path relative to the working folder where it lies below it."""
    try:
        return file.resolve().relative_to(Path.cwd())
    except ValueError:
        return file
