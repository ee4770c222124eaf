"""Stream processes as the operator sees them: what a kubelet and the bus report."""

import asyncio
import time

import nats
from tests.support.operators import NamespaceClient
from tests.support.servers import NatsServer
from tests.unit.operator.builders import beat

from vigil_contracts.bus import MessageKind, bus_subject, camera_stream
from vigil_contracts.conditions import SourceReason
from vigil_contracts.events import CameraHeartbeat, CameraRef, CameraState, encode_heartbeat
from vigil_contracts.ids import ResourceKey


class Stream:
    """A stream process as far as the bus shows."""

    def __init__(self, server: NatsServer, ns: NamespaceClient, name: str) -> None:
        self.server, self.key = server, ResourceKey(ns.namespace, name)
        self.ref = CameraRef(namespace=ns.namespace, name=name)

    def says(self, state: CameraState, reason: SourceReason, **more: object) -> None:
        """Publish one heartbeat that JetStream keeps."""
        heartbeat = beat(state, reason, camera=self.ref, **more)
        asyncio.run(self._send(heartbeat))

    async def _send(self, heartbeat: CameraHeartbeat) -> None:
        client = await nats.connect(self.server.url, token=self.server.token)
        try:
            stream = camera_stream("default")
            jetstream = client.jetstream()
            await jetstream.add_stream(name=stream.name, subjects=list(stream.subjects), max_msgs_per_subject=1)
            body = encode_heartbeat(heartbeat, heartbeat.since)
            await jetstream.publish(bus_subject("default", MessageKind.CAMERA, self.key), body)
        finally:
            await client.close()


def running_container() -> dict[str, object]:
    """Return the status of a stream container that has just started, as a kubelet reports it."""
    return {
        "name": "stream",
        "image": "vigil/stream:test",
        "imageID": "",
        "ready": True,
        "restartCount": 0,
        "state": {"running": {"startedAt": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())}},
    }
