"""Refuse documents that would cost too much before they cost anything.

Size, tokens and nesting are counted by the lexer alone, so that an absurd document never reaches the parser and its
recursion. Depth, aliases and cost are counted on the parsed document with its variables, so that a page size in a
variable counts.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from graphql import (
    DocumentNode,
    FieldNode,
    FragmentDefinitionNode,
    FragmentSpreadNode,
    GraphQLSyntaxError,
    IntValueNode,
    Lexer,
    ListValueNode,
    OperationDefinitionNode,
    OperationType,
    SelectionSetNode,
    Source,
    Token,
    TokenKind,
    ValueNode,
    VariableNode,
)

from vigil_gateway.handlers.graphql.errors import RequestError, limit_error
from vigil_gateway.http.json_text import MAX_NUMBER_CHARS

DEFAULT_PAGE: Final = 50
MAX_PAGE: Final = 200
LISTS: Final = frozenset({"sightings", "cameras", "subjects"})
"""Fields whose selection is resolved once per entry of a page."""

DEEPEST: Final = 100
"""Levels below which nothing is counted: fragments that spread each other in a circle have no end."""

_PAGE_ARGUMENTS: Final = frozenset({"first", "last"})
_NUMBERS: Final = frozenset({TokenKind.INT, TokenKind.FLOAT})
_OPENING: Final = frozenset({TokenKind.BRACE_L, TokenKind.BRACKET_L, TokenKind.PAREN_L})
_CLOSING: Final = frozenset({TokenKind.BRACE_R, TokenKind.BRACKET_R, TokenKind.PAREN_R})


@dataclass(frozen=True, slots=True)
class QueryLimits:
    """The limits of one document.

    Attributes
    ----------
    chars
        Length of the text. GraphiQL's introspection has about 2,000.
    tokens
        GraphiQL's introspection has about 250.
    nesting
        Brackets of any kind open at once.
    number
        Characters of a number.
    depth
        Fields inside fields; introspection is left to graphql-core's own rule.
    aliases
        Fields under another name, each of which is resolved by itself.
    cost
        Fields to be resolved, times the entries of the page that they are in. 200 sightings with every field of each
        cost about 10,000.
    """

    chars: int = 16_384
    tokens: int = 1_000
    nesting: int = 40
    number: int = MAX_NUMBER_CHARS
    depth: int = 12
    aliases: int = 20
    cost: int = 20_000


def check_text(query: str, limits: QueryLimits) -> None:
    """Check what can be checked before parsing; raises RequestError with the limit and what was given."""
    if len(query) > limits.chars:
        raise limit_error("chars", limits.chars, len(query), "characters in the document")
    tokens = deepest = nesting = 0
    for token in _tokens(query):
        tokens += 1
        nesting += (token.kind in _OPENING) - (token.kind in _CLOSING)
        if token.kind in _NUMBERS and len(token.value or "") > limits.number:
            raise limit_error("number", limits.number, len(token.value or ""), "characters in a number")
        deepest = max(deepest, nesting)
    if tokens > limits.tokens:
        raise limit_error("tokens", limits.tokens, tokens, "tokens in the document")
    if deepest > limits.nesting:
        raise limit_error("nesting", limits.nesting, deepest, "brackets open at once in the document")


def _tokens(query: str) -> Iterator[Token]:
    lexer = Lexer(Source(query))
    while True:
        try:
            token = lexer.advance()
        except GraphQLSyntaxError:
            return  # the parser will report it, with its position
        if token.kind is TokenKind.EOF:
            return
        yield token


def check_document(
    document: DocumentNode,
    operation: OperationDefinitionNode,
    variables: Mapping[str, Any],
    limits: QueryLimits,
) -> RequestError | None:
    """Return the error of a parsed document that exceeds a limit, with the limit and what was given; None otherwise."""
    fragments = {node.name.value: node for node in document.definitions if isinstance(node, FragmentDefinitionNode)}
    defaults = {
        node.variable.name.value: int(node.default_value.value)
        for node in operation.variable_definitions or ()
        if isinstance(node.default_value, IntValueNode)
    }
    lists = frozenset() if operation.operation is OperationType.SUBSCRIPTION else LISTS
    measured = _Measure(fragments, {**defaults, **variables}, limits, lists).of(operation.selection_set, 1, 1)
    for name, allowed, given, what in (
        ("depth", limits.depth, measured.depth, "levels of fields"),
        ("aliases", limits.aliases, measured.aliases, "aliases"),
        ("cost", limits.cost, measured.cost, "cost (fields times page sizes)"),
    ):
        if given > allowed:
            return limit_error(name, allowed, given, what)
    return None


@dataclass(slots=True)
class _Measured:
    depth: int = 0
    aliases: int = 0
    cost: int = 0

    def add(self, other: "_Measured") -> None:
        self.depth = max(self.depth, other.depth)
        self.aliases += other.aliases
        self.cost += other.cost


class _Measure:
    """Walk a document; a fragment is measured once per depth and page size, so that spreads of spreads stay cheap."""

    def __init__(
        self,
        fragments: Mapping[str, FragmentDefinitionNode],
        variables: Mapping[str, Any],
        limits: QueryLimits,
        lists: frozenset[str],
    ) -> None:
        self._lists = lists
        self._fragments = fragments
        self._variables = variables
        self._limits = limits
        self._known: dict[tuple[str, int, int], _Measured] = {}

    def of(self, selection: SelectionSetNode, depth: int, times: int) -> _Measured:
        total = _Measured()
        if depth > DEEPEST:
            return total
        for node in selection.selections:
            if isinstance(node, FieldNode):
                total.add(self._field(node, depth, times))
            elif isinstance(node, FragmentSpreadNode):
                total.add(self._fragment(node.name.value, depth, times))
            else:
                total.add(self.of(node.selection_set, depth, times))  # type: ignore[attr-defined]  # an inline fragment
        return total

    def _fragment(self, name: str, depth: int, times: int) -> _Measured:
        key = (name, depth, times)
        if key not in self._known:
            self._known[key] = _Measured()  # one within itself, or that is not there, is left to validation
            if name in self._fragments:
                self._known[key] = self.of(self._fragments[name].selection_set, depth, times)
        return self._known[key]

    def _field(self, node: FieldNode, depth: int, times: int) -> _Measured:
        name = node.name.value
        own = _Measured(depth, int(node.alias is not None and node.alias.value != name), times)
        if node.selection_set is None or name.startswith("__"):
            return own
        entries = self._entries(node)
        own.add(self.of(node.selection_set, depth + 1, min(times * entries, self._limits.cost + 1)))
        return own

    def _entries(self, node: FieldNode) -> int:
        """Return for how many entries the selection of a field is answered."""
        ids = next((one.value for one in node.arguments or () if one.name.value == "ids"), None)
        if isinstance(ids, ListValueNode):
            return len(ids.values)
        if isinstance(ids, VariableNode):
            known = self._variables.get(ids.name.value)
            return len(known) if isinstance(known, list) else 1
        return self._page(node) if node.name.value in self._lists else 1

    def _page(self, node: FieldNode) -> int:
        """Return the entries that a list may answer with; what is no number is refused elsewhere."""
        sizes = [
            self._size(argument.value) for argument in node.arguments or () if argument.name.value in _PAGE_ARGUMENTS
        ]
        given = [size for size in sizes if size is not None]
        return max(1, min(max(given), MAX_PAGE)) if given else DEFAULT_PAGE

    def _size(self, value: ValueNode) -> int | None:
        if isinstance(value, IntValueNode):
            return int(value.value)
        known = self._variables.get(value.name.value) if isinstance(value, VariableNode) else None
        return known if isinstance(known, int) else None
