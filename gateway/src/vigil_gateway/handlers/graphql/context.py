"""The context of the resolvers."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import cast

import strawberry
from strawberry.fastapi import BaseContext

from vigil_gateway.handlers.graphql.errors import Code, RequestError
from vigil_gateway.handlers.graphql.limits import QueryLimits
from vigil_gateway.handlers.graphql.live.cameras import CameraStates
from vigil_gateway.handlers.graphql.live.hub import Hub
from vigil_gateway.handlers.graphql.loaders import Loaders
from vigil_gateway.principal import Principal
from vigil_gateway.storage.postgres.resource_reader import CameraReader, SubjectReader
from vigil_gateway.storage.postgres.sighting_reader import SightingReader


@dataclass(frozen=True, slots=True)
class Services:
    """All that the schema's resolvers use; one per process."""

    site: str
    version: str
    sightings: SightingReader
    registered_cameras: CameraReader
    subjects: SubjectReader
    hub: Hub
    cameras: CameraStates
    limits: QueryLimits
    database_up: Callable[[], bool]
    bus_up: Callable[[], bool]
    connections: Callable[[], int]


class RequestContext(BaseContext):
    """One request or one WebSocket.

    Attributes
    ----------
    principal
        None until the token arrives: in a header, or for a WebSocket in `connection_init`.
    live
        Whether subscriptions can be served: it is a WebSocket.
    """

    def __init__(self, services: Services, *, principal: Principal | None = None, live: bool = True) -> None:
        super().__init__()
        self.live = live
        self.services = services
        self.principal = principal

    @property
    def required_principal(self) -> Principal:
        """The principal; raises RequestError when no token has arrived."""
        if self.principal is None:
            raise RequestError(
                Code.UNAUTHENTICATED, "the token is missing or wrong: send the header `Authorization: Bearer TOKEN`"
            )
        return self.principal

    @cached_property
    def loaders(self) -> Loaders:
        """The loaders of this principal."""
        return Loaders(self.services, self.required_principal)


def services(info: strawberry.Info) -> Services:
    """Return the services behind a resolver."""
    return cast("RequestContext", info.context).services


def principal(info: strawberry.Info) -> Principal:
    """Return the principal of the request behind a resolver."""
    return cast("RequestContext", info.context).required_principal
