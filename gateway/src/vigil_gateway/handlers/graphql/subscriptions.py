"""The schema's subscriptions.

WebSockets take a shorter way to `sightings` (see `transport`), where an event is executed once for all who selected the
same. The resolver here is the same thing for any other way of running the schema.
"""

from collections.abc import AsyncGenerator
from typing import Annotated

import strawberry

from vigil_contracts.ids import ResourceKey
from vigil_gateway.handlers.graphql import types
from vigil_gateway.handlers.graphql.context import services
from vigil_gateway.handlers.graphql.convert import conditions, heartbeat
from vigil_gateway.handlers.graphql.filters import CameraKey, SightingFilter, check_filter
from vigil_gateway.handlers.graphql.live.hub import SightingStream
from vigil_gateway.handlers.graphql.queries import now


async def _sightings(
    info: strawberry.Info,
    after: Annotated[str | None, strawberry.argument(description="The cursor of the last event heard.")] = None,
    filter: SightingFilter | None = None,  # noqa: A002 - the schema's word
) -> AsyncGenerator[types.SightingEvent, None]:
    """Follow the site's order of events."""
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
) -> AsyncGenerator[types.CameraEvent, None]:
    """Watch cameras."""
    keys = check_filter(SightingFilter(cameras=cameras)).cameras

    def wants(key: ResourceKey) -> bool:
        return keys is None or key in keys

    async for state in services(info).cameras.watch(wants, every=heartbeats):
        beat = state.heartbeat
        yield types.CameraEvent(
            camera=types.CameraRef(namespace=beat.camera.namespace, name=beat.camera.name),
            heartbeat=heartbeat(beat, state.sent_at, now()),
            conditions=conditions(beat),
        )


@strawberry.type
class Subscription:
    """Everything that can be listened to."""

    sightings: AsyncGenerator[types.SightingEvent, None] = strawberry.subscription(
        resolver=_sightings,
        description="Every revision of every sighting, in the site's order, each once. Without `after` from now on; "
        "with it everything behind that event, first what has happened and then what happens.",
    )
    cameras: AsyncGenerator[types.CameraEvent, None] = strawberry.subscription(
        resolver=_cameras,
        description="The state of every camera, then each change of it. What a slow reader has not read is replaced by "
        "what came after.",
    )
