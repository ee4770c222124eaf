"""Cursors: opaque to clients, checked to the last character when they come back.

Each kind of list has its own prefix, so that a cursor of one list is never taken for a position in another. A
sighting's cursor (`s1`) holds its id alone, which has the moment it opened inside; where that moment is not believed,
because the camera's clock was wrong, it also holds the one that counts (`s2`).

An event's cursor names the history that it is of, because its number alone would be taken for a place in any other: by
the database's installation, and by a mark of the event, which differs where an older backup was restored and other
events took the numbers of those that were lost. Cursors of before (`v1`) have the number alone.
"""

import base64
import binascii
import datetime as dt
import hashlib
import re
import uuid
from dataclasses import dataclass
from typing import Final

from vigil_contracts.ids import DNS_LABEL, ResourceKey
from vigil_gateway.handlers.graphql.errors import Code, RequestError
from vigil_gateway.storage.postgres.sighting_reader import SightingPosition

MAX_SEQ: Final = 2**63 - 1
"""Largest `bigint` of Postgres."""

MAX_CURSOR_CHARS: Final = 256
"""Two DNS labels and a prefix in base64 have fewer."""

_EVENT: Final = "an event of the subscription `sightings`"
_SIGHTING: Final = "an entry of the query `sightings`"
_KINDS: Final = {
    "v1": _EVENT,
    "v2": _EVENT,
    "s1": _SIGHTING,
    "s2": _SIGHTING,
    "c1": "an entry of the query `cameras`",
    "p1": "an entry of the query `subjects`",
}
_SEQ = re.compile(r"[1-9][0-9]{0,18}|0")
_NAMED = re.compile(r"([0-9a-f]{12}):([0-9]+):([0-9a-f]{8}|)")
_MICROSECONDS = re.compile(r"[1-9][0-9]{0,17}|0")
_EPOCH: Final = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)
_MICROSECOND: Final = dt.timedelta(microseconds=1)


@dataclass(frozen=True, slots=True)
class EventCursor:
    """The position just behind an event in the order of one history; 0: before the first event.

    Attributes
    ----------
    installation
        The history, by the name of its database's installation; None in a cursor of before, which names none.
    mark
        Of the event, by `mark_event`; empty where it was not known.
    """

    seq: int
    installation: str | None = None
    mark: str = ""


def mark_event(sighting_id: uuid.UUID, revision: int) -> str:
    """Return the mark by which an event is told from another one with its number."""
    return hashlib.sha256(f"{sighting_id}:{revision}".encode()).hexdigest()[:8]


def encode_event(cursor: EventCursor) -> str:
    """Return an event's cursor as clients see it."""
    if cursor.installation is None:
        return _encode(f"v1:{cursor.seq}")
    return _encode(f"v2:{cursor.installation}:{cursor.seq}:{cursor.mark}")


def decode_event(cursor: str) -> EventCursor:
    """Return an event's cursor as `encode_event` got it; raises RequestError when it is none."""
    kind, text = _decode(cursor, "v2", "v1")
    installation, mark = None, ""
    if kind == "v2":
        found = _NAMED.fullmatch(text)
        if found is None:
            raise _bad(cursor, "it names no history")
        installation, text, mark = found.groups()
    if not _SEQ.fullmatch(text) or int(text) > MAX_SEQ:
        raise _bad(cursor, "its number is not a position in the order of events")
    return EventCursor(int(text), installation, mark)


def encode_sighting(position: SightingPosition) -> str:
    """Return the cursor of a sighting in the list of sightings."""
    if position == SightingPosition.claimed(position.id):
        return _encode(f"s1:{position.id}")
    return _encode(f"s2:{position.id}:{(position.opened_at - _EPOCH) // _MICROSECOND}")


def decode_sighting(cursor: str) -> SightingPosition:
    """Return the position in a sighting's cursor; raises RequestError when it is none."""
    kind, text = _decode(cursor, "s1", "s2")
    text, _, moment = text.partition(":") if kind == "s2" else (text, "", "")
    try:
        claimed = SightingPosition.claimed(uuid.UUID(text))
    except (ValueError, OverflowError):
        raise _bad(cursor, "it holds no sighting's id") from None
    if str(claimed.id) != text:
        raise _bad(cursor, "it holds no sighting's id")
    if kind == "s1":
        return claimed
    try:
        if not _MICROSECONDS.fullmatch(moment):
            raise _bad(cursor, "it holds no moment")
        return claimed._replace(opened_at=_EPOCH + int(moment) * _MICROSECOND)
    except OverflowError:
        raise _bad(cursor, "it holds no moment") from None


def encode_camera(key: ResourceKey) -> str:
    """Return the cursor of a camera in the list of cameras."""
    return _encode(f"c1:{key}")


def decode_camera(cursor: str) -> ResourceKey:
    """Return the key in a camera's cursor; raises RequestError when it is none."""
    return _key(cursor, _decode(cursor, "c1")[1])


def encode_subject(key: ResourceKey) -> str:
    """Return the cursor of a Subject in the list of Subjects."""
    return _encode(f"p1:{key}")


def decode_subject(cursor: str) -> ResourceKey:
    """Return the key in a Subject's cursor; raises RequestError when it is none."""
    return _key(cursor, _decode(cursor, "p1")[1])


def _key(cursor: str, text: str) -> ResourceKey:
    namespace, _, name = text.partition("/")
    if not DNS_LABEL.fullmatch(namespace) or not DNS_LABEL.fullmatch(name):
        raise _bad(cursor, "it holds no namespace and name")
    return ResourceKey(namespace, name)


def _encode(text: str) -> str:
    return base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")


def _decode(cursor: str, *wanted: str) -> tuple[str, str]:
    """Return the kind and the text of a cursor of a wanted kind."""
    if len(cursor) > MAX_CURSOR_CHARS:
        raise _bad(cursor, f"it has {len(cursor)} characters, and no cursor has more than {MAX_CURSOR_CHARS}")
    try:
        text = base64.b64decode(cursor + "=" * (-len(cursor) % 4), altchars=b"-_", validate=True).decode("ascii")
    except (binascii.Error, ValueError):
        raise _bad(cursor, "it was not made by this API") from None
    kind, colon, rest = text.partition(":")
    if not colon or kind not in _KINDS or _encode(text) != cursor:
        raise _bad(cursor, "it was not made by this API")
    if kind not in wanted:
        raise _bad(cursor, f"it is the cursor of {_KINDS[kind]}; here one of {_KINDS[wanted[0]]} is needed")
    return kind, rest


def _bad(cursor: str, why: str) -> RequestError:
    shown = cursor if len(cursor) <= 40 else f"{cursor[:40]}…"
    return RequestError(
        Code.BAD_CURSOR, f"the cursor {shown!r} cannot be used: {why}; pass a cursor as you received it"
    )
