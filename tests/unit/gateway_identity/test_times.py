"""Which times are believed, whatever the clock of a camera's machine claims."""

import datetime as dt

import pytest

from vigil_contracts import events
from vigil_contracts.clocks import MAX_AGE
from vigil_contracts.ids import new_sighting_id
from vigil_gateway.identity.decision import Times
from vigil_gateway.identity.times import opened_at, with_times

NOW = dt.datetime(2026, 3, 1, 12, tzinfo=dt.UTC)
SECOND, MINUTE, HOUR, DAY = (dt.timedelta(seconds=n) for n in (1, 60, 3600, 86400))


def sighting(opened: dt.datetime, last_seen: dt.datetime | None = None) -> events.Sighting:
    return events.Sighting(
        sighting_id=new_sighting_id(opened),
        revision=1,
        state=events.SightingState.CLOSED,
        site="site",
        camera=events.CameraRef(namespace="default", name="door"),
        session_id="session",
        last_seen_at=last_seen or opened,
        closed_at=last_seen or opened,
        close_reason=events.CloseReason.LEFT,
        frames=1,
        box=events.Box(x=0.1, y=0.2, width=0.3, height=0.4),
    )


@pytest.mark.parametrize(
    ("what", "claimed", "offset", "opened", "not_before"),
    [
        ("right", NOW, 0 * DAY, NOW, None),
        ("a second ahead", NOW + SECOND, SECOND, NOW + SECOND, None),
        ("a second behind", NOW - SECOND, -SECOND, NOW - SECOND, None),
        ("an hour ahead", NOW + HOUR, HOUR, NOW, NOW - MINUTE),
        ("an hour behind", NOW - HOUR, -HOUR, NOW, NOW - HOUR - MINUTE),
        ("three days ahead", NOW + 3 * DAY, 3 * DAY, NOW, NOW - MINUTE),
        ("three days behind", NOW - 3 * DAY, -3 * DAY, NOW, NOW - 3 * DAY - MINUTE),
        (
            "begun at 1970",
            dt.datetime(1970, 1, 2, tzinfo=dt.UTC),
            dt.datetime(1970, 1, 2, tzinfo=dt.UTC) - NOW,
            NOW,
            ...,
        ),
        ("right, six hours on the way", NOW - 6 * HOUR, 0 * DAY, NOW - 6 * HOUR, None),
        ("an hour ahead, six hours on the way", NOW - 5 * HOUR, HOUR, NOW - 6 * HOUR, NOW - 6 * HOUR - MINUTE),
        ("an hour behind, six hours on the way", NOW - 7 * HOUR, -HOUR, NOW - 6 * HOUR, NOW - 7 * HOUR - MINUTE),
        ("ahead, then set back", NOW + 3 * DAY, 0 * DAY, NOW, NOW - MAX_AGE),
        ("ahead, then behind", NOW + 3 * DAY, -HOUR, NOW, NOW - MAX_AGE),
        ("ahead, not measured", NOW + HOUR, None, NOW, NOW - MAX_AGE),
        ("behind, not measured", NOW - HOUR, None, NOW - HOUR, None),
        ("years behind, not measured", NOW - 400 * DAY, None, NOW, NOW - MAX_AGE),
        ("at the end of time", dt.datetime(9999, 12, 31, tzinfo=dt.UTC), -3000 * 365 * DAY, NOW, NOW - MAX_AGE),
    ],
)
def test_the_moment_of_opening_is_bounded_by_the_bus(
    what: str, claimed: dt.datetime, offset: dt.timedelta | None, opened: dt.datetime, not_before: object
) -> None:
    """The earliest possible moment is never later than the true one."""
    timed = with_times(sighting(claimed), NOW, offset)
    assert timed.opened_at == opened, what
    assert timed.opened_not_before == (claimed - MINUTE if not_before is ... else not_before), what
    assert timed.received_at == NOW
    assert timed.clock_offset_ms == (None if offset is None else offset / dt.timedelta(milliseconds=1))
    assert timed.last_seen_at == timed.closed_at == timed.opened_at
    times = Times.of(timed, NOW)
    assert times.opened <= min(NOW, timed.opened_at)


def test_a_sighting_opens_once_and_ends_no_earlier() -> None:
    """The clock is set back while the person is in view: later revisions claim to be seen before."""
    first = with_times(sighting(NOW + HOUR), NOW, HOUR)
    later = with_times(first.model_copy(update={"last_seen_at": NOW - HOUR}), NOW + MINUTE, 0 * DAY)
    placed = opened_at(later, first.bounded_opened_at, first.opened_not_before)
    assert (placed.opened_at, placed.opened_not_before, placed.last_seen_at) == (NOW, NOW - MINUTE, NOW)


def test_what_a_camera_claims_of_identity_s_times_is_ignored() -> None:
    forged = {"bounded_opened_at": NOW - DAY, "opened_not_before": NOW - DAY, "received_at": NOW - DAY}
    timed = with_times(sighting(NOW).model_copy(update={**forged, "clock_offset_ms": 7.0}), NOW, 0 * DAY)
    assert (timed.opened_at, timed.opened_not_before, timed.received_at) == (NOW, None, NOW)
    assert timed.clock_offset_ms == 0
