"""The watch cache: newer news only, no values of Secrets, indices that are always right."""

import base64
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.unit.operator.builders import cache, camera_object, secret

from vigil_operator.kube.cache import Cache, Change
from vigil_operator.kube.kinds import Key, Kind
from vigil_operator.kube.trim import digest
from vigil_operator.routes import BY_SECRET, BY_SITE

FRONT = Key(Kind.CAMERA, "default", "front")


def test_older_news_replaces_nothing() -> None:
    made = cache(camera_object(version=5, sampling={"fps": 5}))
    made.put(Kind.CAMERA, camera_object(version=4, sampling={"fps": 4}))
    found = made.get(FRONT)
    assert found is not None
    assert found["spec"]["sampling"] == {"fps": 5}


def test_a_late_response_to_a_write_restores_no_object() -> None:
    """The object was deleted meanwhile."""
    made = cache(camera_object(version=5))
    made.remove(Kind.CAMERA, camera_object(version=9))
    made.put(Kind.CAMERA, camera_object(version=8))
    assert made.get(FRONT) is None
    made.put(Kind.CAMERA, camera_object(version=10))
    assert made.get(FRONT) is not None


def test_a_late_deletion_removes_no_recreated_object() -> None:
    made = cache(camera_object(version=10))
    made.remove(Kind.CAMERA, camera_object(version=9))
    assert made.get(FRONT) is not None


@pytest.mark.parametrize("first", ["left", "entered"])
def test_an_object_that_changes_watches_is_kept(first: str) -> None:
    """One watch reports it as deleted and the other as added, by the same change and in any order."""
    made = cache(camera_object(version=9))
    if first == "left":
        made.remove(Kind.CAMERA, camera_object(version=10))
    made.put(Kind.CAMERA, camera_object(version=10, sampling={"fps": 4}))
    if first == "entered":
        made.remove(Kind.CAMERA, camera_object(version=10))
    found = made.get(FRONT)
    assert found is not None
    assert found["spec"]["sampling"] == {"fps": 4}
    made.remove(Kind.CAMERA, camera_object(version=11))
    assert made.get(FRONT) is None


def test_a_list_removes_missing_and_keeps_newer_objects() -> None:
    made = cache(camera_object("old", 3), camera_object("kept", 4), camera_object("new", 12))
    gone = made.retain(Kind.CAMERA, {Key(Kind.CAMERA, "default", "kept")}, 10, lambda _: True)
    assert [key.name for key in gone] == ["old"]
    assert {key.name for key in made.keys(Kind.CAMERA)} == {"kept", "new"}


def test_a_secrets_values_are_never_held() -> None:
    made = Cache()
    values = {"password": "correct horse", "empty": ""}
    stored = {key: base64.b64encode(value.encode()).decode() for key, value in values.items()}
    annotations = {"kubectl.kubernetes.io/last-applied-configuration": json.dumps({"stringData": values})}
    metadata = {"name": "login", "namespace": "default", "resourceVersion": "1", "annotations": annotations}
    made.put(Kind.SECRET, {"metadata": metadata, "data": stored, "type": "Opaque"})
    held = made.get(Key(Kind.SECRET, "default", "login"))
    assert held is not None
    assert held["data"] == {"password": digest(b"correct horse"), "empty": digest(b"")}
    assert "correct horse" not in json.dumps(held)
    assert stored["password"] not in json.dumps(held)


def test_whatever_lies_in_a_secret_is_no_reason_to_fail() -> None:
    made = Cache()
    metadata = {"name": "odd", "namespace": "default", "resourceVersion": "1"}
    made.put(Kind.SECRET, {"metadata": metadata, "data": {"a": "not base64!", "b": None}})
    made.put(Kind.SECRET, {"metadata": {**metadata, "resourceVersion": "2"}, "data": None})


def test_listeners_hear_each_change_with_what_was_before() -> None:
    made, heartbeat = Cache(), list[Change]()
    made.listen(heartbeat.append)
    made.put(Kind.SECRET, secret("a", 1, x="1"))
    made.put(Kind.SECRET, secret("a", 2, x="2"))
    made.remove(Kind.SECRET, secret("a", 3))
    assert [(one.old is None, one.new is None) for one in heartbeat] == [(True, False), (False, False), (False, True)]


OPERATIONS = st.lists(
    st.tuples(
        st.sampled_from(["put", "remove"]),
        st.sampled_from(["a", "b", "c"]),
        st.integers(1, 20),
        st.sampled_from([None, "login", "other"]),
        st.sampled_from([None, "hall"]),
    ),
    max_size=40,
)


@given(OPERATIONS)
def test_an_index_always_has_what_a_search_would_find(
    operations: list[tuple[str, str, int, str | None, str | None]],
) -> None:
    made = cache()
    for what, name, version, login, hall in operations:
        source = {"credentialsSecretRef": {"name": login}} if login else {}
        obj = camera_object(name, version, source=source, **({"siteRef": {"name": hall}} if hall else {}))
        (made.put if what == "put" else made.remove)(Kind.CAMERA, obj)
    for index, value, path in (
        (BY_SECRET, "login", ("source", "credentialsSecretRef")),
        (BY_SITE, "hall", ("siteRef",)),
    ):
        wanted = set()
        for obj in made.all(Kind.CAMERA):
            place = obj["spec"]
            for part in path:
                place = place.get(part) or {}
            if place.get("name") == value:
                wanted.add(obj["metadata"]["name"])
        assert {obj["metadata"]["name"] for obj in made.find(Kind.CAMERA, index, "default", value)} == wanted
