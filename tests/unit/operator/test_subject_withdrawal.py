"""A withdrawal is applied at once, also in a Subject whose stored spec breaks a rule of this version."""

import json
import uuid
from typing import Any

import pytest
from aiohttp import web
from tests.unit.operator.contexts import context_of, identity_that

from vigil_contracts.registry import enrolment_digest
from vigil_contracts.resources import Subject, check, withdrawal
from vigil_operator.kube.cache import Cache
from vigil_operator.kube.kinds import Key, Kind, Object
from vigil_operator.reconcile.subject.enrolment import Enroller
from vigil_operator.reconcile.subject.erasure import FINALIZER
from vigil_operator.registry.identity_status import IdentityStatus

KEY = Key(Kind.SUBJECT, "default", "ann")
UID = str(uuid.UUID(int=1))


def stored(consent: Any, **spec: Any) -> Object:
    """Return a Subject as the API server has it, with a name that this version refuses."""
    metadata = {"name": "ann", "namespace": "default", "uid": UID, "resourceVersion": "1", "finalizers": [FINALIZER]}
    body = {"displayName": "Ann ", "consent": consent, "photos": [], **spec}
    return {"apiVersion": "vigil.dev/v1alpha1", "kind": "Subject", "metadata": metadata, "spec": body}


async def test_withdrawal_waits_for_no_correction_of_the_spec() -> None:
    """Identity gets a Subject that it takes, and has it from then on."""
    received: list[Subject] = []

    async def identity(request: web.Request) -> web.StreamResponse:
        form: Any = await request.post()
        subject = check(json.loads(form["subject"]))
        assert isinstance(subject, Subject), subject
        received.append(subject)
        digest = enrolment_digest(subject.spec.model_dump_json(by_alias=True), {})
        report = {"subjectId": UID, "enrolled": False, "reason": "ConsentNotGranted", "digest": digest}
        return web.json_response(report)

    obj, cache = stored({"status": "Withdrawn"}), Cache()
    cache.put(Kind.SUBJECT, obj)
    assert isinstance(check(obj), list)
    subject = withdrawal(obj)
    assert subject is not None
    async with identity_that(identity) as registry:
        enroller = Enroller(context_of(cache), registry, IdentityStatus(registry, lambda: None))
        enroller.remember_stored(KEY, UID)
        first, _ = await enroller.enroll(KEY, obj, subject)
        second, _ = await enroller.enroll(KEY, obj, subject)
        await enroller.close()
    assert [str(one.spec.consent.status) for one in received] == ["Withdrawn"]
    assert received[0].metadata.uid == uuid.UUID(UID)
    assert first.report is not None
    assert (first.report.reason, second.report) == ("ConsentNotGranted", first.report)


@pytest.mark.parametrize(
    ("consent", "is_withdrawal"),
    [
        ({"status": "Granted"}, False),
        ({"status": "Withdrawn"}, True),
        ({"status": "withdrawn"}, True),
        ({"status": 3}, True),
        ({"status": "Pending", "expiresAt": "nonsense"}, True),
        ({}, False),
        ("Withdrawn", False),
        (None, False),
    ],
)
def test_what_counts_as_a_withdrawal(consent: Any, is_withdrawal: bool) -> None:
    assert (withdrawal(stored(consent)) is not None) is is_withdrawal
    assert withdrawal({**stored(consent), "metadata": {"name": "No Name"}}) is None
    assert withdrawal({**stored(consent), "metadata": None}) is None
