"""Global ids: opaque to clients, checked to the last character when they come back."""

import uuid

import strawberry
from strawberry.relay import GlobalID
from strawberry.relay.types import GlobalIDValueError

from vigil_contracts.ids import DNS_LABEL, ResourceKey, sighting_time
from vigil_gateway.handlers.graphql.errors import Code, RequestError

MAX_ID_CHARS = 256
"""A type's name and two DNS labels in base64 have fewer."""


def encode_id(kind: str, key: object) -> strawberry.ID:
    """Return the global id of an object of a type."""
    return strawberry.ID(str(GlobalID(kind, str(key))))


def decode_id(text: str) -> GlobalID:
    """Return the type and the key in a global id; raises RequestError when it is none."""
    if len(text) > MAX_ID_CHARS:
        raise bad_id(text, f"it has {len(text)} characters, and no id has more than {MAX_ID_CHARS}")
    try:
        found = GlobalID.from_id(text)
    except GlobalIDValueError:
        raise bad_id(text, "it was not made by this API") from None
    if str(found) != text:
        raise bad_id(text, "it was not made by this API")
    return found


def resource_key(key: str) -> ResourceKey:
    """Return the namespace and name in an id's key; raises RequestError when there are none."""
    namespace, _, name = key.partition("/")
    if not DNS_LABEL.fullmatch(namespace) or not DNS_LABEL.fullmatch(name):
        raise bad_id(key, "it holds no namespace and name")
    return ResourceKey(namespace, name)


def subject_id(key: str) -> uuid.UUID:
    """Return the UUID in an id's key; raises RequestError when there is none."""
    try:
        found = uuid.UUID(key)
    except ValueError:
        raise bad_id(key, "it holds no UUID") from None
    if str(found) != key:
        raise bad_id(key, "it holds no UUID")
    return found


def sighting_id(key: str) -> uuid.UUID:
    """Return a sighting's UUID in an id's key; raises RequestError when there is none."""
    found = subject_id(key)
    try:
        sighting_time(found)
    except (ValueError, OverflowError):
        raise bad_id(key, "it holds no sighting's UUID") from None
    return found


def bad_id(text: str, why: str) -> RequestError:
    """Return the error of an id that cannot be used."""
    shown = text if len(text) <= 40 else f"{text[:40]}…"
    return RequestError(Code.BAD_ID, f"the id {shown!r} cannot be used: {why}; pass an id as you received it")
