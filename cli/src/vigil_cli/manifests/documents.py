"""The text of a file as plain data, each value with its position.

PyYAML composes nodes, which have positions. They are turned into plain data here and not by its constructor, in order
to keep the positions, to find duplicate keys, to leave timestamps as text, and to count values: aliases of aliases
("billion laughs") are a few nodes, and gigabytes when they are expanded.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import yaml

from vigil_contracts.resources import Problem

MAX_VALUES = 100_000
"""Of one document after aliases are expanded; a complete Subject has about 100."""
MAX_DEPTH = 64
MAX_DOCUMENTS = 10_000

_LOADER: type[yaml.SafeLoader] = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_STRING = "tag:yaml.org,2002:str"
_PLAIN = {f"tag:yaml.org,2002:{name}" for name in ("bool", "int", "float", "null", "binary")}
_TEXT = {_STRING, "tag:yaml.org,2002:timestamp", "tag:yaml.org,2002:value"}
_MERGE = "tag:yaml.org,2002:merge"

Path = tuple[str | int, ...]


@dataclass(frozen=True, slots=True)
class Position:
    """Line and column, from 1."""

    line: int
    column: int


@dataclass(frozen=True, slots=True)
class EntryPosition:
    """Position of an entry: of its key (in a list, of its value) and of its value."""

    key: Position
    value: Position
    scalar: bool


@dataclass(slots=True)
class Document:
    """One document of a file.

    Attributes
    ----------
    data
        Plain data; None when it is empty.
    problems
        Errors of the document as YAML.
    """

    data: Any = None
    problems: list[Problem] = field(default_factory=list)
    positions: dict[Path, EntryPosition] = field(default_factory=dict)

    def position(self, path: Path, *, of_key: bool = False) -> Position:
        """Return the position of a value, or of the nearest existing value around it."""
        for end in range(len(path), -1, -1):
            entry = self.positions.get(path[:end])
            if entry is not None:
                whole = end == len(path)
                return entry.value if whole and entry.scalar and not of_key else entry.key
        return Position(1, 1)


class NotYamlError(Exception):
    """The file cannot be read as YAML from this position on."""

    def __init__(self, message: str, position: Position) -> None:
        super().__init__(message)
        self.position = position


def documents(text: str) -> Iterator[Document]:
    """Yield the documents of a file.

    Raises
    ------
    NotYamlError
        At the first position that is not YAML, after the documents before it.
    """
    try:
        _check_shape(text)
        loader = _LOADER(text)
        while loader.check_node():
            yield _Reader(loader).read(loader.get_node())
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        message = " ".join(part for part in (error.problem, error.context) if part)
        raise NotYamlError(f"not YAML: {message}", _position(mark)) from None
    except (yaml.YAMLError, ValueError) as error:
        raise NotYamlError(f"not YAML: {' '.join(str(error).split())}", Position(1, 1)) from None


def _check_shape(text: str) -> None:
    """Refuse a document so deep that the composer, which recurses in C, would overflow its stack."""
    depth = count = 0
    try:
        for event in yaml.parse(text, Loader=_LOADER):
            depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
            count += isinstance(event, yaml.DocumentStartEvent)
            if depth > MAX_DEPTH:
                raise NotYamlError(f"nested more than {MAX_DEPTH} levels deep", _position(event.start_mark))
            if count > MAX_DOCUMENTS:
                raise NotYamlError(
                    f"the file holds more than {MAX_DOCUMENTS} documents; split it", _position(event.start_mark)
                )
    except yaml.MarkedYAMLError:
        return  # reported by the composer, after the documents before it


class _Reader:
    """Turns the nodes of one document into plain data."""

    def __init__(self, loader: yaml.SafeLoader) -> None:
        self._loader = loader
        self._left = MAX_VALUES
        self._document = Document()

    def read(self, node: yaml.Node | None) -> Document:
        if node is not None:
            position = _position(node.start_mark)
            self._document.positions[()] = EntryPosition(position, position, isinstance(node, yaml.ScalarNode))
            self._document.data = self._value(node, ())
            if self._left < 0:
                self._problem((), f"holds more than {MAX_VALUES} values once its aliases are expanded")
        return self._document

    def _problem(self, path: Path, message: str) -> None:
        self._document.problems.append(Problem(path, message))

    def _value(self, node: yaml.Node, path: Path) -> Any:  # noqa: ANN401 - plain data of any shape
        self._left -= 1
        if self._left < 0:
            return None
        if len(path) > MAX_DEPTH:
            self._problem(path, f"is nested more than {MAX_DEPTH} levels deep")
            return None
        if isinstance(node, yaml.MappingNode):
            return self._mapping(node, path)
        if isinstance(node, yaml.SequenceNode):
            return self._sequence(node, path)
        return self._scalar(node, path)

    def _sequence(self, node: yaml.SequenceNode, path: Path) -> list[Any]:
        found = []
        for index, child in enumerate(node.value):
            if self._left < 0:
                break
            position = _position(child.start_mark)
            self._document.positions[*path, index] = EntryPosition(
                position, position, isinstance(child, yaml.ScalarNode)
            )
            found.append(self._value(child, (*path, index)))
        return found

    def _mapping(self, node: yaml.MappingNode, path: Path) -> dict[str, Any]:
        found: dict[str, Any] = {}
        merged: dict[str, Any] = {}
        for key_node, child in node.value:
            if self._left < 0:
                break
            if key_node.tag == _MERGE:
                merged = {**self._merge(child, path), **merged}
                continue
            key = key_node.value if isinstance(key_node, yaml.ScalarNode) else None
            at = _position(key_node.start_mark)
            if not isinstance(key, str) or key_node.tag not in _TEXT:
                self._problem(path, f"line {at.line}: a key must be text; put it in quotes")
                continue
            here = (*path, key)
            if key in found:
                first = self._document.positions[here].key.line
                self._problem(here, f"appears twice, first in line {first}; remove one of the two")
            self._document.positions[here] = EntryPosition(
                at, _position(child.start_mark), isinstance(child, yaml.ScalarNode)
            )
            found[key] = self._value(child, here)
        return {**merged, **found}

    def _merge(self, node: yaml.Node, path: Path) -> dict[str, Any]:
        """Expand `<<: *anchor`, as kubectl does."""
        parts = node.value if isinstance(node, yaml.SequenceNode) else [node]
        found: dict[str, Any] = {}
        for part in parts:
            if isinstance(part, yaml.MappingNode) and len(path) < MAX_DEPTH:
                self._left -= 1
                found = {**self._mapping(part, path), **found}
            else:
                self._problem(path, "<< takes an alias of a mapping")
        return found

    def _scalar(self, node: yaml.Node, path: Path) -> Any:  # noqa: ANN401 - plain data of any shape
        if node.tag in _TEXT:
            return node.value
        if node.tag not in _PLAIN:
            self._problem(path, f"has the tag {node.tag}, which manifests do not use; leave it out")
            return None
        try:
            value = self._loader.construct_object(node)
        except (yaml.YAMLError, ValueError, OverflowError) as error:
            self._problem(path, f"cannot be read: {' '.join(str(error).split())}")
            return None
        if isinstance(value, bytes):
            return node.value
        if fault := _number_fault(value):
            self._problem(path, fault)
            return None
        return value


def _number_fault(value: object) -> str:
    """Return why a number cannot be used; empty when it can, or is none."""
    if isinstance(value, float) and not math.isfinite(value):
        return f"{value} is not a number that JSON knows"
    if isinstance(value, int) and value.bit_length() > 63:
        return "is a number that is too large; at most 18 digits are read"
    return ""


def _position(mark: Any) -> Position:  # noqa: ANN401 - PyYAML's two parsers have different types of marks
    return Position(mark.line + 1, mark.column + 1) if mark is not None else Position(1, 1)
