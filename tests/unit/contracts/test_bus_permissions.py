"""What the roles may do on the bus fits what the contracts call streams and subjects."""

import pytest

from vigil_contracts.bus import MessageKind, bus_subject, camera_stream, covers, event_stream
from vigil_contracts.bus_permissions import USER_NAME, BusRole, inbox_prefix, permissions, user_name
from vigil_contracts.ids import ResourceKey

DOOR = ResourceKey("default", "door")
YARD = ResourceKey("default", "yard")
READ_STATES = ("$JS.API.STREAM.INFO.VIGIL_hq_CAMERAS", "$JS.API.STREAM.MSG.GET.VIGIL_hq_CAMERAS")


def test_the_roles_that_only_read_have_exactly_these_subjects() -> None:
    assert permissions(BusRole.STREAM, "hq").of_user(DOOR.token).publish == (
        "vigil.hq.sighting.default_door",
        "vigil.hq.camera.default_door",
    )
    assert permissions(BusRole.STREAM, "hq").subscribe == (f"_INBOX_stream.{USER_NAME}.>",)
    assert permissions(BusRole.OPERATOR, "hq").of_user("operator").subscribe == (
        "vigil.hq.camera.>",
        "_INBOX_operator.operator.>",
    )
    assert permissions(BusRole.OPERATOR, "hq").publish == permissions(BusRole.API, "hq").publish == READ_STATES


@pytest.mark.parametrize("role", BusRole)
def test_no_list_is_empty_and_none_holds_everything(role: BusRole) -> None:
    """NATS takes an empty list for permission to do everything."""
    found = permissions(role, "hq")
    assert found.publish
    assert found.subscribe
    assert not {">", "*", "$JS.>", "$JS.API.>", "vigil.>"} & {*found.publish, *found.subscribe}
    assert 0 < found.max_payload <= 256 * 1024


def test_a_role_publishes_only_what_is_its_own() -> None:
    def publishers(subject: str, name: str = user_name(BusRole.STREAM, DOOR)) -> set[BusRole]:
        return {
            role
            for role in BusRole
            if any(covers(allowed, subject) for allowed in permissions(role, "hq").of_user(name).publish)
        }

    assert publishers(bus_subject("hq", MessageKind.SIGHTING, DOOR)) == {BusRole.STREAM}
    assert publishers(bus_subject("hq", MessageKind.CAMERA, DOOR)) == {BusRole.STREAM}
    assert publishers(bus_subject("hq", MessageKind.SIGHTING, YARD)) == set()
    assert publishers(bus_subject("hq", MessageKind.MATCH, DOOR)) == {BusRole.IDENTITY}
    assert publishers(bus_subject("annex", MessageKind.MATCH, DOOR)) == set()
    for verb in ("STREAM.DELETE", "STREAM.PURGE", "STREAM.MSG.DELETE"):
        assert publishers(f"$JS.API.{verb}.{camera_stream('hq').name}") == set()
    assert publishers(f"$JS.API.STREAM.PURGE.{event_stream('hq').name}") == {BusRole.IDENTITY}


def test_replies_are_received_where_nobody_else_listens() -> None:
    prefixes = [inbox_prefix(BusRole.STREAM, camera.token) for camera in (DOOR, YARD)]
    prefixes += [inbox_prefix(role, user_name(role)) for role in BusRole if role is not BusRole.STREAM]
    assert len(set(prefixes)) == len(prefixes)
    for prefix in prefixes:
        listeners = [
            (role, name)
            for role in BusRole
            for name in ((DOOR.token, YARD.token) if role is BusRole.STREAM else (user_name(role),))
            if any(covers(one, f"{prefix}.x") for one in permissions(role, "hq").of_user(name).subscribe)
        ]
        assert len(listeners) == 1, prefix
