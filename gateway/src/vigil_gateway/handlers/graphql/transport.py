"""GraphQL over `graphql-transport-ws`, and the short way of the subscription `sightings`.

https://github.com/enisdenjo/graphql-ws/blob/master/PROTOCOL.md. Strawberry implements the protocol; added here are
limits checked before anything else, a deadline on every send, close reasons with what the client should do, and a
renderer shared by all subscriptions that selected the same.
"""

import asyncio
import json
from collections.abc import AsyncIterable, Callable, Mapping
from contextlib import aclosing, suppress
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, Final, TypeAlias, cast

import structlog
from graphql import (
    DocumentNode,
    ExecutionResult,
    Executor,
    FieldNode,
    GraphQLError,
    OperationDefinitionNode,
    OperationType,
    create_source_event_stream,
    get_operation_ast,
)
from starlette.websockets import WebSocket
from strawberry.http.exceptions import WebSocketDisconnected
from strawberry.subscriptions.protocols.graphql_transport_ws.handlers import BaseGraphQLTransportWSHandler, Operation
from strawberry.subscriptions.protocols.graphql_transport_ws.types import (
    ConnectionInitMessage,
    Message,
    SubscribeMessage,
)
from strawberry.types.execution import PreExecutionError

from vigil_gateway.handlers.graphql.budgets import Budgets, Places
from vigil_gateway.handlers.graphql.context import RequestContext
from vigil_gateway.handlers.graphql.errors import (
    RETRY_AFTER_S,
    Code,
    RequestError,
    formatted,
    limit_error,
    mask,
    no_operation,
)
from vigil_gateway.handlers.graphql.event_types import SightingEvent
from vigil_gateway.handlers.graphql.limits import check_document, check_text
from vigil_gateway.handlers.graphql.live.hub import TOO_SLOW, FollowEnded, SightingStream
from vigil_gateway.handlers.graphql.live.pace import ReplaySlots
from vigil_gateway.principal import Principal

if TYPE_CHECKING:
    from vigil_gateway.handlers.graphql.router import Router

log = structlog.get_logger(__name__)

FORBIDDEN: Final = 4403
TRY_AGAIN_LATER: Final = 1013
"""RFC 6455's registry: overload."""

EXTENSION: Final = "vigil.websocket"
"""ASGI extension of our server, a DirectWriter; without it every message takes more steps."""

MAX_ID_CHARS: Final = 256
"""Of an operation, because each of its messages repeats it."""

MAX_REASON_BYTES: Final = 123
"""RFC 6455 §5.5: the length of a close frame without its code."""

ShownOperation: TypeAlias = Operation[RequestContext, None]

Authenticate: TypeAlias = Callable[[str | None], Principal | None]


@dataclass(frozen=True, slots=True)
class DirectWriter:
    """The operations of our server beyond ASGI's messages.

    Attributes
    ----------
    write
        Write a text message at once if the client has read enough of the earlier ones; False: it has not.
    drop
        Close with a code and a reason without waiting for the client to read.
    admit
        Count the connection no longer among those that have not authenticated.
    """

    write: Callable[[bytes], bool]
    drop: Callable[[int, str], None]
    admit: Callable[[], None]


@dataclass(slots=True)
class Gate:
    """The WebSockets that are open, and how many may be.

    Attributes
    ----------
    send_s
        Seconds that one message may wait for the client to read.
    max_replays
        Subscriptions of one WebSocket that read old events at once.
    open
        Those that have shown the token.
    """

    max_connections: int
    send_s: float
    max_replays: int
    budgets: Budgets
    open: int = 0
    refused: int = 0
    dropped: int = 0
    sent: int = 0


@dataclass(frozen=True, slots=True)
class UnreadableMessage:
    """A message that is beyond the bounds of JSON here, or is no JSON.

    Attributes
    ----------
    head
        The texts among its own members, as far as it may be JSON.
    """

    reason: str
    head: Mapping[str, str]


class TransportHandler(BaseGraphQLTransportWSHandler[RequestContext, None]):
    """One WebSocket."""

    view: "Router"
    _admitted = False

    @cached_property
    def _replays(self) -> ReplaySlots:
        return ReplaySlots(self._gate.max_replays)

    @property
    def _gate(self) -> Gate:
        return self.view.gate

    @property
    def _socket(self) -> WebSocket:
        return cast("WebSocket", self.websocket.ws)  # type: ignore[attr-defined]  # strawberry's ASGI adapter

    @cached_property
    def _places(self) -> Places:
        return self._gate.budgets.of_connection()

    async def handle(self) -> None:
        """Serve the connection until it ends."""
        try:
            await super().handle()
        finally:
            self._gate.open -= self._admitted

    async def _admit(self) -> bool:
        """Count a connection that has shown the token, or refuse it when there are too many of them."""
        gate = self._gate
        if self._admitted:
            return True
        if gate.open >= gate.max_connections:
            gate.refused += 1
            reason = f"all {gate.max_connections} connections are taken; try again in {RETRY_AFTER_S} s"
            await self.websocket.close(TRY_AGAIN_LATER, reason)
            return False
        gate.open += 1
        self._admitted = True
        if (direct := self._direct_writer) is not None:
            direct.admit()
        return True

    async def handle_message(self, message: Message) -> None:
        """Refuse a message that has not the shape of the protocol, before its parts are used."""
        given: object = message
        if isinstance(given, UnreadableMessage):
            await self._refuse_unreadable(given)
        elif not isinstance(given, dict) or not isinstance(given.get("type"), str):
            await self.handle_invalid_message("a message is an object with a `type`")
        elif given["type"] == "subscribe" and not (
            isinstance(given.get("payload"), dict) and isinstance(given.get("id"), str)
        ):
            await self.handle_invalid_message("a subscribe message has an `id` (text) and a `payload` (object)")
        elif given["type"] in {"subscribe", "complete"} and len(str(given.get("id"))) > MAX_ID_CHARS:
            await self.handle_invalid_message(f"an `id` has at most {MAX_ID_CHARS} characters")
        else:
            await super().handle_message(message)

    async def _refuse_unreadable(self, message: UnreadableMessage) -> None:
        """Answer an operation beyond the bounds by an error of its own; the protocol closes for anything else."""
        operation = message.head.get("id", "")
        own = message.head.get("type") == "subscribe" and 0 < len(operation) <= MAX_ID_CHARS
        if own and self.connection_acknowledged and operation not in self.operations:
            refused = RequestError(Code.BAD_REQUEST, f"the message cannot be read: {message.reason}")
            await self.send_message({"id": operation, "type": "error", "payload": cast("Any", [refused.formatted])})
        else:
            await self.handle_invalid_message(f"the message cannot be read: {message.reason}")

    async def handle_invalid_message(self, error_message: str) -> None:
        """Close, as the protocol says, with a reason that fits into a close frame."""
        await super().handle_invalid_message(_close_reason(error_message))

    async def handle_connection_init(self, message: ConnectionInitMessage) -> None:
        """Accept a client that shows the token: in a header of the handshake, or in the payload as `authorization`."""
        payload: object = message.get("payload")
        if payload is None:
            message = {"type": "connection_init"}
        elif isinstance(payload, dict) and self.context.principal is None:
            given = next((value for key, value in payload.items() if key.lower() == "authorization"), None)
            self.context.principal = self.view.authenticate(given if isinstance(given, str) else None)
        if self.context.principal is None:
            reason = 'the token is missing or wrong: send {"authorization": "Bearer TOKEN"} in connection_init'
            await self.websocket.close(FORBIDDEN, reason)
            return
        if await self._admit():
            await super().handle_connection_init(message)

    async def handle_subscribe(self, message: SubscribeMessage) -> None:
        """Start an operation, unless there are too many."""
        limit = self.max_subscriptions_per_connection or len(self.operations) + 1
        if self.connection_acknowledged and message["id"] not in self.operations and len(self.operations) >= limit:
            refused = limit_error("operations", limit, len(self.operations) + 1, "operations at once on a connection")
            payload = cast("Any", [refused.formatted])
            await self.send_message({"id": message["id"], "type": "error", "payload": payload})
            return
        await super().handle_subscribe(message)

    async def send_message(self, message: Message) -> None:
        """Send one message within the deadline."""
        text = self.view.encode_json(message)
        await self._send(text if isinstance(text, bytes) else text.encode())

    @property
    def _direct_writer(self) -> DirectWriter | None:
        found = self._socket.scope.get("extensions", {}).get(EXTENSION)
        return found if isinstance(found, DirectWriter) else None

    async def _send(self, text: bytes) -> None:
        try:
            async with asyncio.timeout(self._gate.send_s):
                await self._socket.send_text(text.decode())
        except TimeoutError:
            reason = f"nothing was read for {self._gate.send_s:g} s; resume after your last cursor"
            await self._drop(TOO_SLOW, reason)
            raise WebSocketDisconnected from None
        except (OSError, RuntimeError) as error:  # closed meanwhile, by either side
            raise WebSocketDisconnected from error
        self._gate.sent += 1

    async def _drop(self, code: int, reason: str) -> None:
        """Close now, also when the client does not read."""
        self._gate.dropped += 1
        log.info("subscriber dropped", code=code, reason=reason)
        short = _close_reason(reason)
        if (direct := self._direct_writer) is not None:
            direct.drop(code, short)
            return
        with suppress(TimeoutError, OSError, RuntimeError):
            async with asyncio.timeout(1):
                await self._socket.close(code, short)

    async def run_operation(self, operation: ShownOperation) -> None:
        """Run one operation: `sightings` the short way, everything else as strawberry does."""
        try:
            document, node = self._check(operation)
            field = sightings_field(node)
            if field is not None:
                await self._follow(operation, document, node, field)
            elif node.operation is OperationType.SUBSCRIPTION:
                await super().run_operation(operation)
            else:
                await self._answer(operation)
        except WebSocketDisconnected:
            return
        except FollowEnded as ended:
            await self._drop(ended.close_code, ended.reason)
        except GraphQLError as error:
            await self._fail(operation, error)
        except Exception as error:  # noqa: BLE001 - the client gets an id, the log the rest
            await self._fail(operation, GraphQLError("", original_error=error))

    async def _answer(self, operation: ShownOperation) -> None:
        """Execute a query, and leave its place before the client reads the result, which may take long."""
        async with self._gate.budgets.query(self.context.required_principal, self._places):
            result = await self.schema.execute(
                operation.query,
                variable_values=operation.variables,
                context_value=self.context,
                operation_name=operation.operation_name,
            )
        if isinstance(result, PreExecutionError):
            await operation.send_initial_errors(result.errors or [])
            return
        await operation.send_next(result)
        await operation.send_operation_message({"id": operation.id, "type": "complete"})

    async def _fail(self, operation: ShownOperation, error: GraphQLError) -> None:
        if operation.completed:
            return
        with suppress(WebSocketDisconnected):
            await operation.send_operation_message(
                {"id": operation.id, "type": "error", "payload": cast("Any", formatted([error]))}
            )

    def _check(self, operation: ShownOperation) -> tuple[DocumentNode, OperationDefinitionNode]:
        """Return the document and its operation; raises GraphQLError for the first mistake in it."""
        limits = self.context.services.limits
        if not isinstance(operation.query, str):
            raise RequestError(Code.BAD_REQUEST, "`query` must be a text")
        if not isinstance(operation.operation_name, str | None):
            raise RequestError(Code.BAD_REQUEST, "`operationName` must be a text")
        check_text(operation.query, limits)
        found = self.view.documents.get(operation.query)
        node = get_operation_ast(found.node, operation.operation_name)
        if node is None:
            raise no_operation(operation.operation_name)
        variables = operation.variables
        if variables is not None and not isinstance(variables, Mapping):
            raise RequestError(Code.BAD_REQUEST, "`variables` must be an object")
        if (refused := check_document(found.node, node, variables or {}, limits)) is not None:
            raise refused
        if found.errors:
            raise mask(found.errors[0], Code.BAD_DOCUMENT)
        return found.node, node

    async def _follow(
        self, operation: ShownOperation, document: DocumentNode, node: OperationDefinitionNode, field: FieldNode
    ) -> None:
        variables = operation.variables or {}
        context = RequestContext(self.context.services, principal=self.context.required_principal)
        key, renderer = self.view.renderers.acquire(document, node, field, variables, context)
        head = b'{"id":' + json.dumps(operation.id).encode() + b',"type":"next","payload":'
        direct = self._direct_writer

        def push(event: SightingEvent) -> bool:
            try:
                payload = renderer.ready(event)
                done = payload is not None and direct is not None and direct.write(head + payload + b"}")
            except Exception:  # noqa: BLE001 - the feed calls this for all; the subscription meets the error again below
                return False
            self._gate.sent += done
            return done

        try:
            async with aclosing(await self._source(operation, document, variables)) as events:
                events.deliver_by(push)
                events.replay_in(self._replays.new(), self._gate.budgets.reads(context.required_principal))
                async for event in events:
                    if not push(event):
                        await self._send(head + await renderer.payload(event) + b"}")
                    del event  # it would stay in memory until the next one
        finally:
            self.view.renderers.release(key)

    async def _source(
        self, operation: ShownOperation, document: DocumentNode, variables: dict[str, Any]
    ) -> SightingStream:
        """Run the schema's own resolver, which checks the arguments, and return its events unexecuted."""
        executor = Executor.build(
            self.view.core_schema,
            document,
            context_value=self.context,
            raw_variable_values=variables,
            operation_name=operation.operation_name,
        )
        if not isinstance(executor, Executor):
            raise executor[0]
        stream = create_source_event_stream(executor)
        if not isinstance(stream, AsyncIterable | ExecutionResult):
            stream = await stream
        if isinstance(stream, ExecutionResult):
            raise (stream.errors or [GraphQLError("the subscription could not be started; subscribe again")])[0]
        return cast("SightingStream", stream)


def sightings_field(operation: OperationDefinitionNode) -> FieldNode | None:
    """Return the root field when the operation subscribes to `sightings` without directives; None otherwise."""
    selections = operation.selection_set.selections
    if operation.operation is not OperationType.SUBSCRIPTION or len(selections) != 1:
        return None
    field = selections[0]
    plain = isinstance(field, FieldNode) and field.name.value == "sightings" and not field.directives
    return field if isinstance(field, FieldNode) and plain else None


def _close_reason(text: str) -> str:
    return text.encode()[:MAX_REASON_BYTES].decode(errors="ignore")
