"""A rendered event is shared by those who select the same and may see the same, and by nobody else."""

import asyncio
import json
import uuid
from collections.abc import Collection
from types import SimpleNamespace
from typing import Any, cast

import pytest
from graphql import FieldNode, OperationDefinitionNode, parse
from hypothesis import given
from hypothesis import strategies as st
from tests.integration.gateway_api.identity import a_match

from vigil_contracts.ids import ResourceKey
from vigil_gateway.handlers.graphql.context import RequestContext, Services
from vigil_gateway.handlers.graphql.event_types import SightingEvent, sighting_event
from vigil_gateway.handlers.graphql.live.cameras import CameraStates
from vigil_gateway.handlers.graphql.live.render import Renderer, Renderers
from vigil_gateway.handlers.graphql.schema import build_schema
from vigil_gateway.principal import EVERYTHING, TOKEN_HOLDER, Permission, Principal, PrincipalKind, Scope

SCHEMA = build_schema()._schema
PLAIN = "subscription { sightings { seq identity { subject { name } } } }"
LOADED = "subscription { sightings { seq identity { subject { name category } } } }"

SCOPES = st.builds(
    Scope,
    sites=st.none() | st.frozensets(st.sampled_from(["home", "work"])),
    cameras=st.none()
    | st.frozensets(st.sampled_from([ResourceKey("default", "door"), ResourceKey("default", "gate")])),
    categories=st.none() | st.frozensets(st.sampled_from(["Employee", "Visitor"])),
)
PRINCIPALS = st.builds(
    Principal,
    st.sampled_from(PrincipalKind),
    st.text(max_size=3),
    st.frozensets(st.sampled_from(Permission)),
    SCOPES | st.just(EVERYTHING),
)


class Subjects:
    """A reader that knows one Subject, for those who may read it."""

    def __init__(self) -> None:
        self.reads = 0

    async def by_ids(self, principal: Principal, ids: Collection[uuid.UUID]) -> list[Any]:
        principal.require(Permission.READ_SUBJECTS)
        self.reads += 1
        return [SimpleNamespace(id=one, category="Employee") for one in ids]


def acquire(
    renderers: Renderers, principal: Principal, query: str = PLAIN, subjects: Subjects | None = None
) -> Renderer:
    document = parse(query)
    operation = cast("OperationDefinitionNode", document.definitions[0])
    field = cast("FieldNode", operation.selection_set.selections[0])
    readers = SimpleNamespace(cameras=CameraStates(), subjects=subjects)
    context = RequestContext(cast("Services", readers), principal=principal)
    return renderers.acquire(document, operation, field, {}, context)[1]


def an_event(seq: int = 1) -> SightingEvent:
    return sighting_event(a_match(who="ada").model_copy(update={"seq": seq}), "0" * 12)


@given(PRINCIPALS, PRINCIPALS)
def test_principals_share_what_both_may_see_and_no_more(one: Principal, other: Principal) -> None:
    renderers = Renderers(SCHEMA)
    same = (one.permissions, one.scope) == (other.permissions, other.scope)
    assert (acquire(renderers, one) is acquire(renderers, other)) == same


@pytest.mark.parametrize("missing", list(Permission))
def test_no_payload_is_shared_by_different_permissions(missing: Permission) -> None:
    async def story() -> None:
        renderers = Renderers(SCHEMA)
        fewer = Principal(TOKEN_HOLDER.kind, TOKEN_HOLDER.id, TOKEN_HOLDER.permissions - {missing})
        event = an_event()
        full, reduced = acquire(renderers, TOKEN_HOLDER), acquire(renderers, fewer)
        await full.payload(event)
        assert (full.made, reduced.made) == (1, 0)
        await reduced.payload(event)
        assert (full.made, reduced.made) == (1, 1)

    asyncio.run(story())


def test_loaded_fields_are_those_the_principal_may_read() -> None:
    async def story() -> tuple[dict[str, Any], dict[str, Any]]:
        renderers, subjects, event = Renderers(SCHEMA), Subjects(), an_event()
        watcher = Principal(PrincipalKind.TOKEN, "watcher", frozenset({Permission.READ_SIGHTINGS}))
        full = acquire(renderers, TOKEN_HOLDER, LOADED, subjects)
        reduced = acquire(renderers, watcher, LOADED, subjects)
        assert full.ready(event) is None
        payloads = await asyncio.gather(*(one.payload(event) for one in (full, reduced, full)))
        assert subjects.reads == 1
        assert full.ready(event) == payloads[0] == payloads[2]
        return json.loads(payloads[0]), json.loads(payloads[1])

    full, reduced = asyncio.run(story())
    assert full["data"]["sightings"]["identity"]["subject"] == {"name": "ada", "category": "Employee"}
    assert reduced["data"]["sightings"]["identity"]["subject"] == {"name": "ada", "category": None}
    assert [error["extensions"]["code"] for error in reduced["errors"]] == ["FORBIDDEN"]


def test_plain_fields_are_rendered_at_once() -> None:
    async def story() -> bytes | None:
        return acquire(Renderers(SCHEMA), TOKEN_HOLDER).ready(an_event(7))

    assert asyncio.run(story()) == b'{"data":{"sightings":{"seq":7,"identity":{"subject":{"name":"ada"}}}}}'
