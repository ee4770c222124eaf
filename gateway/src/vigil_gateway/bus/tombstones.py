"""What the bus keeps of every erased Subject: a restored backup of Postgres holds the person again, and no receipt."""

import asyncio
from typing import Final

from nats.js.errors import NotFoundError
from pydantic import ValidationError

from vigil_contracts.bus import erasure_stream, erasure_subject
from vigil_contracts.registry import Tombstone
from vigil_runtime.bus import BusConnection

READ_AT_ONCE: Final = 64


class Tombstones:
    """The tombstones of a site; every method raises BUS_ERRORS while the bus is away."""

    def __init__(self, bus: BusConnection) -> None:
        self._bus = bus

    async def put(self, tombstone: Tombstone) -> None:
        """Keep a tombstone; one of the same Subject is replaced."""
        await self._bus.jetstream.publish(
            erasure_subject(self._bus.address.site, tombstone.subject_id),
            tombstone.model_dump_json(by_alias=True).encode(),
        )

    async def read(self) -> list[Tombstone]:
        """Return all tombstones, oldest first."""
        stream = erasure_stream(self._bus.address.site).name
        try:
            state = (await self._bus.jetstream.stream_info(stream)).state
        except NotFoundError:
            return []  # nobody was erased since the bus was made
        found: list[Tombstone] = []
        for start in range(state.first_seq or 1, state.last_seq + 1, READ_AT_ONCE):
            seqs = range(start, min(start + READ_AT_ONCE, state.last_seq + 1))
            read = await asyncio.gather(*(self._read(stream, seq) for seq in seqs))
            found += [tombstone for tombstone in read if tombstone is not None]
        return found

    async def _read(self, stream: str, seq: int) -> Tombstone | None:
        try:
            message = await self._bus.jetstream.get_msg(stream, seq)
            return Tombstone.model_validate_json(message.data or b"")
        except (NotFoundError, ValidationError):
            return None  # replaced, expired, or not one of ours
