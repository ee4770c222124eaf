"""The route /graphql: operations over HTTP, and the WebSocket of `transport`."""

import hmac
from collections import OrderedDict
from dataclasses import dataclass
from typing import Any, Final, cast

from fastapi import HTTPException
from graphql import DocumentNode, GraphQLError, parse, validate
from starlette.requests import Request
from starlette.responses import Response
from strawberry.fastapi import GraphQLRouter
from strawberry.schema.exceptions import CannotGetOperationTypeError, InvalidOperationTypeError
from strawberry.types.graphql import OperationType

from vigil_gateway.handlers.graphql.context import RequestContext
from vigil_gateway.handlers.graphql.errors import RequestError, no_operation
from vigil_gateway.handlers.graphql.live.render import Renderers
from vigil_gateway.handlers.graphql.over_http import Operation, accepted_type, read_operation, response
from vigil_gateway.handlers.graphql.schema import GatewaySchema
from vigil_gateway.handlers.graphql.transport import Authenticate, Gate, TransportHandler, UnreadableMessage
from vigil_gateway.http import json_text
from vigil_gateway.principal import TOKEN_HOLDER, Principal

KNOWN_DOCUMENTS: Final = 256
"""Parsed and validated texts kept: a thousand subscribers that come back send few different ones."""


@dataclass(frozen=True, slots=True)
class Document:
    """A parsed text and the errors of its validation."""

    node: DocumentNode
    errors: list[GraphQLError]


class Documents:
    """Parse and validate each text once."""

    def __init__(self, schema: GatewaySchema) -> None:
        self._schema = schema._schema  # noqa: SLF001 - strawberry has no other way to graphql-core's schema
        self._known: OrderedDict[str, Document] = OrderedDict()

    def get(self, text: str) -> Document:
        """Return the document of a text; raises GraphQLSyntaxError."""
        found = self._known.get(text)
        if found is None:
            node = parse(text)
            found = self._known[text] = Document(node, list(validate(self._schema, node)))
            if len(self._known) > KNOWN_DOCUMENTS:
                self._known.popitem(last=False)
        else:
            self._known.move_to_end(text)
        return found


class Router(GraphQLRouter[RequestContext, None]):
    """Strawberry's router with this API's transports.

    Attributes
    ----------
    authenticate
        Returns the principal of an Authorization header's value; None when it has none.
    """

    graphql_transport_ws_handler_class = TransportHandler

    def __init__(
        self,
        schema: GatewaySchema,
        gate: Gate,
        authenticate: Authenticate,
        **options: Any,  # noqa: ANN401
    ) -> None:
        super().__init__(schema, **options)
        self.gate = gate
        self.authenticate = authenticate
        self.documents = Documents(schema)
        self.core_schema = schema._schema  # noqa: SLF001 - see Documents
        self.renderers = Renderers(self.core_schema)

    async def run(self, request: Any, *args: Any, **options: Any) -> Any:  # noqa: ANN401 - strawberry's overloads
        """Serve a WebSocket as strawberry does, and a request as GraphQL over HTTP says, which strawberry does not."""
        if self.is_websocket_request(request):
            return await super().run(request, *args, **options)
        return await self._respond(request, cast("RequestContext", options["context"]))

    async def _respond(self, request: Request, context: RequestContext) -> Response:
        media = accepted_type(request.headers.get("accept", ""))
        operation = await read_operation(request)
        try:
            async with self.gate.budgets.query(context.required_principal):
                result = await self._execute(operation, context, request.method)
        except RequestError as error:
            return response(None, [error], media)
        return response(result.data, result.errors or [], media)

    async def _execute(self, operation: Operation, context: RequestContext, method: str) -> Any:  # noqa: ANN401
        allowed = {OperationType.QUERY, OperationType.SUBSCRIPTION}
        if method == "POST":
            allowed.add(OperationType.MUTATION)
        try:
            return await self.schema.execute(
                operation.query,
                variable_values=operation.variables,
                context_value=context,
                operation_name=operation.name,
                allowed_operation_types=allowed,
            )
        except CannotGetOperationTypeError:
            raise no_operation(operation.name) from None
        except InvalidOperationTypeError:
            message = "a mutation changes something, and is not executed from an address; send it by POST"
            raise HTTPException(405, message, {"Allow": "POST"}) from None

    def decode_json(self, data: str | bytes) -> object:
        """Return the value of a WebSocket's message, or an UnreadableMessage."""
        text = data if isinstance(data, str) else data.decode()
        try:
            return json_text.decode(text)
        except json_text.JsonError as error:
            return UnreadableMessage(str(error), json_text.head(text) if error.is_json else {})

    def is_websocket_origin_allowed(self, request: object, origin: str) -> bool:  # noqa: ARG002 - strawberry's signature
        """Let pages of every origin connect: the token authorises, and no cookie does, which such a page could use."""
        return True


def bearer(token: str) -> Authenticate:
    """Return the check of an Authorization value, in constant time."""
    wanted = token.encode()

    def authenticate(value: str | None) -> Principal | None:
        scheme, _, given = (value or "").partition(" ")
        right = scheme.lower() == "bearer" and hmac.compare_digest(given.strip().encode(), wanted)
        return TOKEN_HOLDER if right else None

    return authenticate
