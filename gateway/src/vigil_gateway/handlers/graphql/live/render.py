"""Turn an event into a response once for all subscribers that selected the same.

What a subscription answers depends on its selection, its fragments and the variables used in them, but not on where
it began (`after`) nor on which events it hears (`filter`). Subscriptions that agree on the former share a renderer: an
event is executed and written as JSON once, and each subscriber's message differs only in its operation id.
"""

import asyncio
import json
from collections import OrderedDict
from collections.abc import Mapping
from typing import Any, Final

from graphql import (
    DocumentNode,
    ExecutionResult,
    Executor,
    FieldNode,
    FragmentDefinitionNode,
    GraphQLSchema,
    Node,
    OperationDefinitionNode,
    VariableNode,
    Visitor,
    execute_subscription_event,
    print_ast,
    visit,
)

from vigil_gateway.handlers.graphql.errors import formatted
from vigil_gateway.handlers.graphql.types import SightingEvent

KEPT: Final = 256
"""Payloads kept per renderer: those that lag a little find theirs; who lags more has it made again."""


class Renderer:
    """One selection of one field, with the payloads of the newest events."""

    def __init__(self, executor: Executor[Any]) -> None:
        self._executor = executor
        self._payloads: OrderedDict[int, bytes] = OrderedDict()
        self.made = 0
        self.users = 0

    def payload(self, event: SightingEvent) -> bytes:
        """Give the `payload` of the event's `next` message as JSON."""
        known = self._payloads.get(event.seq)
        if known is not None:
            return known
        result = execute_subscription_event(self._executor.build_per_event_executor(event))
        if not isinstance(result, ExecutionResult):
            msg = "a field of SightingEvent is resolved asynchronously; its values must be there when it is made"
            raise TypeError(msg)
        body: dict[str, Any] = {"data": result.data}
        if result.errors:
            body["errors"] = formatted(result.errors)
        text = json.dumps(body, separators=(",", ":"), ensure_ascii=False).encode()
        self.made += 1
        self._payloads[event.seq] = text
        if len(self._payloads) > KEPT:
            self._payloads.popitem(last=False)
        return text

    def forget(self) -> None:
        """Drop all payloads."""
        self._payloads.clear()


class Renderers:
    """The renderers in use, each shared by all subscriptions with the same selection."""

    def __init__(self, schema: GraphQLSchema) -> None:
        self._schema = schema
        self._known: dict[str, Renderer] = {}

    def __len__(self) -> int:
        return len(self._known)

    def acquire(
        self,
        document: DocumentNode,
        operation: OperationDefinitionNode,
        root: FieldNode,
        variables: Mapping[str, Any],
    ) -> tuple[str, Renderer]:
        """Give the renderer for an operation, and the key to `release` it by.

        Raises
        ------
        GraphQLError
            The variables do not fit the operation.
        """
        key = selection_key(document, operation, root, variables)
        renderer = self._known.get(key)
        if renderer is None:
            executor = Executor.build(
                self._schema,
                document,
                raw_variable_values=dict(variables),
                operation_name=operation.name.value if operation.name else None,
            )
            if not isinstance(executor, Executor):
                raise executor[0]
            renderer = self._known[key] = Renderer(executor)
        renderer.users += 1
        return key, renderer

    def release(self, key: str) -> None:
        """Say that one subscription no longer needs it."""
        renderer = self._known[key]
        renderer.users -= 1
        if renderer.users == 0:
            del self._known[key]

    async def expire(self, every_s: float) -> None:
        """Forget payloads from time to time, so that what was erased does not stay in memory."""
        while True:
            await asyncio.sleep(every_s)
            for renderer in self._known.values():
                renderer.forget()


class _Variables(Visitor):
    def __init__(self) -> None:
        super().__init__()
        self.names: set[str] = set()

    def enter_variable(self, node: VariableNode, *_: object) -> None:
        self.names.add(node.name.value)


def selection_key(
    document: DocumentNode, operation: OperationDefinitionNode, root: FieldNode, variables: Mapping[str, Any]
) -> str:
    """Name all that a response depends on besides the event: a text, equal for equal responses."""
    alias = root.alias.value if root.alias else root.name.value
    parts: list[Node] = [*(operation.directives or ()), *(root.directives or ())]
    if root.selection_set is not None:
        parts.append(root.selection_set)
    parts += [node for node in document.definitions if isinstance(node, FragmentDefinitionNode)]
    found = _Variables()
    for part in parts:
        visit(part, found)
    used = {name: variables.get(name) for name in sorted(found.names)}
    defaults = [
        print_ast(node) for node in operation.variable_definitions or () if node.variable.name.value in found.names
    ]
    return json.dumps([root.name.value, alias, [print_ast(part) for part in parts], defaults, used], default=str)
