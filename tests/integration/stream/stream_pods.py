"""The part of a stream pod between the analysis and the bus."""

import asyncio
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from tests.unit.stream.observing import Recorder

from vigil_contracts.ids import ResourceKey
from vigil_runtime.bus_address import BusAddress
from vigil_stream.publish.bus import Publisher
from vigil_stream.publish.event import OutgoingEvent
from vigil_stream.publish.journal import Journal, Limits


@dataclass
class StreamPod:
    """A journal and its publisher, started and ended at will on the same folder."""

    folder: Path
    key: ResourceKey
    address: BusAddress
    limits: Limits = field(default_factory=Limits)
    observer: Recorder = field(default_factory=Recorder)
    created: int = 0

    def start(self) -> None:
        self.journal, self.new_events = Journal(self.folder, self.limits), asyncio.Event()
        self.publisher = Publisher(self.journal, self.address, self.key, self.observer, self.new_events)
        self.running = asyncio.create_task(self.publisher.run())

    def write(self, events: Iterable[tuple[OutgoingEvent, bytes]]) -> None:
        for one in events:
            self.journal.record([one])
            self.created += 1
        self.new_events.set()

    def reports(self, error: str) -> bool:
        return any(error in reported for reported in self.observer.errors["bus"])

    @property
    def dropped(self) -> int:
        return self.journal.counters().get("events_dropped", 0)

    async def stop(self) -> None:
        """Drop everything under way, as the end of a pod does."""
        self.running.cancel()
        await asyncio.wait({self.running})
        await self.publisher.close(5)
        self.journal.close()
