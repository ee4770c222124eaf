"""The event log, as the API reads it."""

import uuid
from dataclasses import dataclass
from typing import Final

from vigil_gateway.principal import Permission, Principal
from vigil_gateway.storage.postgres.pool import Connection
from vigil_gateway.storage.postgres.reader import Reader
from vigil_gateway.storage.postgres.rows import EVENTS, EventRow

NAME_CHARS: Final = 12
"""Of an installation's id in cursors: 48 bits tell a few databases apart."""

STALE_S: Final = 5.0
"""Readers drop what they hold in memory when they have not compared `LogHead.rewrites` for so long."""

_NEWEST: Final = "SELECT last FROM event_counter"
_HEAD: Final = """
    SELECT (SELECT last FROM event_counter) AS newest, (SELECT last FROM event_rewrites) AS rewrites
"""
_REWRITE: Final = "UPDATE event_rewrites SET last = last + 1"
_ORIGIN: Final = "SELECT id, unnamed_until FROM installation"
_AT: Final = "SELECT sighting_id, revision FROM events WHERE seq = $1"
_OLDEST: Final = "SELECT min(seq) FROM events"
_AFTER: Final = f"SELECT {EVENTS.select} FROM events WHERE seq > $1 ORDER BY seq LIMIT $2"


@dataclass(frozen=True, slots=True)
class LogHead:
    """The state of the event log.

    Attributes
    ----------
    newest
        `seq` of the newest event that was committed; 0 before the first.
    rewrites
        Grows whenever events that exist are changed or deleted, by an erasure or by retention.
    """

    newest: int
    rewrites: int


async def count_rewrite(connection: Connection) -> None:
    """Count a change of existing events, in its transaction, so that readers drop what they hold in memory."""
    await connection.execute(_REWRITE)


@dataclass(frozen=True, slots=True)
class Origin:
    """Which history a database has.

    Attributes
    ----------
    installation
        Its name in cursors: 12 digits of 0-9a-f.
    unnamed_until
        Up to this `seq` cursors without a name may be of it.
    """

    installation: str
    unnamed_until: int = 0


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

    async def origin(self) -> Origin:
        """Return which history the events are of."""
        ((installation, unnamed_until),) = await self._reader.fetch(_ORIGIN)
        return Origin(installation.hex[:NAME_CHARS], unnamed_until)

    async def event_at(self, seq: int) -> tuple[uuid.UUID | None, int] | None:
        """Return the sighting's id and the revision of one event; None when it is not kept."""
        self._principal.require(Permission.READ_SIGHTINGS)
        rows = await self._reader.fetch(_AT, seq)
        return (rows[0][0], rows[0][1]) if rows else None

    async def newest_seq(self) -> int:
        """Return the newest `seq` that was committed; 0 before the first."""
        return int(await self._reader.value(_NEWEST) or 0)

    async def head(self) -> LogHead:
        """Return the newest `seq` and the number of rewrites, of one moment."""
        row = (await self._reader.fetch(_HEAD))[0]
        return LogHead(row["newest"], row["rewrites"])

    async def oldest_seq(self) -> int | None:
        """Return the oldest `seq` that is kept; None when none is."""
        found = await self._reader.value(_OLDEST)
        return None if found is None else int(found)

    async def events_after(self, seq: int, limit: int) -> list[EventRow]:
        """Return up to `limit` events after `seq`, in order."""
        self._principal.require(Permission.READ_SIGHTINGS)
        return EVENTS.read_all(await self._reader.fetch(_AFTER, seq, limit))
