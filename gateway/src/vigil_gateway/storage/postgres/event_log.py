"""The event log, as the API reads it."""

from typing import Final

from vigil_gateway.principal import Permission, Principal
from vigil_gateway.storage.postgres.reader import Reader
from vigil_gateway.storage.postgres.rows import EVENTS, EventRow

_NEWEST: Final = "SELECT last FROM event_counter"
_OLDEST: Final = "SELECT min(seq) FROM events"
_AFTER: Final = f"SELECT {EVENTS.select} FROM events WHERE seq > $1 ORDER BY seq LIMIT $2"


class EventLog:
    """Events in the site's order.

    Parameters
    ----------
    principal
        As which the events are read; what is shown of them to a subscriber depends on the subscriber's principal.
    """

    def __init__(self, reader: Reader, principal: Principal) -> None:
        self._reader = reader
        self._principal = principal

    async def newest_seq(self) -> int:
        """Return the newest `seq` that was committed; 0 before the first."""
        return int(await self._reader.value(_NEWEST) or 0)

    async def oldest_seq(self) -> int | None:
        """Return the oldest `seq` that is kept; None when none is."""
        found = await self._reader.value(_OLDEST)
        return None if found is None else int(found)

    async def events_after(self, seq: int, limit: int) -> list[EventRow]:
        """Return up to `limit` events after `seq`, in order."""
        self._principal.require(Permission.READ_SIGHTINGS)
        return EVENTS.read_all(await self._reader.fetch(_AFTER, seq, limit))
