"""The conditions of a Site, from the state of its parts."""

from dataclasses import replace
from typing import Any

import pytest

from vigil_contracts.conditions import SiteReason
from vigil_contracts.registry import DetectorStatus, RegistryStatus
from vigil_contracts.resources.site import EndpointStatus
from vigil_operator.bus.heartbeats import BusProblem
from vigil_operator.reconcile.site import conditions as site_conditions
from vigil_operator.reconcile.site.conditions import SiteFacts, capacity, coarse, gallery_status

WELL = EndpointStatus(name="gpu", address="gpu:8001", ready=True)
ILL = EndpointStatus(name="cpu", address="cpu:8001", ready=False, message="nothing answers there")
STATUS = RegistryStatus(cameras=1, subjects=2, vectors=3, model_id="m@1", last_seq=4, rejected_events=0, backlog=250)
GOOD = SiteFacts("hq", "hq", [WELL], None, "", STATUS)

CASES: dict[str, tuple[dict[str, Any], tuple[bool | None, str], tuple[bool | None, str]]] = {
    "all is well": ({}, (True, "Resolved"), (True, "Connected")),
    "one endpoint is away": (
        {"endpoints": [WELL, ILL]},
        (True, "SomeEndpointsUnreachable"),
        (True, "Connected"),
    ),
    "every endpoint is away": ({"endpoints": [ILL]}, (False, "InferenceUnreachable"), (True, "Connected")),
    "no endpoint is named": ({"endpoints": []}, (False, "InferenceUnreachable"), (True, "Connected")),
    "the bus is away": (
        {"bus_problem": BusProblem(SiteReason.BUS_UNREACHABLE, "cannot connect to nats://nats:4222")},
        (False, "BusUnreachable"),
        (False, "BusUnreachable"),
    ),
    "the bus refuses the token": (
        {"bus_problem": BusProblem(SiteReason.BUS_CREDENTIALS_REFUSED, "nats: the server refuses the token")},
        (False, "BusCredentialsRefused"),
        (False, "BusCredentialsRefused"),
    ),
    "the bus's Secret is missing": (
        {"bus_secret_missing": "there is no Secret bus"},
        (False, "BusCredentialsMissing"),
        (False, "BusCredentialsMissing"),
    ),
    "identity is away": ({"identity": "nobody answers"}, (False, "GalleryUnreachable"), (True, "Connected")),
    "identity refuses it": ({"refusal": "spec.colour: unknown field"}, (False, "InvalidSpec"), (True, "Connected")),
    "another Site is served": ({"served": "default"}, (False, "SiteNotServed"), (True, "Connected")),
    "another Site is served and it names no bus": (
        {"served": "default", "listened": False},
        (False, "SiteNotServed"),
        (None, "SiteNotServed"),
    ),
    "the bus is being connected to": (
        {"bus_problem": BusProblem(SiteReason.CONNECTING, "nats://nats:4222: connecting")},
        (False, "Connecting"),
        (False, "Connecting"),
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_each_case_has_these_conditions_and_reasons(case: str) -> None:
    change, ready, connected = CASES[case]
    found = {one.type: (one.true, one.reason) for one in site_conditions.condition_updates(replace(GOOD, **change))}
    assert found == {"Ready": ready, "Connected": connected, "InSync": (True, "NoUpstream")}


def test_the_endpoint_at_fault_is_named() -> None:
    ready = site_conditions.condition_updates(replace(GOOD, endpoints=[WELL, ILL]))[0]
    assert ready.message == "cpu (cpu:8001): nothing answers there"


@pytest.mark.parametrize(
    ("backlog", "rounded"), [(0, 0), (99, 0), (100, 100), (199, 100), (250, 200), (9999, 9000), (12_345, 10_000)]
)
def test_a_backlog_is_reported_coarsely(backlog: int, rounded: int) -> None:
    assert coarse(backlog) == rounded


def test_a_gallery_that_is_not_known_leaves_no_old_figures() -> None:
    assert gallery_status("nobody answers") == {}
    assert gallery_status(STATUS) == {"galleryVersion": "m@1/0", "backlog": 200}


@pytest.mark.parametrize(
    ("instances", "milliseconds", "per_second"),
    [(2, 10.0, 200), (1, 3.0, 333), (None, 10.0, None), (2, None, None), (1, 5000.0, 1)],
)
def test_capacity_is_instances_over_the_measured_time(
    instances: int | None, milliseconds: float | None, per_second: int | None
) -> None:
    assert capacity(DetectorStatus(model_id="d", instances=instances, reference_ms=milliseconds)) == per_second
