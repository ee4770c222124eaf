"""When a status is written, and when it is left as it is."""

import datetime as dt
from typing import Any

import pytest

from vigil_contracts.base import Tolerant
from vigil_contracts.resources.camera import CameraStatus
from vigil_contracts.resources.site import SiteStatus
from vigil_contracts.resources.subject import SubjectStatus
from vigil_operator.reconcile.conditions import LISTS, SCALARS, ConditionUpdate, conditions, differs, transition

NOW = dt.datetime(2026, 6, 1, 12, tzinfo=dt.UTC)
EARLIER = "2026-05-01T00:00:00Z"


def seen(status: str, reason: str, message: str = "") -> dict[str, Any]:
    condition = {
        "type": "Ready",
        "status": status,
        "reason": reason,
        "message": message,
        "observedGeneration": 3,
        "lastTransitionTime": EARLIER,
    }
    return {"observedGeneration": 3, "conditions": [condition]}


@pytest.mark.parametrize(
    ("before", "update", "moment"),
    [
        ({}, ConditionUpdate("Ready", True, "Enrolled"), "2026-06-01T12:00:00Z"),
        (seen("True", "Enrolled"), ConditionUpdate("Ready", True, "SomePhotosRefused"), EARLIER),
        (seen("True", "Enrolled"), ConditionUpdate("Ready", False, "NoUsablePhoto"), "2026-06-01T12:00:00Z"),
        (seen("True", "Enrolled"), ConditionUpdate("Ready", None, "GalleryUnreachable"), "2026-06-01T12:00:00Z"),
        ({"conditions": "a hand-edited status"}, ConditionUpdate("Ready", True, "Enrolled"), "2026-06-01T12:00:00Z"),
        (
            {"conditions": [7, {"type": "Ready", "status": "True"}]},
            ConditionUpdate("Ready", True, "x"),
            "2026-06-01T12:00:00Z",
        ),
    ],
)
def test_the_moment_of_a_transition_is_that_of_the_status(
    before: dict[str, Any], update: ConditionUpdate, moment: str
) -> None:
    (made,) = conditions(before, [update], 3, NOW)
    assert (made["lastTransitionTime"], made["observedGeneration"]) == (moment, 3)


@pytest.mark.parametrize(
    ("change", "needed"),
    [
        ({}, False),
        ({"observedGeneration": 4}, True),
        ({"photos": [{"name": "one", "accepted": True}]}, True),
        ({"modelId": "other"}, True),
    ],
)
def test_a_status_is_written_only_when_it_differs(change: dict[str, Any], needed: bool) -> None:
    there = {**seen("True", "Enrolled"), "photos": [], "modelId": "m"}
    assert differs(there, {**there, **change}) is needed


def test_a_photo_that_is_no_longer_asked_for_leaves_the_status() -> None:
    there = {**seen("True", "Enrolled"), "photos": [{"name": "one"}, {"name": "two"}]}
    assert differs(there, {**there, "photos": [{"name": "one"}]})


@pytest.mark.parametrize("name", sorted(SCALARS))
def test_a_field_without_a_value_leaves_the_status(name: str) -> None:
    there = {**seen("True", "Enrolled"), name: "triton:8001"}
    assert differs(there, seen("True", "Enrolled"))


@pytest.mark.parametrize("model", [CameraStatus, SubjectStatus, SiteStatus])
def test_all_that_a_status_may_leave_out_is_known(model: type[Tolerant]) -> None:
    always = {"observedGeneration", "site"}
    fields = {info.alias or name: info for name, info in model.model_fields.items()}
    assert {name for name in fields if name not in LISTS} - always <= SCALARS


def test_what_others_add_to_the_status_is_no_reason_to_write() -> None:
    there = {**seen("True", "Enrolled"), "note": "by another program"}
    assert not differs(there, seen("True", "Enrolled"))


def test_a_transition_is_reported_once() -> None:
    before = seen("True", "Enrolled")
    same = conditions(before, [ConditionUpdate("Ready", True, "Enrolled", "another message")], 4, NOW)
    assert transition(before, same, "Ready") is None
    other = conditions(before, [ConditionUpdate("Ready", False, "NoUsablePhoto")], 4, NOW)
    assert (transition(before, other, "Ready") or {})["reason"] == "NoUsablePhoto"


def test_a_message_that_is_too_long_is_cut_and_not_refused() -> None:
    (made,) = conditions({}, [ConditionUpdate("Ready", False, "InvalidSpec", "x" * 100_000)], 1, NOW)
    assert len(made["message"]) == 4096
