"""The schema's subscriptions.

WebSockets take a shorter way to `sightings` (see `transport`), where an event is executed once for all that select
the same. The resolver here has the same result for any other way of running the schema.
"""

from collections.abc import AsyncGenerator
from typing import Annotated

import strawberry

from vigil_contracts.ids import ResourceKey
from vigil_gateway.handlers.graphql.context import principal, services
from vigil_gateway.handlers.graphql.event_types import CameraEvent, SightingEvent, camera_event
from vigil_gateway.handlers.graphql.filters import CameraKey, SightingFilter, check_filter
from vigil_gateway.handlers.graphql.live.hub import SightingStream
from vigil_gateway.principal import Permission


async def _sightings(
    info: strawberry.Info,
    after: Annotated[str | None, strawberry.argument(description="The cursor of the last event received.")] = None,
    filter: SightingFilter | None = None,  # noqa: A002 - the schema's word
) -> AsyncGenerator[SightingEvent, None]:
    """Follow the site's order of events."""
    principal(info).require(Permission.READ_SIGHTINGS)
    hub = services(info).hub
    wants = check_filter(filter)
    return SightingStream(hub, await hub.position(after), wants)


async def _cameras(
    info: strawberry.Info,
    cameras: Annotated[
        list[CameraKey] | None, strawberry.argument(description="Only these; all when left out.")
    ] = None,
    heartbeats: Annotated[
        bool, strawberry.argument(description="Each heartbeat (every 2 s), not only changes of state.")
    ] = False,
) -> AsyncGenerator[CameraEvent, None]:
    """Follow the states of cameras."""
    keys = check_filter(SightingFilter(cameras=cameras)).cameras

    def wants(key: ResourceKey) -> bool:
        return keys is None or key in keys

    async for state in services(info).cameras.watch(wants, every=heartbeats):
        yield camera_event(state)


@strawberry.type
class Subscription:
    """All subscriptions."""

    sightings: AsyncGenerator[SightingEvent, None] = strawberry.subscription(
        resolver=_sightings,
        description="Every revision of every sighting, in the site's order, each once. Without `after` from now on; "
        "with it everything behind that event, first what has happened and then what happens.",
    )
    cameras: AsyncGenerator[CameraEvent, None] = strawberry.subscription(
        resolver=_cameras,
        description="The state of every camera, then each change of it. A slow reader receives the newest state of "
        "each camera and misses those between.",
    )
