"""Seams of a recording that was glued from pieces.

At a seam the counters of a transport stream begin anew, which FFmpeg reports as a loss of packets, some packets before
the first one of the next piece comes out. That one shows the seam: it is a keyframe, and the clock steps back.
"""

from collections import deque
from collections.abc import Iterable, Iterator
from typing import Any, Final

_HELD: Final = 2
"""Packets that may come out between the report of a loss and the packet after it."""

Read = tuple[Any, bool]
"""A packet, and whether packets of the transport were missing when it was read."""


def without_seams(reads: Iterable[Read]) -> Iterator[Read]:
    """Yield the packets of a file, each some packets late; what is reported at a seam is no loss."""
    held: deque[Read] = deque()
    last: int | None = None
    for packet, lost in reads:
        held.append((packet, lost))
        if packet.dts is not None:
            if last is not None and packet.dts < last and packet.is_keyframe:
                held = deque((_sound(one), False) for one, _ in held)
            last = packet.dts
        if len(held) > _HELD:
            yield held.popleft()
    yield from held


def _sound(packet: Any) -> Any:  # noqa: ANN401 - PyAV's packets are generic over streams
    packet.is_corrupt = False
    return packet
