"""Global ids come back as they were made, and nothing else is taken for one."""

import base64
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vigil_contracts.ids import DNS_LABEL, ResourceKey, new_sighting_id
from vigil_gateway.handlers.graphql import ids
from vigil_gateway.handlers.graphql.errors import Code, RequestError

KEYS = st.builds(ResourceKey, st.from_regex(DNS_LABEL, fullmatch=True), st.from_regex(DNS_LABEL, fullmatch=True))


@given(KEYS)
def test_ids_of_resources_round_trip(key: ResourceKey) -> None:
    found = ids.decode_id(ids.encode_id("Camera", key))
    assert (found.type_name, ids.resource_key(found.node_id)) == ("Camera", key)


def test_ids_of_sightings_round_trip() -> None:
    sighting = new_sighting_id()
    found = ids.decode_id(ids.encode_id("Sighting", sighting))
    assert (found.type_name, ids.sighting_id(found.node_id)) == ("Sighting", sighting)


def decoded(text: str) -> str:
    try:
        return base64.b64decode(text).decode()
    except ValueError:
        return ""


@given(st.text(max_size=400) | st.binary(max_size=200).map(lambda data: base64.b64encode(data).decode()))
def test_garbage_is_refused_with_a_reason(text: str) -> None:
    with pytest.raises(RequestError, match="cannot be used") as refused:
        ids.decode_id(text if ":" not in decoded(text) else "")
    assert refused.value.code is Code.BAD_ID
    assert len(refused.value.message) < 300


@pytest.mark.parametrize(
    ("read", "key", "reason"),
    [
        (ids.resource_key, "door", "no namespace and name"),
        (ids.resource_key, "default/DOOR", "no namespace and name"),
        (ids.subject_id, "default/ada", "no UUID"),
        (ids.subject_id, "{00000000-0000-4000-8000-000000000000}", "no UUID"),
        (ids.sighting_id, "2f91a450-67ac-4c92-b226-b6813c87c7d1", "no sighting's UUID"),
    ],
)
def test_wrong_keys_in_ids_are_refused(read: Callable[[str], object], key: str, reason: str) -> None:
    with pytest.raises(RequestError, match=reason) as refused:
        read(key)
    assert refused.value.code is Code.BAD_ID
