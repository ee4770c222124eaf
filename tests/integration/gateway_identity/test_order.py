"""Seeing an event twice, late or out of order changes nothing: any delivery of the same ends in the same state."""

import asyncio
import tempfile
import uuid
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.integration.gateway_identity import database
from tests.integration.gateway_identity.making import a_sighting, axis, between
from tests.integration.gateway_identity.running import Bench, bench
from tests.support.servers import PostgresServer

from vigil_contracts.events import Sighting
from vigil_contracts.ids import new_sighting_id

pytestmark = pytest.mark.integration

SITE = "home"
STATE = """
    SELECT id, state, revision, frames, closed_at, close_reason, best_shot, identity, subject_name, similarity,
        runner_up_similarity, model_id FROM sightings ORDER BY id
"""
MATCHES = "SELECT sighting_id, revision, identity, similarity, runner_up_similarity FROM matches ORDER BY sighting_id"
REVISIONS = "SELECT sighting_id, revision FROM sighting_revisions ORDER BY 1, 2"


def story() -> list[Sighting]:
    """Return the revisions of three people: one known late, one never, one whose best shot changes the identity."""
    ids = [new_sighting_id() for _ in range(3)]
    faces = [
        [axis(5), between(axis(0), axis(5), 0.6), axis(0), axis(0)],
        [axis(6)] * 3,
        [axis(0), between(axis(1), axis(0), 0.9), axis(1)],
    ]
    made: list[Sighting] = []
    for one, looks in zip(ids, faces, strict=True):
        last = len(looks)
        made += [
            a_sighting(
                look,
                site=SITE,
                sighting_id=one,
                revision=number,
                state="Opened" if number == 1 else "Closed" if number == last else "Updated",
            )
            for number, look in enumerate(looks, 1)
        ]
    return made


async def clear(url: str) -> None:
    await database.execute(
        url,
        "TRUNCATE sightings, sighting_revisions, matches, events, rejected_events; UPDATE event_counter SET last = 0",
    )


async def deliver(made: Bench, batches: Sequence[Sequence[Sighting]], *, parallel: bool) -> dict[str, Any]:
    await clear(made.url)
    if parallel:
        await asyncio.gather(*(made.process(*batch) for batch in batches))
    else:
        for batch in batches:
            await made.process(*batch)
    return {name: await database.rows(made.url, sql) for name, sql in (("s", STATE), ("m", MATCHES), ("r", REVISIONS))}


@st.composite
def deliveries(draw: st.DrawFn, size: int) -> tuple[list[list[int]], bool]:
    """Draw an order with repetitions in which every event comes at least once, cut into batches."""
    order = draw(st.permutations(range(size)))
    again = draw(st.lists(st.integers(0, size - 1), max_size=8))
    for one in again:
        order.insert(draw(st.integers(0, len(order))), one)
    cuts = sorted(draw(st.sets(st.integers(1, len(order) - 1), max_size=5)))
    return [order[a:b] for a, b in zip([0, *cuts], [*cuts, len(order)], strict=True)], draw(st.booleans())


@pytest.fixture
def prepared(shared_postgres: PostgresServer, template: str) -> str:
    async def prepare() -> str:
        url = await shared_postgres.new_database(template)
        await database.add_model(url)
        await database.add_camera(url, SITE)
        await database.add_subject(url, "ann", axis(0))
        await database.add_subject(url, "bob", axis(1))
        return url

    return asyncio.run(prepare())


def test_any_order_ends_in_the_same_state(prepared: str) -> None:
    """Revisions come in any order and repeatedly; each is published once."""
    made = story()
    with tempfile.TemporaryDirectory() as folder, asyncio.Runner() as runner:
        context = bench(prepared, SITE, Path(folder))
        running = runner.run(context.__aenter__())
        runner.run(running.models.load())
        try:
            wanted = runner.run(deliver(running, [made], parallel=False))

            @settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow], derandomize=True)
            @given(deliveries(len(made)))
            def holds(given: tuple[list[list[int]], bool]) -> None:
                batches, parallel = given
                got = runner.run(deliver(running, [[made[n] for n in batch] for batch in batches], parallel=parallel))
                assert got == wanted
                matches = runner.run(database.matches(prepared))
                assert [match.seq for match in matches] == list(range(1, len(made) + 1))
                assert sorted((match.sighting.sighting_id, match.revision) for match in matches) == sorted(
                    (one.sighting_id, one.revision) for one in made
                )
                check_current(matches)

            holds()
        finally:
            runner.run(context.__aexit__(None, None, None))


def check_current(matches: Sequence[Any]) -> None:
    """Require that no event of a sighting is followed by an earlier revision of it."""
    newest: dict[uuid.UUID, int] = {}
    for match in matches:
        before = newest.get(match.sighting.sighting_id, 0)
        assert match.sighting.revision >= before
        assert match.superseded == (match.revision < before)
        newest[match.sighting.sighting_id] = match.sighting.revision
