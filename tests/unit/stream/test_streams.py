"""A stream that exists gets the subjects that it lacks, and no more."""

import pytest

from vigil_contracts.bus import Stream, camera_stream, covers, event_stream, sighting_stream


@pytest.mark.parametrize(
    ("pattern", "subject", "covered"),
    [
        ("vigil.hq.sighting.>", "vigil.hq.sighting.>", True),
        ("vigil.hq.>", "vigil.hq.sighting.>", True),
        (">", "vigil.hq.sighting.>", True),
        ("vigil.*.sighting.>", "vigil.hq.sighting.>", True),
        ("vigil.hq.sighting.*", "vigil.hq.sighting.lobby", True),
        ("vigil.hq.sighting.*", "vigil.hq.sighting.>", False),
        ("vigil.hq.sighting.lobby", "vigil.hq.sighting.*", False),
        ("vigil.hq.match.>", "vigil.hq.sighting.>", False),
        ("vigil.hq.sighting.>", "vigil.hq", False),
        ("vigil.hq.sighting", "vigil.hq.sighting.>", False),
        ("vigil.hq", "vigil.hq", True),
        ("vigil.hq.>", "vigil.hq", False),
    ],
)
def test_a_pattern_covers_what_it_would_match(pattern: str, subject: str, covered: bool) -> None:
    assert covers(pattern, subject) is covered


@pytest.mark.parametrize(
    ("held", "missing"),
    [
        (event_stream("hq").subjects, ()),
        (("vigil.hq.>",), ()),
        (("vigil.hq.match.>", "other.>"), ("vigil.hq.alert.>", "vigil.hq.audit.>")),
        ((), ()),
    ],
)
def test_missing_subjects_of_a_stream_are_named(held: tuple[str, ...], missing: tuple[str, ...]) -> None:
    assert event_stream("hq").missing_from(held) == missing


def test_duplicates_are_known_no_longer_than_messages_are_kept() -> None:
    assert Stream("A", ("a",), max_age_s=60, max_bytes=1).effective_duplicate_window_s == 60
    assert Stream("A", ("a",), max_age_s=0, max_bytes=1).effective_duplicate_window_s == 600
    assert camera_stream("hq").effective_duplicate_window_s == 600


@pytest.mark.parametrize(
    ("held", "taken"),
    [
        (("vigil.hq.sighting.>", "vigil.hq.match.>"), ("vigil.hq.sighting.>",)),
        (("vigil.hq.sighting.default_door",), ("vigil.hq.sighting.default_door",)),
        (("vigil.hq.>", "vigil.other.sighting.>"), ()),
        ((), ()),
    ],
)
def test_subjects_that_another_stream_has_to_give_up(held: tuple[str, ...], taken: tuple[str, ...]) -> None:
    assert sighting_stream("hq").taken_from(held) == taken
