"""Render an event once for all subscribers that selected the same and may see the same.

The payload of an event depends on the selection, its fragments and the variables used in them, and on what the
principal may see; it does not depend on where a subscription began (`after`) nor on which events it gets (`filter`).
Subscriptions that agree on the former share a renderer: an event is executed and written as JSON once, and each
subscriber's message differs only in its operation id.
"""

import asyncio
import json
from collections import OrderedDict
from collections.abc import Awaitable, Hashable, Mapping
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

from vigil_gateway.handlers.graphql.context import RequestContext
from vigil_gateway.handlers.graphql.errors import formatted
from vigil_gateway.handlers.graphql.event_types import SightingEvent

KEPT: Final = 256
"""Payloads kept per renderer: subscribers that lag a little find theirs; for others it is made again."""

KEPT_S: Final = 60.0
"""Seconds after which payloads are dropped, so that what was erased does not stay in memory."""


class Renderer:
    """One selection of one field, as principals with equal rights see it, with the payloads of the newest events."""

    def __init__(self, executor: Executor[Any]) -> None:
        self._executor = executor
        self._payloads: OrderedDict[int, bytes] = OrderedDict()
        self._loading: dict[int, asyncio.Task[bytes]] = {}
        self.made = 0
        self.users = 0

    def ready(self, event: SightingEvent) -> bytes | None:
        """Return the `payload` of the event's `next` message as JSON; None: fields of it have to be loaded first."""
        known = self._payloads.get(event.seq)
        if known is not None or event.seq in self._loading:
            return known
        result = execute_subscription_event(self._executor.build_per_event_executor(event))
        if isinstance(result, ExecutionResult):
            return self._keep(event.seq, result)
        self._loading[event.seq] = asyncio.ensure_future(self._load(event.seq, result))
        return None

    async def payload(self, event: SightingEvent) -> bytes:
        """Return the `payload` of the event's `next` message as JSON."""
        known = self.ready(event)
        return known if known is not None else await asyncio.shield(self._loading[event.seq])

    def drop(self) -> None:
        """Drop all payloads: events in them were changed or deleted."""
        self._payloads.clear()

    async def _load(self, seq: int, result: Awaitable[ExecutionResult]) -> bytes:
        try:
            return self._keep(seq, await result)
        finally:
            del self._loading[seq]

    def _keep(self, seq: int, result: ExecutionResult) -> bytes:
        body: dict[str, Any] = {"data": result.data}
        if result.errors:
            body["errors"] = formatted(result.errors)
        text = json.dumps(body, separators=(",", ":"), ensure_ascii=False).encode()
        self.made += 1
        if not self._payloads:
            asyncio.get_running_loop().call_later(KEPT_S, self._payloads.clear)
        self._payloads[seq] = text
        if len(self._payloads) > KEPT:
            self._payloads.popitem(last=False)
        return text


class Renderers:
    """The renderers in use, each shared by all subscriptions with the same selection and rights."""

    def __init__(self, schema: GraphQLSchema) -> None:
        self._schema = schema
        self._known: dict[Hashable, Renderer] = {}

    def __len__(self) -> int:
        return len(self._known)

    def drop(self) -> None:
        """Drop all payloads of all renderers."""
        for renderer in self._known.values():
            renderer.drop()

    def acquire(
        self,
        document: DocumentNode,
        operation: OperationDefinitionNode,
        root: FieldNode,
        variables: Mapping[str, Any],
        context: RequestContext,
    ) -> tuple[Hashable, Renderer]:
        """Return the renderer for an operation of a principal, and the key to `release` it by.

        Parameters
        ----------
        context
            A context of the principal alone: it outlives the connection that brings it.

        Raises
        ------
        GraphQLError
            The variables do not fit the operation.
        """
        key = (context.required_principal.render_key, selection_key(document, operation, root, variables))
        renderer = self._known.get(key)
        if renderer is None:
            executor = Executor.build(
                self._schema,
                document,
                context_value=context,
                raw_variable_values=dict(variables),
                operation_name=operation.name.value if operation.name else None,
            )
            if not isinstance(executor, Executor):
                raise executor[0]
            renderer = self._known[key] = Renderer(executor)
        renderer.users += 1
        return key, renderer

    def release(self, key: Hashable) -> None:
        """End the use by one subscription."""
        renderer = self._known[key]
        renderer.users -= 1
        if renderer.users == 0:
            del self._known[key]


class _Variables(Visitor):
    def __init__(self) -> None:
        super().__init__()
        self.names: set[str] = set()

    def enter_variable(self, node: VariableNode, *_: object) -> None:
        self.names.add(node.name.value)


def selection_key(
    document: DocumentNode, operation: OperationDefinitionNode, root: FieldNode, variables: Mapping[str, Any]
) -> str:
    """Return a text of all that a response depends on besides the event and the principal; equal for equal ones."""
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
