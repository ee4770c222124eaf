"""A Subject that the schema would refuse: written under another one, or by hand."""

import itertools
import json
from collections.abc import Iterator, Mapping

import pytest
from tests.cluster.operator_subjects import SOON_S, Stage, photo, stage
from tests.support.kubernetes.api import ApiCluster
from tests.support.servers import NatsServer, PostgresServer, TritonServer
from tests.support.shared import ROOT
from tests.support.waiting import wait_until

pytestmark = pytest.mark.cluster

CRD = "subjects.vigil.dev"
ANYTHING = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}


@pytest.fixture
def people(
    own_api_cluster: ApiCluster, shared_postgres: PostgresServer, shared_nats: NatsServer, open_triton: TritonServer
) -> Iterator[Stage]:
    with stage(own_api_cluster, shared_postgres, shared_nats, open_triton) as made:
        yield made


def loosen(cluster: ApiCluster) -> None:
    """Let the API server take any spec, as before a rule was made."""
    crd = json.loads(cluster.kubectl("get", "crd", CRD, "-o", "json").stdout)
    schema = crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"]
    schema["properties"]["spec"] = ANYTHING
    schema.pop("x-kubernetes-validations", None)
    crd["spec"]["versions"][0].pop("selectableFields", None)  # they name fields that the schema no longer has
    cluster.kubectl("replace", "-f", "-", input=json.dumps(crd))


def patch(people: Stage, name: str, change: Mapping[str, object], *options: str) -> bool:
    done = people.cluster.kubectl(
        *("patch", "subject", name, "-n", people.namespace, "--type=merge", "-p", json.dumps(change), *options),
        check=False,
    )
    return done.returncode == 0


def invalid_message(people: Stage, name: str) -> str:
    """Return the message of a Subject with Ready=False, InvalidSpec; empty while Ready has another reason."""
    ready = people.condition("subject", name)
    return str(ready["message"]) if ready["reason"] == "InvalidSpec" else ""


def test_it_says_what_is_wrong_and_is_erased_all_the_same(people: Stage) -> None:
    people.secret("old", one=photo("joe-biden/1.jpg"))
    people.subject("old", "one.jpg")
    uid = people.wait_for("subject", "old", "Enrolled")["metadata"]["uid"]
    loosen(people.cluster)
    # Watches of the old schema receive what it leaves, so it is written until one of the new schema is there.
    times = itertools.count()

    def unknown_field_is_reported() -> bool:
        wrong = {
            "metadata": {"annotations": {"written": str(next(times))}},
            "spec": {"consent": None, "colour": "red", "photos": "none"},
        }
        return patch(people, "old", wrong) and "spec.colour: unknown field" in invalid_message(people, "old")

    wait_until(unknown_field_is_reported, SOON_S, "the unknown field is reported", poll_s=0.5)
    people.cluster.kubectl("apply", "--server-side", "--force-conflicts", "-f", str(ROOT / "crds"))
    people.wait_for("subject", "old", "InvalidSpec")
    assert "spec.consent: is required" in invalid_message(people, "old")
    people.delete("subject", "old")
    people.wait_gone("subject", "old")
    assert people.registry(f"erasures/{uid}")["counts"]["qdrant.vectors"] == 1


def test_a_status_written_by_hand_is_put_right(people: Stage) -> None:
    people.secret("reported", one=photo("joe-biden/1.jpg"))
    people.subject("reported", "one.jpg")
    before = people.wait_for("subject", "reported", "Enrolled")["status"]
    condition = {
        "type": "Ready",
        "status": "False",
        "reason": "ByHand",
        "lastTransitionTime": "2020-01-01T00:00:00Z",
    }
    wrong = {"status": {"conditions": [condition], "photos": [], "subjectId": None}}
    assert patch(people, "reported", wrong, "--subresource=status")
    after = people.wait_for("subject", "reported", "Enrolled")["status"]
    assert after["subjectId"] == before["subjectId"]
    assert after["photos"] == before["photos"]
    assert {one["type"] for one in after["conditions"]} == {one["type"] for one in before["conditions"]}
