"""Cursors: opaque to clients, checked to the last character when they come back.

Each kind of list has its own prefix, so that a cursor of one list is never taken for a position in another. A
sighting's cursor holds its id alone: the moment it opened is inside the id, so the two can never disagree.
"""

import base64
import binascii
import re
import uuid
from typing import Final

from vigil_contracts.ids import DNS_LABEL, ResourceKey, sighting_time
from vigil_gateway.handlers.graphql.errors import Code, RequestError

MAX_SEQ: Final = 2**63 - 1
"""Largest `bigint` of Postgres."""

MAX_CURSOR_CHARS: Final = 256
"""Two DNS labels and a prefix in base64 have fewer."""

_KINDS: Final = {
    "v1": "an event of the subscription `sightings`",
    "s1": "an entry of the query `sightings`",
    "c1": "an entry of the query `cameras`",
    "p1": "an entry of the query `subjects`",
}
_SEQ = re.compile(r"[1-9][0-9]{0,18}|0")


def encode_event(seq: int) -> str:
    """Return the cursor of the position just after the event `seq` of the site's order; 0: before the first."""
    return _encode(f"v1:{seq}")


def decode_event(cursor: str) -> int:
    """Return the `seq` in an event's cursor; raises RequestError when it is none."""
    text = _decode(cursor, "v1")
    if not _SEQ.fullmatch(text) or int(text) > MAX_SEQ:
        raise _bad(cursor, "its number is not a position in the order of events")
    return int(text)


def encode_sighting(sighting_id: uuid.UUID) -> str:
    """Return the cursor of a sighting in the list of sightings."""
    return _encode(f"s1:{sighting_id}")


def decode_sighting(cursor: str) -> uuid.UUID:
    """Return the id in a sighting's cursor; raises RequestError when it is none."""
    text = _decode(cursor, "s1")
    try:
        found = uuid.UUID(text)
        sighting_time(found)
    except (ValueError, OverflowError):
        raise _bad(cursor, "it holds no sighting's id") from None
    if str(found) != text:
        raise _bad(cursor, "it holds no sighting's id")
    return found


def encode_camera(key: ResourceKey) -> str:
    """Return the cursor of a camera in the list of cameras."""
    return _encode(f"c1:{key}")


def decode_camera(cursor: str) -> ResourceKey:
    """Return the key in a camera's cursor; raises RequestError when it is none."""
    return _key(cursor, _decode(cursor, "c1"))


def encode_subject(key: ResourceKey) -> str:
    """Return the cursor of a Subject in the list of Subjects."""
    return _encode(f"p1:{key}")


def decode_subject(cursor: str) -> ResourceKey:
    """Return the key in a Subject's cursor; raises RequestError when it is none."""
    return _key(cursor, _decode(cursor, "p1"))


def _key(cursor: str, text: str) -> ResourceKey:
    namespace, _, name = text.partition("/")
    if not DNS_LABEL.fullmatch(namespace) or not DNS_LABEL.fullmatch(name):
        raise _bad(cursor, "it holds no namespace and name")
    return ResourceKey(namespace, name)


def _encode(text: str) -> str:
    return base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")


def _decode(cursor: str, wanted: str) -> str:
    if len(cursor) > MAX_CURSOR_CHARS:
        raise _bad(cursor, f"it has {len(cursor)} characters, and no cursor has more than {MAX_CURSOR_CHARS}")
    try:
        text = base64.b64decode(cursor + "=" * (-len(cursor) % 4), altchars=b"-_", validate=True).decode("ascii")
    except (binascii.Error, ValueError):
        raise _bad(cursor, "it was not made by this API") from None
    kind, colon, rest = text.partition(":")
    if not colon or kind not in _KINDS or _encode(text) != cursor:
        raise _bad(cursor, "it was not made by this API")
    if kind != wanted:
        raise _bad(cursor, f"it is the cursor of {_KINDS[kind]}; here one of {_KINDS[wanted]} is needed")
    return rest


def _bad(cursor: str, why: str) -> RequestError:
    shown = cursor if len(cursor) <= 40 else f"{cursor[:40]}…"
    return RequestError(
        Code.BAD_CURSOR, f"the cursor {shown!r} cannot be used: {why}; pass a cursor as you received it"
    )
