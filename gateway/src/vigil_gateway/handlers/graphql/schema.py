"""The schema with its guards: limits before anything is executed, errors masked before anything is sent."""

import time
from collections.abc import Callable, Iterator

import strawberry
from graphql import ExecutionResult as CoreResult
from graphql import GraphQLError, OperationDefinitionNode, OperationType, get_operation_ast
from strawberry.extensions import SchemaExtension
from strawberry.types.execution import ExecutionContext, ExecutionResult, StreamExecutionResult

from vigil_gateway.handlers.graphql.context import RequestContext
from vigil_gateway.handlers.graphql.errors import Code, RequestError, mask, no_operation
from vigil_gateway.handlers.graphql.limits import check_document, check_text
from vigil_gateway.handlers.graphql.queries import Query
from vigil_gateway.handlers.graphql.subscriptions import Subscription
from vigil_gateway.handlers.graphql.types import CONFIG


class Guard(SchemaExtension):
    """Refuse documents that cost too much, and mask errors."""

    def on_operation(self) -> Iterator[None]:
        """Check the text before it is parsed, and mask all errors."""
        context = self.execution_context
        if context.query is not None:
            check_text(context.query, self._request.services.limits)
        yield
        result = context.result
        if isinstance(result, CoreResult | ExecutionResult):
            _mask(result)

    def on_validate(self) -> Iterator[None]:
        """Check the parsed document, before validation."""
        context = self.execution_context
        document = context.graphql_document
        name = context._provided_operation_name  # noqa: SLF001 - `operation_name` is that of the first where none was named
        operation = get_operation_ast(document, name) if document is not None else None
        if document is not None and operation is None:
            context.pre_execution_errors = [no_operation(name)]
        if document is not None and isinstance(operation, OperationDefinitionNode):
            refused = check_document(document, operation, context.variables or {}, self._request.services.limits)
            if operation.operation is OperationType.SUBSCRIPTION and not self._request.live:
                refused = RequestError(
                    Code.BAD_ARGUMENT, "subscriptions are served over WebSocket; connect with graphql-transport-ws"
                )
            if refused is not None:
                context.pre_execution_errors = [refused]
        yield
        if context.pre_execution_errors:  # in place: the result has the list already
            context.pre_execution_errors[:] = [mask(error, Code.BAD_DOCUMENT) for error in context.pre_execution_errors]

    def on_stream_result(self, result: StreamExecutionResult) -> Iterator[None]:
        """Mask the errors of one result of a subscription."""
        if isinstance(result, CoreResult | ExecutionResult):
            _mask(result)
        yield

    @property
    def _request(self) -> RequestContext:
        found: RequestContext = self.execution_context.context
        return found


def _mask(result: CoreResult | ExecutionResult) -> None:
    if result.errors:
        result.errors = [mask(error) for error in result.errors]


class Timer(SchemaExtension):
    """Measure the duration of each operation."""

    def __init__(self, observe: Callable[[str, float], None]) -> None:
        self._observe = observe

    def on_operation(self) -> Iterator[None]:
        """Measure queries; the duration of a subscription is the client's choice."""
        start = time.perf_counter()
        yield
        document = self.execution_context.graphql_document
        operation = get_operation_ast(document, self.execution_context.operation_name) if document else None
        if operation is not None and operation.operation.value == "query":
            self._observe("query", time.perf_counter() - start)


class GatewaySchema(strawberry.Schema):
    """Strawberry's schema, whose errors are logged by `mask` alone."""

    def process_errors(self, errors: list[GraphQLError], execution_context: ExecutionContext | None = None) -> None:
        """Leave logging to `mask`, which logs what clients may not see together with the id that they receive."""


def build_schema(observe: Callable[[str, float], None] | None = None) -> GatewaySchema:
    """Return the schema.

    Parameters
    ----------
    observe
        Called with the kind and the seconds of each finished query.
    """
    extensions: list[type[SchemaExtension] | Callable[[], SchemaExtension]] = [Guard]
    if observe is not None:
        extensions.append(lambda: Timer(observe))
    return GatewaySchema(query=Query, subscription=Subscription, config=CONFIG, extensions=extensions)
