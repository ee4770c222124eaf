"""What a batch changes in the database, and that nothing else does."""

import base64
import datetime as dt
import uuid
from collections.abc import Callable
from dataclasses import replace
from hashlib import sha256

import numpy as np
import pytest
from tests.integration.gateway_identity import database
from tests.integration.gateway_identity.making import MODEL, THRESHOLD, a_sighting, axis, between, body, shot
from tests.integration.gateway_identity.running import Bench, incoming

from vigil_contracts.bus import message_id
from vigil_contracts.clocks import TOLERANCE
from vigil_contracts.events import IdentityReason, IdentityStatus, RejectReason, SightingState
from vigil_contracts.ids import new_sighting_id
from vigil_gateway.identity.incoming import Incoming
from vigil_gateway.identity.recorder import Result

pytestmark = pytest.mark.integration


@pytest.fixture
async def ready(pipeline: Bench) -> Bench:
    await database.add_model(pipeline.url)
    await database.add_camera(pipeline.url, pipeline.site)
    return pipeline


async def identity_of(bench: Bench, sighting_id: uuid.UUID) -> dict[str, object]:
    (row,) = await database.rows(bench.url, "SELECT * FROM sightings WHERE id = $1", sighting_id)
    return row


async def test_an_enrolled_face_is_known_and_another_unknown(ready: Bench) -> None:
    await database.add_subject(ready.url, "ann", axis(0), between(axis(0), axis(5), 0.8))
    await database.add_subject(ready.url, "bob", axis(1))
    await ready.models.load()
    ann = a_sighting(between(axis(0), axis(7), 0.7), site=ready.site)
    nobody = a_sighting(axis(3), site=ready.site)
    faceless = a_sighting(None, site=ready.site)
    outcomes = await ready.process(ann, nobody, faceless)
    assert [outcome.result for outcome in outcomes] == [Result.RECORDED] * 3
    row = await identity_of(ready, ann.sighting_id)
    assert (row["identity"], row["subject_name"]) == ("Known", "ann")
    assert row["similarity"] == pytest.approx(0.7, abs=1e-3)
    assert (await identity_of(ready, nobody.sighting_id))["identity"] == "Unknown"
    assert (await identity_of(ready, faceless.sighting_id))["identity"] == "Undetermined"
    matches = await database.matches(ready.url)
    assert [match.seq for match in matches] == [1, 2, 3]
    assert matches[0].identity.subject
    assert matches[0].identity.subject.name == "ann"
    assert all(one.embedding is None for match in matches for one in match.sighting.shots)


async def test_a_margin_too_small_names_nobody(ready: Bench) -> None:
    """Another Subject is almost as similar."""
    face = axis(0)
    await database.add_subject(ready.url, "one", between(face, axis(1), 0.8))
    await database.add_subject(ready.url, "twin", between(face, axis(2), 0.78))
    await ready.models.load()
    sighting = a_sighting(face, site=ready.site)
    await ready.process(sighting)
    row = await identity_of(ready, sighting.sighting_id)
    assert row["identity"] == "Unknown"
    assert row["runner_up_similarity"] == pytest.approx(0.78, abs=1e-3)


async def test_all_best_shots_count(ready: Bench) -> None:
    """Two shots below the threshold, each turned to another side, are together above it."""
    await database.add_subject(ready.url, "ann", axis(0))
    await ready.models.load()
    weak = [between(axis(0), axis(1), THRESHOLD - 0.05), between(axis(0), axis(2), THRESHOLD - 0.05)]
    alone = a_sighting(weak[0], site=ready.site)
    together = a_sighting(*weak, site=ready.site)
    await ready.process(alone, together)
    assert (await identity_of(ready, alone.sighting_id))["identity"] == "Unknown"
    assert (await identity_of(ready, together.sighting_id))["identity"] == "Known"


NOW = dt.datetime.now(dt.UTC)
HOUR = dt.timedelta(hours=1)


@pytest.mark.parametrize(
    ("window", "status"),
    [
        ({}, "Known"),
        ({"active_from": NOW - HOUR, "active_until": NOW + HOUR}, "Known"),
        ({"active_from": NOW + HOUR}, "Unknown"),
        ({"active_until": NOW - HOUR}, "Unknown"),
        ({"consent": "Withdrawn"}, "Unknown"),
        ({"consent": "Pending"}, "Unknown"),
    ],
)
async def test_only_who_is_active_and_consented_is_named(ready: Bench, window: dict[str, object], status: str) -> None:
    await database.add_subject(ready.url, "ann", axis(0), **window)  # type: ignore[arg-type]  # a table of its arguments
    await ready.models.load()
    sighting = a_sighting(axis(0), site=ready.site)
    await ready.process(sighting)
    assert (await identity_of(ready, sighting.sighting_id))["identity"] == status


@pytest.mark.parametrize(
    ("window", "status"),
    [
        ({"active_from": NOW - 7 * HOUR}, "Known"),
        ({"active_from": NOW - HOUR}, "Unknown"),
        ({"active_until": NOW - HOUR}, "Unknown"),
        ({"consent": "Withdrawn"}, "Unknown"),
    ],
)
async def test_an_event_decided_late_names_only_who_was_valid_then_too(
    ready: Bench, window: dict[str, object], status: str
) -> None:
    await database.add_subject(ready.url, "ann", axis(0), **window)  # type: ignore[arg-type]  # a table of its arguments
    await ready.models.load()
    sighting = a_sighting(axis(0), site=ready.site, sighting_id=new_sighting_id(NOW - 6 * HOUR))
    await ready.process(sighting)
    assert (await identity_of(ready, sighting.sighting_id))["identity"] == status


async def test_inactive_subjects_do_not_hide_active_ones(ready: Bench) -> None:
    for number in range(40):
        near = between(axis(0), axis(1 + number % 15), 0.99)
        await database.add_subject(ready.url, f"gone-{number}", near, consent="Withdrawn")
    await database.add_subject(ready.url, "ann", between(axis(0), axis(3), 0.9))
    await ready.models.load()
    sighting = a_sighting(axis(0), site=ready.site)
    await ready.process(sighting)
    assert (await identity_of(ready, sighting.sighting_id))["subject_name"] == "ann"


async def test_a_camera_has_its_own_threshold_or_none_at_all(ready: Bench) -> None:
    await database.add_subject(ready.url, "ann", axis(0))
    await database.add_camera(ready.url, ready.site, "strict", recognition={"thresholdPermille": 900})
    await database.add_camera(ready.url, ready.site, "blind", recognition={"mode": "DetectOnly"})
    await ready.models.load()
    face = between(axis(0), axis(1), 0.8)
    strict, blind = (a_sighting(face, site=ready.site, camera=name) for name in ("strict", "blind"))
    await ready.process(strict, blind)
    assert (await identity_of(ready, strict.sighting_id))["identity"] == "Unknown"
    assert (await identity_of(ready, blind.sighting_id))["identity"] == "Undetermined"


async def test_vectors_of_two_models_never_meet(ready: Bench) -> None:
    other = "othernet@ba9876543210"
    await database.add_model(ready.url, other)
    await database.add_subject(ready.url, "ann", axis(0))
    await ready.models.load()
    sighting = a_sighting(site=ready.site, shots=[shot(axis(0), model=other)])
    await ready.process(sighting)
    row = await identity_of(ready, sighting.sighting_id)
    assert (row["identity"], row["model_id"], row["similarity"]) == ("Unknown", other, None)


async def test_a_late_revision_is_published_as_superseded(ready: Bench) -> None:
    """Its event carries the current state of the sighting."""
    await database.add_subject(ready.url, "ann", axis(0))
    await ready.models.load()
    one = new_sighting_id()
    newest = a_sighting(axis(0), site=ready.site, sighting_id=one, revision=3, state="Closed")
    late = a_sighting(axis(5), site=ready.site, sighting_id=one, revision=2)
    await ready.process(newest)
    (outcome,) = await ready.process(late)
    assert outcome.result is Result.SUPERSEDED
    row = await identity_of(ready, one)
    assert (row["revision"], row["identity"], row["last_seq"]) == (3, "Known", 1)
    match = (await database.matches(ready.url))[1]
    assert (match.seq, match.revision, match.superseded, match.sighting.revision) == (2, 2, True, 3)
    assert match.sighting.state is SightingState.CLOSED
    assert match.identity.status is IdentityStatus.KNOWN


async def test_a_repeated_batch_changes_nothing(ready: Bench) -> None:
    await ready.models.load()
    one = new_sighting_id()
    batch = [a_sighting(axis(0), site=ready.site, sighting_id=one, revision=n) for n in (1, 2, 2, 3, 1)]
    first = await ready.process(*batch)
    assert [outcome.result.value for outcome in first] == ["recorded", "recorded", "duplicate", "recorded", "duplicate"]
    again = await ready.process(*batch)
    assert {outcome.result for outcome in again} == {Result.DUPLICATE}
    assert [match.revision for match in await database.matches(ready.url)] == [1, 2, 3]
    assert await database.rows(ready.url, "SELECT last FROM event_counter") == [{"last": 3}]


async def test_revisions_under_clocks_that_jump_are_of_one_sighting(ready: Bench) -> None:
    """It opened when its first revision says, whatever later ones claim, in one batch and in several."""
    await ready.models.load()
    received = dt.datetime.now(dt.UTC).replace(microsecond=0)  # the id holds milliseconds
    claimed = received + 3 * 24 * HOUR
    one = new_sighting_id(claimed)
    offsets = (3 * 24 * HOUR, 0 * HOUR, None, -HOUR)
    made = [
        replace(
            incoming(a_sighting(axis(0), site=ready.site, sighting_id=one, revision=number)),
            received_at=received + number * dt.timedelta(seconds=1),
            clock_offset=offset,
        )
        for number, offset in enumerate(offsets, 1)
    ]
    for batch in (made[:2], made[2:3], made[1:], made):
        await ready.pipeline.process(batch)
    (row,) = await database.rows(ready.url, "SELECT * FROM sightings")
    assert (row["revision"], row["opened_at"], row["opened_not_before"]) == (4, received, received - TOLERANCE)
    assert row["received_at"] == received + 4 * dt.timedelta(seconds=1)
    assert row["clock_offset_ms"] == -3_600_000
    matches = await database.matches(ready.url)
    assert [(match.revision, match.superseded) for match in matches] == [(n, False) for n in (1, 2, 3, 4)]
    assert {match.sighting.opened_at for match in matches} == {received}
    assert all(match.sighting.last_seen_at >= received for match in matches)


def future_version(good: bytes) -> bytes:
    return good.replace(b"dev.vigil.sighting.v1", b"dev.vigil.sighting.v7")


def with_vector(site: str, data: bytes) -> bytes:
    good = a_sighting(axis(0), site=site)
    wanted = good.shots[0].embedding
    assert wanted is not None
    return body(good).replace(wanted.vector.encode(), base64.b64encode(data))


BAD: dict[str, tuple[Callable[[str], bytes], RejectReason]] = {
    "not JSON": (lambda _: b"\xff\xfe{", RejectReason.NOT_JSON),
    "empty": (lambda _: b"", RejectReason.NOT_JSON),
    "no CloudEvent": (lambda _: b"{}", RejectReason.NOT_CLOUD_EVENT),
    "future version": (lambda site: future_version(body(a_sighting(site=site))), RejectReason.FUTURE_VERSION),
    "other type": (
        lambda site: body(a_sighting(site=site)).replace(b".sighting.v1", b".x.v1"),
        RejectReason.UNKNOWN_TYPE,
    ),
    "NaN": (lambda site: with_vector(site, np.full(16, np.nan, "<f4").tobytes()), RejectReason.INVALID_DATA),
    "infinite": (lambda site: with_vector(site, np.full(16, np.inf, "<f4").tobytes()), RejectReason.INVALID_DATA),
    "wrong length": (lambda site: with_vector(site, np.ones(15, "<f4").tobytes()), RejectReason.WRONG_EMBEDDING_LENGTH),
    "all zeros": (lambda site: with_vector(site, bytes(64)), RejectReason.INVALID_DATA),
    "half a number": (lambda site: with_vector(site, bytes(63)), RejectReason.INVALID_DATA),
    "other site": (lambda _: body(a_sighting(site="elsewhere")), RejectReason.WRONG_SUBJECT),
    "other camera": (lambda site: body(a_sighting(site=site, camera="window")), RejectReason.WRONG_SUBJECT),
    "no UUIDv7": (lambda site: body(a_sighting(site=site)).replace(b"-7", b"-4"), RejectReason.INVALID_DATA),
    "revision beyond": (
        lambda site: body(a_sighting(site=site, revision=2**31)),
        RejectReason.INVALID_DATA,
    ),
    "NUL in a text": (
        lambda site: body(a_sighting(site=site)).replace(b'"session"', b'"ses\\u0000sion"'),
        RejectReason.INVALID_DATA,
    ),
    "another source": (
        lambda site: body(a_sighting(site=site)).replace(b"/cameras/default/door", b"/cameras/default/gate"),
        RejectReason.WRONG_SUBJECT,
    ),
    "another subject": (
        lambda site: body(a_sighting(site=site)).replace(b'"default/door"', b'"default/gate"'),
        RejectReason.WRONG_SUBJECT,
    ),
    "another event's id": (
        lambda site: body(a_sighting(site=site, revision=1)).replace(b':1","source"', b':2","source"'),
        RejectReason.WRONG_SUBJECT,
    ),
    "too large": (lambda _: b" " * 300_000, RejectReason.TOO_LARGE),
}


@pytest.mark.parametrize("what", BAD)
async def test_a_bad_event_is_rejected_with_a_reason(ready: Bench, what: str) -> None:
    """The others of its batch are recorded; its body is kept only if it may be processed later."""
    await ready.models.load()
    make, reason = BAD[what]
    good = [a_sighting(axis(number), site=ready.site) for number in range(2)]
    bad = Incoming(f"vigil.{ready.site}.sighting.default_door", make(ready.site), 7)
    outcomes = await ready.pipeline.process([incoming(good[0]), bad, incoming(good[1])])
    assert [outcome.result for outcome in outcomes] == [Result.RECORDED, Result.REJECTED, Result.RECORDED]
    (row,) = await database.rows(ready.url, "SELECT * FROM rejected_events")
    assert row["reason"] == reason
    assert row["payload"] == (bad.body if row["waits_for"] else None)
    assert (row["bytes"], row["digest"]) == (len(bad.body), sha256(bad.subject.encode() + b"\0" + bad.body).digest())
    assert row["message"]
    await ready.pipeline.process([bad])
    assert len(await database.rows(ready.url, "SELECT 1 FROM rejected_events")) == 1
    assert [match.seq for match in await database.matches(ready.url)] == [1, 2]


async def test_no_camera_claims_the_ids_of_another(ready: Bench) -> None:
    """Neither a message id, nor the sighting of another camera, whose revisions would then count as repetitions."""
    await ready.models.load()
    await database.add_camera(ready.url, ready.site, "garden")
    opened, other = a_sighting(axis(0), site=ready.site), a_sighting(axis(1), site=ready.site, camera="garden")
    await ready.process(opened, other)
    stolen = a_sighting(axis(1), site=ready.site, camera="garden", sighting_id=opened.sighting_id, revision=2)
    claims = [incoming(stolen)]
    later = a_sighting(axis(1), site=ready.site, camera="garden", sighting_id=other.sighting_id, revision=2)
    claims += [
        replace(incoming(later), message_id=claimed)
        for claimed in (f"default_door:{opened.sighting_id}:2:00", f"{opened.sighting_id}:2", "default_garden2:1")
    ]
    outcomes = await ready.pipeline.process(claims)
    assert {one.rejection and one.rejection.reason for one in outcomes} == {RejectReason.WRONG_SUBJECT}
    continued = a_sighting(axis(0), site=ready.site, sighting_id=opened.sighting_id, revision=2)
    own = [
        replace(incoming(one), message_id=message_id(one.camera.key, one.event_id, body(one)))
        for one in (continued, later)
    ]
    assert [one.result for one in await ready.pipeline.process(own)] == [Result.RECORDED] * 2


async def test_events_wait_for_their_camera(ready: Bench) -> None:
    """They are processed when it is registered."""
    await ready.models.load()
    early = [a_sighting(axis(0), site=ready.site, camera="garden") for _ in range(70)]
    received, offset = dt.datetime.now(dt.UTC) - HOUR, dt.timedelta(milliseconds=-7)
    messages = [replace(incoming(one), received_at=received, clock_offset=offset) for one in early]
    outcomes = await ready.pipeline.process(messages)
    assert {outcome.rejection and outcome.rejection.reason for outcome in outcomes} == {RejectReason.UNKNOWN_CAMERA}
    assert await ready.replayer.replay(ready.pipeline.process) == 0
    await database.add_camera(ready.url, ready.site, "garden")
    assert await ready.replayer.replay(ready.pipeline.process) == 70
    assert len(await database.matches(ready.url)) == 70
    times = await database.rows(ready.url, "SELECT DISTINCT received_at, clock_offset_ms FROM sightings")
    assert times == [{"received_at": received, "clock_offset_ms": -7}], "of when it came, not of when it was processed"
    assert await database.rows(ready.url, "SELECT 1 FROM rejected_events") == []


async def test_events_of_a_model_that_is_not_known_wait_for_it(ready: Bench) -> None:
    await ready.models.load()
    strange = "newnet@aaaaaaaaaaaa"
    sighting = a_sighting(site=ready.site, shots=[shot(axis(0), model=strange)])
    (outcome,) = await ready.process(sighting)
    assert outcome.rejection
    assert outcome.rejection.reason is RejectReason.UNKNOWN_MODEL
    assert MODEL in outcome.rejection.message
    await database.add_model(ready.url, strange)
    await ready.models.load()
    assert await ready.replayer.replay(ready.pipeline.process) == 1
    assert len(await database.matches(ready.url)) == 1


async def test_a_removed_camera_may_finish_its_sightings(ready: Bench) -> None:
    """Sightings that open later are rejected."""
    await ready.models.load()
    before = a_sighting(axis(0), site=ready.site)
    await database.execute(ready.url, "UPDATE cameras SET deleted_at = now()")
    after = a_sighting(axis(0), site=ready.site, sighting_id=new_sighting_id(dt.datetime.now(dt.UTC) + HOUR))
    outcomes = await ready.process(before, after)
    assert [outcome.result for outcome in outcomes] == [Result.RECORDED, Result.REJECTED]


async def test_each_month_has_a_partition_of_its_own(ready: Bench) -> None:
    await ready.models.load()
    months = [dt.datetime.now(dt.UTC) - dt.timedelta(days=40 * n) for n in range(4)]
    await ready.process(*(a_sighting(axis(0), site=ready.site, sighting_id=new_sighting_id(at)) for at in months))
    tables = await database.rows(ready.url, "SELECT DISTINCT tableoid::regclass::text AS name FROM sightings")
    assert sorted(row["name"] for row in tables) == sorted({f"sightings_{at:%Y_%m}" for at in months})


async def test_a_name_that_is_taken_back_is_a_correction(ready: Bench) -> None:
    """The event of a revision that names another, or nobody, names the Subject of the one before."""
    await database.add_subject(ready.url, "ann", axis(0))
    await database.add_subject(ready.url, "bob", axis(1))
    await ready.models.load()
    sighting_id = new_sighting_id()
    for revision, face in enumerate((axis(0), axis(0), axis(1), axis(3), axis(3), axis(0)), 1):
        await ready.process(a_sighting(face, site=ready.site, sighting_id=sighting_id, revision=revision))
    named = [
        (match.identity.subject and match.identity.subject.name, match.previous and match.previous.name)
        for match in await database.matches(ready.url)
    ]
    assert named == [("ann", None), ("ann", None), ("bob", "ann"), (None, "bob"), (None, None), ("ann", None)]


async def test_shots_of_two_people_are_nobodys(ready: Bench) -> None:
    """Each alone would be named, and both together too, as the first."""
    await database.add_subject(ready.url, "ann", axis(0))
    await database.add_subject(ready.url, "bob", axis(1))
    await ready.models.load()
    both = [shot(axis(0), quality=0.9), shot(axis(1), quality=0.6)]
    sighting = a_sighting(site=ready.site, shots=both)
    await ready.process(sighting)
    assert (await identity_of(ready, sighting.sighting_id))["identity"] == "Unknown"
    (match,) = await database.matches(ready.url)
    assert match.identity.reason is IdentityReason.SHOTS_DISAGREE
