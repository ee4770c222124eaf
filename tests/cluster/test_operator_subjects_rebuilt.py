"""A database outlives its cluster: who is not applied yet in one that was built anew is nobody's deletion."""

import json

import pytest
from tests.cluster.operator_subjects import SOON_S, Stage, photo
from tests.support.waiting import wait_until

pytestmark = pytest.mark.cluster

LEASE = "vigil-operator"


def enroll(people: Stage, name: str) -> str:
    people.secret(name, one=photo("joe-biden/1.jpg"))
    people.subject(name, "one.jpg")
    return str(people.wait_for("subject", name, "Enrolled")["metadata"]["uid"])


def lose(people: Stage, name: str) -> None:
    """Take a Subject away without an erasure, as the end of its cluster does."""
    none = json.dumps({"metadata": {"finalizers": None}})
    people.cluster.kubectl("patch", "subject", name, "-n", people.namespace, "--type=merge", "-p", none)
    people.delete("subject", name)
    people.wait_gone("subject", name)


def registrar(people: Stage, uid: str) -> str:
    """Return the installation of a Subject; empty when identity does not have it."""
    return "".join(str(row["registrar"]) for row in people.rows("SELECT registrar FROM subjects WHERE id = $1", uid))


def test_a_rebuilt_cluster_erases_only_deleted_subjects(people: Stage) -> None:
    """A Subject has to be applied to it and deleted."""
    before = enroll(people, "kept")
    assert registrar(people, before) == people.get("lease", LEASE)["metadata"]["uid"]
    people.operator.kill()
    lose(people, "kept")
    people.delete("lease", LEASE)
    people.operator.start()
    said = lambda: "apply the Subject and delete it" in people.operator.log  # noqa: E731 - a name for the condition
    wait_until(said, SOON_S, "it says what it left", poll_s=0.2)
    assert f"{people.namespace}/kept" in people.operator.log
    assert registrar(people, before) not in {"", people.get("lease", LEASE)["metadata"]["uid"]}
    after = enroll(people, "kept")
    assert registrar(people, before) == ""
    assert registrar(people, after) == people.get("lease", LEASE)["metadata"]["uid"]
    people.delete("subject", "kept")
    people.wait_gone("subject", "kept")
    assert registrar(people, after) == ""


def test_an_applied_subject_moves_without_its_photos(people: Stage) -> None:
    """Applying it transfers it to the new installation."""
    uid = enroll(people, "claimed")
    people.operator.kill()
    people.delete("lease", LEASE)
    people.operator.start()

    def is_claimed() -> bool:
        lease = people.cluster.kubectl("get", "lease", LEASE, "-n", people.namespace, "-o", "json", check=False).stdout
        return bool(lease) and registrar(people, uid) == json.loads(lease)["metadata"]["uid"]

    wait_until(is_claimed, SOON_S, "it is the new installation's", poll_s=0.2)
    assert people.puts("claimed") == 1
    people.operator.kill()
    lose(people, "claimed")
    people.operator.start()
    wait_until(lambda: not registrar(people, uid), SOON_S, "it is taken out as this installation's own", poll_s=0.2)
