"""An event on its way out: what the journal and the publisher need of it, whatever its type."""

import datetime as dt
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from vigil_contracts.bus import MessageKind
from vigil_contracts.events import Sighting


@dataclass(frozen=True, slots=True)
class OutgoingEvent:
    """An event of an analysis.

    Attributes
    ----------
    kind
        Selects the subject on the bus.
    event_id
        By which JetStream recognises duplicates; unique in the journal.
    encode
        Returns the CloudEvent as of the moment at which it is written.
    expendable
        Dropped before others when the journal is full, because a later event holds all its data.
    final
        Kept and written again while the disk refuses it, because no later event holds its data.
    counts
        What it adds to the counters of the camera, by their names in `CameraCounters`.
    sighting
        The revision that it holds: the journal keeps the last of each open sighting. None for other events.
    """

    kind: MessageKind
    event_id: str
    encode: Callable[[dt.datetime], bytes]
    expendable: bool = False
    final: bool = True
    counts: Mapping[str, int] = field(default_factory=dict)
    sighting: Sighting | None = None
