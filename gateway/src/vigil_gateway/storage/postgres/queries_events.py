"""The resume log, as the API reads it."""

from vigil_gateway.storage.postgres.queries_reader import Reader


class EventLog:
    """Events by their place."""

    def __init__(self, reader: Reader) -> None:
        self._reader = reader

    async def newest_seq(self) -> int:
        """Give the newest `seq` that was committed; 0 before the first."""
        return int(await self._reader.value("SELECT last FROM event_counter") or 0)

    async def oldest_seq(self) -> int | None:
        """Give the oldest `seq` that is kept; None when none is."""
        found = await self._reader.value("SELECT min(seq) FROM events")
        return None if found is None else int(found)

    async def events_after(self, seq: int, limit: int) -> list[tuple[int, str]]:
        """Give `(seq, payload JSON)` of up to `limit` events behind `seq`, in order."""
        rows = await self._reader.fetch(
            "SELECT seq, payload::text FROM events WHERE seq > $1 ORDER BY seq LIMIT $2", seq, limit
        )
        return [(row[0], row[1]) for row in rows]
