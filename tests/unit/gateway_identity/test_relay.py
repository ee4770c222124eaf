import datetime as dt
import json

import pytest
from tests.integration.gateway_identity.making import a_sighting

from vigil_contracts import bus, events
from vigil_contracts.events import MATCH_TYPE, Match
from vigil_gateway.services.relay import envelope
from vigil_gateway.storage.postgres.rows import EventRow

NOW = dt.datetime.now(dt.UTC)


def test_a_match_is_wrapped_as_the_contract_wraps_it() -> None:
    sighting = a_sighting(site="home")
    who = events.Identity(status=events.IdentityStatus.UNKNOWN, decided_at=NOW)
    match = Match(seq=7, revision=1, sighting=sighting, identity=who)
    payload = match.model_dump_json(by_alias=True, exclude_none=True)
    row = EventRow(7, MATCH_TYPE, bus.bus_subject("home", bus.MessageKind.MATCH, sighting.camera.key), payload)
    assert json.loads(envelope(row, "home", NOW)) == json.loads(events.encode_match(match, NOW))


def test_an_event_of_an_unknown_type_is_wrapped_by_its_subject() -> None:
    row = EventRow(8, "dev.vigil.alert.v1", "vigil.home.alert.tailgating.gate-2", '{"seq": 8, "doors": [1, null]}')
    body = json.loads(envelope(row, "home", NOW))
    assert (body["id"], body["type"]) == ("alert:8", "dev.vigil.alert.v1")
    assert (body["source"], body["subject"]) == ("/sites/home", "tailgating.gate-2")
    assert body["data"] == {"seq": 8, "doors": [1, None]}


@pytest.mark.parametrize(
    "subject", ["", "vigil.home.match", "vigil.away.match.default_door", "vigil.home.alert.>", "vigil.home.alert.a b"]
)
def test_a_subject_of_another_site_or_with_wildcards_is_refused(subject: str) -> None:
    with pytest.raises(ValueError, match="not a subject of site 'home'"):
        envelope(EventRow(1, "x", subject, "{}"), "home", NOW)
