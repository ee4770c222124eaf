"""Subjects on a real API server: enrolled by the real identity, and erased before they are let go."""

import datetime as dt
import hashlib
import json
from collections.abc import Iterator
from functools import partial

import pytest
from tests.cluster.operator_subjects import SOON_S, Stage, photo
from tests.support.waiting import wait_until

from vigil_operator.reconcile.subject.erasure import FINALIZER

pytestmark = pytest.mark.cluster

JOE = ("joe-biden/1.jpg", "joe-biden/2.jpg")
MIRANDA = "lin-manuel-miranda/1.png"


@pytest.fixture(autouse=True)
def nobody_stays(people: Stage) -> Iterator[None]:
    """Erase the Subjects of a test: another one with the same photos would not be Ready."""
    yield
    people.cluster.kubectl("delete", "subjects", "--all", "-n", people.namespace, f"--timeout={SOON_S:.0f}s")


def test_photos_of_a_secret_are_enrolled_with_a_result_each(people: Stage) -> None:
    people.secret("joe", one=photo(JOE[0]), two=b"no photo at all")
    people.subject("joe", "one.jpg", "two.jpg")
    found = people.wait_for("subject", "joe", "SomePhotosRefused")
    status = found["status"]
    assert {one["type"]: one["status"] for one in status["conditions"]} == {
        "Ready": "True",
        "Enrolled": "True",
        "ConsentValid": "True",
        "Replicated": "True",
    }
    assert [(one["name"], one["reason"], one["accepted"]) for one in status["photos"]] == [
        ("one", "Accepted", True),
        ("two", "NotAnImage", False),
    ]
    assert status["photos"][0]["qualityPermille"] > 500
    assert status["subjectId"] == found["metadata"]["uid"]
    assert status["modelId"] == people.registry("status")["modelId"]
    assert found["metadata"]["finalizers"] == [FINALIZER]
    people.secret("joe", one=photo(JOE[0]), two=photo(JOE[1]))
    people.wait_for("subject", "joe", "Enrolled")
    assert len(people.rows("SELECT 1 FROM subject_embeddings WHERE subject_id = $1", found["metadata"]["uid"])) == 2


def test_a_config_maps_binary_data_is_as_good(people: Stage) -> None:
    people.config_map("map", one=photo(MIRANDA))
    photos = [{"name": "one", "configMapKeyRef": {"name": "map", "key": "one.jpg"}}]
    people.apply("Subject", "lin", {"displayName": "Lin", "photos": photos, "consent": {"status": "Granted"}})
    people.wait_for("subject", "lin", "Enrolled")


def test_one_person_under_two_names_is_reported_on_both(people: Stage) -> None:
    """Case one-person-twice: neither can be recognised, until one of the Subjects is removed."""
    people.secret("joe", one=photo(JOE[0]))
    people.secret("joseph", one=photo(JOE[1]))
    people.subject("joe", "one.jpg")
    people.wait_for("subject", "joe", "Enrolled")
    people.subject("joseph", "one.jpg")
    for name, other in (("joseph", "joe"), ("joe", "joseph")):
        people.wait_for("subject", name, "LooksLikeAnother")
        ready, enrolled = people.condition("subject", name), people.condition("subject", name, "Enrolled")
        assert (ready["status"], enrolled["status"]) == ("False", "True")
        assert f"looks like the same person as {other} (0." in ready["message"]
    people.delete("subject", "joseph")
    people.wait_for("subject", "joe", "Enrolled")


def test_a_secret_that_arrives_later_is_enrolled_by_itself(people: Stage) -> None:
    people.subject("late", "one.jpg")
    found = people.wait_for("subject", "late", "PhotoSourceMissing")
    (one,) = found["status"]["photos"]
    where = f"there is no Secret late in namespace {people.namespace}"
    message = f"{where}; create it with the label vigil.dev/readable-by=Subject"
    assert (one["reason"], one["message"]) == ("NotFound", message)
    assert "finalizers" not in found["metadata"]  # nothing has left for identity
    people.secret("late", other=photo(JOE[0]))
    wait_until(
        lambda: "has no key one.jpg" in people.get("subject", "late")["status"]["photos"][0]["message"],
        SOON_S,
        "the missing key is reported",
    )
    people.secret("late", one=photo(JOE[0]))
    people.wait_for("subject", "late", "Enrolled")
    people.cluster.kubectl("delete", "secret", "late", "-n", people.namespace)
    wait_until(
        lambda: "no longer there" in people.get("subject", "late")["status"]["photos"][0].get("message", ""),
        SOON_S,
        "the missing source is reported",
    )
    assert people.condition("subject", "late")["status"] == "True"
    assert people.puts("late") == 1


def test_bytes_with_another_sha256_are_never_sent(people: Stage) -> None:
    good = photo(JOE[0])
    people.secret("sums", one=good)
    people.subject("sums", "one.jpg", sha256=hashlib.sha256(b"another photo").hexdigest())
    found = people.wait_for("subject", "sums", "PhotoSourceMissing")
    assert found["status"]["photos"][0]["reason"] == "ChecksumMismatch"
    assert hashlib.sha256(good).hexdigest() in found["status"]["photos"][0]["message"]
    assert people.puts("sums") == 0
    people.subject("sums", "one.jpg", sha256=hashlib.sha256(good).hexdigest())
    people.wait_for("subject", "sums", "Enrolled")


def test_who_takes_consent_back_leaves_the_gallery_at_once(people: Stage) -> None:
    people.secret("takes-back", one=photo(JOE[0]))
    people.subject("takes-back", "one.jpg")
    uid = people.wait_for("subject", "takes-back", "Enrolled")["metadata"]["uid"]
    vectors = people.registry("status")["vectors"]
    people.subject("takes-back", "one.jpg", consent={"status": "Withdrawn"})
    found = people.wait_for("subject", "takes-back", "ConsentNotGranted")
    assert {one["type"]: one["status"] for one in found["status"]["conditions"]}["ConsentValid"] == "False"
    assert found["status"].get("photos", []) == []
    assert people.registry("status")["vectors"] == vectors - 1
    assert people.rows("SELECT 1 FROM subject_photos WHERE subject_id = $1", uid) == []


def test_consent_that_ends_ends_the_recognition_by_itself(people: Stage) -> None:
    people.secret("ends", one=photo(JOE[0]))
    end = (dt.datetime.now(dt.UTC) + dt.timedelta(seconds=40)).strftime("%Y-%m-%dT%H:%M:%SZ")
    people.subject("ends", "one.jpg", consent={"status": "Granted", "expiresAt": end})
    uid = people.wait_for("subject", "ends", "Enrolled")["metadata"]["uid"]
    people.wait_for("subject", "ends", "ConsentExpired")
    assert people.rows("SELECT 1 FROM subject_embeddings WHERE subject_id = $1", uid) == []


def test_a_deleted_subject_is_erased_with_a_receipt(people: Stage) -> None:
    people.secret("leaves", one=photo(JOE[0]), two=photo(JOE[1]))
    people.subject("leaves", "one.jpg", "two.jpg")
    uid = people.wait_for("subject", "leaves", "Enrolled")["metadata"]["uid"]
    before = people.registry("status")
    assert len(people.rows("SELECT 1 FROM subject_embeddings WHERE subject_id = $1", uid)) == 2
    people.delete("subject", "leaves")
    people.wait_gone("subject", "leaves")
    after = people.registry("status")
    assert (before["subjects"] - after["subjects"], before["vectors"] - after["vectors"]) == (1, 2)
    for table in ("subjects", "subject_photos", "subject_embeddings"):
        column = "id" if table == "subjects" else "subject_id"
        assert people.rows(f"SELECT 1 FROM {table} WHERE {column} = $1", uid) == []  # noqa: S608 - our tables
    receipt = people.registry(f"erasures/{uid}")
    assert receipt["counts"]["qdrant.vectors"] == 2
    (event,) = [one for one in people.events("leaves") if one["reason"] == "Erased"]
    assert uid in event["note"]
    assert "2 qdrant.vectors" in event["note"]
    assert f'"erasure": "{uid}"' in people.operator.log


def test_a_subject_made_anew_at_once_is_enrolled_anew(people: Stage) -> None:
    people.secret("again", one=photo(JOE[0]))
    people.subject("again", "one.jpg")
    first = people.wait_for("subject", "again", "Enrolled")["metadata"]["uid"]
    people.delete("subject", "again")
    people.wait_gone("subject", "again")
    people.subject("again", "one.jpg")
    second = people.wait_for("subject", "again", "Enrolled")["metadata"]["uid"]
    assert first != second
    found = people.rows("SELECT id FROM subjects WHERE name = 'again'")
    assert [str(row["id"]) for row in found] == [second]


def test_a_subject_that_was_never_enrolled_is_let_go_at_once(people: Stage) -> None:
    people.subject("never", "one.jpg")
    people.wait_for("subject", "never", "PhotoSourceMissing")
    people.delete("subject", "never")
    people.wait_gone("subject", "never")
    assert people.puts("never") == 0


def test_a_restarted_operator_sends_no_photo_again(people: Stage) -> None:
    people.secret("stays", one=photo(JOE[0]))
    people.subject("stays", "one.jpg")
    people.wait_for("subject", "stays", "Enrolled")
    people.operator.kill()
    people.operator.start()
    # a later Subject is done after those that were there before
    people.secret("later", one=photo(MIRANDA))
    people.subject("later", "one.jpg")
    people.wait_for("subject", "later", "Enrolled")
    assert people.puts("stays") == 1


def test_nothing_is_written_while_nothing_changes(people: Stage) -> None:
    people.secret("calm", one=photo(JOE[0]))
    people.subject("calm", "one.jpg")
    before = people.wait_for("subject", "calm", "Enrolled")["metadata"]["resourceVersion"]
    people.secret("calm", one=photo(JOE[0]), unused=b"another key")
    people.subject("waker", "one.jpg")
    people.wait_for("subject", "waker", "PhotoSourceMissing")
    assert people.get("subject", "calm")["metadata"]["resourceVersion"] == before


def test_a_deletion_waits_for_identity_and_reports_it(people: Stage) -> None:
    people.secret("waits", one=photo(JOE[0]))
    people.subject("waits", "one.jpg")
    uid = people.wait_for("subject", "waits", "Enrolled")["metadata"]["uid"]
    people.identity.kill()
    people.cluster.kubectl("delete", "secret", "waits", "-n", people.namespace)
    people.delete("subject", "waits")
    wait_until(
        lambda: people.condition("subject", "waits").get("reason") == "ErasureWaiting", SOON_S, "it says that it waits"
    )
    ready = people.condition("subject", "waits")
    assert ready["status"] == "False"
    assert "waiting for the identity service" in ready["message"]
    assert people.registry_url in ready["message"]
    people.subject("meanwhile", "one.jpg")
    people.wait_for("subject", "meanwhile", "GalleryUnreachable")
    people.start_identity()
    people.wait_gone("subject", "waits")
    assert people.registry(f"erasures/{uid}")["counts"]["qdrant.vectors"] == 1
    people.wait_for("subject", "meanwhile", "PhotoSourceMissing")


def test_a_finalizer_removed_by_hand_keeps_no_data(people: Stage) -> None:
    people.secret("by-hand", one=photo(JOE[0]))
    people.subject("by-hand", "one.jpg")
    uid = people.wait_for("subject", "by-hand", "Enrolled")["metadata"]["uid"]
    people.cluster.kubectl(
        *("patch", "subject", "by-hand", "-n", people.namespace, "--type=merge"),
        *("-p", json.dumps({"metadata": {"finalizers": None}})),
    )
    people.delete("subject", "by-hand")
    people.wait_gone("subject", "by-hand")
    erased = lambda: people.rows("SELECT 1 FROM subjects WHERE id = $1", uid) == []  # noqa: E731 - a name for the condition
    wait_until(erased, SOON_S, "it is erased all the same", poll_s=0.2)


def test_a_finalizer_lost_in_a_replacement_is_put_back(people: Stage) -> None:
    people.secret("replaced", one=photo(JOE[0]))
    people.subject("replaced", "one.jpg")
    people.wait_for("subject", "replaced", "Enrolled")
    manifest = people.get("subject", "replaced")
    manifest["metadata"] = {"name": "replaced", "namespace": people.namespace}
    people.cluster.kubectl("replace", "-f", "-", input=json.dumps(manifest))
    has = lambda: people.get("subject", "replaced")["metadata"].get("finalizers") == [FINALIZER]  # noqa: E731
    wait_until(has, SOON_S, "the finalizer is back", poll_s=0.2)
    assert people.puts("replaced") == 1


def test_a_subject_renamed_without_its_secret_stays_enrolled(people: Stage) -> None:
    people.secret("renamed", one=photo(JOE[0]))
    people.subject("renamed", "one.jpg")
    uid = people.wait_for("subject", "renamed", "Enrolled")["metadata"]["uid"]
    people.delete("secret", "renamed")
    people.subject("renamed", "one.jpg", displayName="Another Name")

    def named() -> bool:
        found = people.rows("SELECT display_name AS name FROM subjects WHERE id = $1", uid)
        return [dict(row) for row in found] == [{"name": "Another Name"}]

    wait_until(named, SOON_S, "identity has the other name", poll_s=0.2)
    people.wait_for("subject", "renamed", "Enrolled")
    assert len(people.rows("SELECT 1 FROM subject_embeddings WHERE subject_id = $1", uid)) == 1


def test_deletions_without_an_operator_reach_identity(people: Stage) -> None:
    """They are found when the next operator starts."""
    people.secret("absent", one=photo(JOE[0]), two=photo(MIRANDA))
    people.subject("absent", "one.jpg")
    people.subject("present", "two.jpg", photos=[{"name": "two", "secretKeyRef": {"name": "absent", "key": "two.jpg"}}])
    uid = people.wait_for("subject", "absent", "Enrolled")["metadata"]["uid"]
    people.wait_for("subject", "present", "Enrolled")
    people.apply("Camera", "absent", {"source": {"type": "RTSP", "url": "rtsp://10.0.0.5:554/one"}})
    people.apply("Site", "absent", {"retention": {"sightings": "30d"}})

    def there(table: str) -> bool:
        question = f"SELECT 1 FROM {table} WHERE name = 'absent' AND namespace = $1 AND deleted_at IS NULL"  # noqa: S608 - ours
        return bool(people.rows(question, people.namespace))

    def gone(table: str) -> bool:
        return not there(table)

    for table in ("cameras", "sites"):
        wait_until(partial(there, table), SOON_S, f"identity has it in {table}", poll_s=0.2)
    people.operator.kill()
    people.cluster.kubectl(
        *("patch", "subject", "absent", "-n", people.namespace, "--type=merge"),
        *("-p", json.dumps({"metadata": {"finalizers": None}})),
    )
    for kind in ("subject", "camera", "site"):
        people.delete(kind, "absent")
        people.wait_gone(kind, "absent")
    people.operator.start()
    for table in ("cameras", "sites"):
        wait_until(partial(gone, table), SOON_S, f"it is out of {table}", poll_s=0.2)
    erased = lambda: people.rows("SELECT 1 FROM subjects WHERE id = $1", uid) == []  # noqa: E731 - a name for the condition
    wait_until(erased, SOON_S, "the person is erased", poll_s=0.2)
    assert people.rows("SELECT 1 FROM subjects WHERE name = 'present'") != []
