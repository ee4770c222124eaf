"""The text of a file as plain data, each value with the place where it stands.

PyYAML composes nodes, which know their marks; they are turned into plain data here instead of by its constructor, to
keep the marks, to find keys that are there twice, to leave timestamps the text they were, and to count: aliases of
aliases ("billion laughs") are a few nodes to the composer and gigabytes to whoever expands them.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import yaml

from vigil_contracts.resources import Problem

MAX_VALUES = 100_000
"""Of one document after aliases are expanded; a Subject with everything in it has about 100."""
MAX_DEPTH = 64
MAX_DOCUMENTS = 10_000

_LOADER: type[yaml.SafeLoader] = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_STRING = "tag:yaml.org,2002:str"
_PLAIN = {f"tag:yaml.org,2002:{name}" for name in ("bool", "int", "float", "null", "binary")}
_TEXT = {_STRING, "tag:yaml.org,2002:timestamp", "tag:yaml.org,2002:value"}
_MERGE = "tag:yaml.org,2002:merge"

Path = tuple[str | int, ...]


@dataclass(frozen=True, slots=True)
class Place:
    """Line and column, from 1."""

    line: int
    column: int


@dataclass(frozen=True, slots=True)
class Spot:
    """Where an entry stands: its key (or, in a list, its value) and its value."""

    key: Place
    value: Place
    scalar: bool


@dataclass(slots=True)
class Document:
    """One document of a file.

    Attributes
    ----------
    data
        Plain data; None when it is empty.
    problems
        What is wrong with it as YAML.
    """

    data: Any = None
    problems: list[Problem] = field(default_factory=list)
    spots: dict[Path, Spot] = field(default_factory=dict)

    def place(self, path: Path, *, of_key: bool = False) -> Place:
        """Find the place of a value, or of the nearest one around it that is there."""
        for end in range(len(path), -1, -1):
            spot = self.spots.get(path[:end])
            if spot is not None:
                whole = end == len(path)
                return spot.value if whole and spot.scalar and not of_key else spot.key
        return Place(1, 1)


class NotYamlError(Exception):
    """The file cannot be read as YAML from here on."""

    def __init__(self, message: str, place: Place) -> None:
        super().__init__(message)
        self.place = place


def documents(text: str) -> Iterator[Document]:
    """Give the documents of a file one by one.

    Raises
    ------
    NotYamlError
        At the first place that is not YAML; the documents before it were given.
    """
    try:
        _check_shape(text)
        loader = _LOADER(text)
        while loader.check_node():
            yield _Reader(loader).read(loader.get_node())
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        told = " ".join(part for part in (error.problem, error.context) if part)
        raise NotYamlError(f"not YAML: {told}", _place(mark)) from None
    except (yaml.YAMLError, ValueError) as error:
        raise NotYamlError(f"not YAML: {' '.join(str(error).split())}", Place(1, 1)) from None


def _check_shape(text: str) -> None:
    """Refuse what is nested so deep that the composer, which recurses in C, would overflow its stack."""
    depth = count = 0
    try:
        for event in yaml.parse(text, Loader=_LOADER):
            depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
            count += isinstance(event, yaml.DocumentStartEvent)
            if depth > MAX_DEPTH:
                raise NotYamlError(f"nested more than {MAX_DEPTH} levels deep", _place(event.start_mark))
            if count > MAX_DOCUMENTS:
                raise NotYamlError(
                    f"the file holds more than {MAX_DOCUMENTS} documents; split it", _place(event.start_mark)
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
            place = _place(node.start_mark)
            self._document.spots[()] = Spot(place, place, isinstance(node, yaml.ScalarNode))
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
            place = _place(child.start_mark)
            self._document.spots[*path, index] = Spot(place, place, isinstance(child, yaml.ScalarNode))
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
            at = _place(key_node.start_mark)
            if not isinstance(key, str) or key_node.tag not in _TEXT:
                self._problem(path, f"line {at.line}: a key must be text; put it in quotes")
                continue
            here = (*path, key)
            if key in found:
                first = self._document.spots[here].key.line
                self._problem(here, f"is there twice, first in line {first}; leave one of them out")
            self._document.spots[here] = Spot(at, _place(child.start_mark), isinstance(child, yaml.ScalarNode))
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
        if isinstance(value, float) and (value != value or value in {float("inf"), float("-inf")}):  # noqa: PLR0124 - NaN
            self._problem(path, f"{node.value} is not a number that JSON knows")
            return None
        return value


def _place(mark: Any) -> Place:  # noqa: ANN401 - PyYAML's two parsers have mark types of their own
    return Place(mark.line + 1, mark.column + 1) if mark is not None else Place(1, 1)
