"""What resolvers find in their context."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import cast

import strawberry
from strawberry.fastapi import BaseContext

from vigil_gateway.handlers.graphql.limits import QueryLimits
from vigil_gateway.handlers.graphql.live.cameras import CameraStates
from vigil_gateway.handlers.graphql.live.hub import Hub
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
    authorized
        The bearer token was right: in a header, or for a WebSocket in `connection_init`.
    live
        Subscriptions can be served: it is a WebSocket.
    """

    def __init__(self, services: Services, *, authorized: bool = False, live: bool = True) -> None:
        super().__init__()
        self.live = live
        self.services = services
        self.authorized = authorized


def services(info: strawberry.Info) -> Services:
    """Give the services behind a resolver."""
    return cast("RequestContext", info.context).services
