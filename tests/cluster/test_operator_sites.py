"""Sites on a real API server, around the real bus, the real inference and the real identity."""

from collections.abc import Iterator

import pytest
from tests.cluster.operator_subjects import SOON_S, Stage, photo, stage
from tests.support.kubernetes.api import ApiCluster
from tests.support.servers import NatsServer, PostgresServer, TritonServer
from tests.support.waiting import wait_until

pytestmark = pytest.mark.cluster

NOWHERE = "127.0.0.1:9"


@pytest.fixture(scope="module")
def place(
    api_cluster: ApiCluster, shared_postgres: PostgresServer, shared_nats: NatsServer, open_triton: TritonServer
) -> Iterator[Stage]:
    with stage(api_cluster, shared_postgres, shared_nats, open_triton) as made:
        yield made


def test_a_site_at_work_says_so(place: Stage) -> None:
    place.apply("Site", place.site, {"retention": {"sightings": "30d"}})
    told = place.wait_for("site", place.site, "Resolved")
    status = told["status"]
    assert {one["type"]: one["status"] for one in status["conditions"]} == {
        "Ready": "True",
        "Connected": "True",
        "InSync": "True",
    }
    (endpoint,) = status["endpoints"]
    assert (endpoint["name"], endpoint["ready"]) == ("default", True)
    assert status["cameras"] == 0
    assert status["galleryVersion"].startswith(place.registry("status")["modelId"])
    (row,) = place.rows("SELECT resource #>> '{spec,retention,sightings}' AS kept FROM sites")
    assert row["kept"] == "30d"


def test_an_endpoint_that_does_not_answer_is_named_and_the_others_count(place: Stage) -> None:
    good = place.get("site", place.site)["status"]["endpoints"][0]["address"]
    endpoints = [{"name": "gpu", "address": NOWHERE}, {"name": "cpu", "address": good}]
    place.apply("Site", place.site, {"inference": {"endpoints": endpoints}})
    told = place.wait_for("site", place.site, "SomeEndpointsUnreachable")
    assert place.condition("site", place.site)["status"] == "True"
    assert "gpu (127.0.0.1:9): nothing answers there" in place.condition("site", place.site)["message"]
    assert [one["ready"] for one in told["status"]["endpoints"]] == [False, True]
    names = [{"name": "gpu", "address": "no-such-host.invalid:8001"}]
    place.apply("Site", place.site, {"inference": {"endpoints": names}})
    place.wait_for("site", place.site, "InferenceUnreachable")
    assert "no-such-host.invalid cannot be resolved" in place.condition("site", place.site)["message"]
    place.apply("Site", place.site, {})
    place.wait_for("site", place.site, "Resolved")


def test_a_site_that_no_gateway_serves_says_which_is_served(place: Stage) -> None:
    place.apply("Site", "elsewhere", {})
    place.wait_for("site", "elsewhere", "SiteNotServed")
    assert place.site in place.condition("site", "elsewhere")["message"]


def test_the_gallerys_version_follows_what_is_enrolled(place: Stage) -> None:
    before = place.get("site", place.site)["status"]["galleryVersion"]
    place.secret("joe", one=photo("joe-biden/1.jpg"))
    place.subject("joe", "one.jpg")
    place.wait_for("subject", "joe", "Enrolled")
    other = lambda: place.get("site", place.site)["status"]["galleryVersion"] != before  # noqa: E731 - names the condition
    wait_until(other, SOON_S, "another version", poll_s=0.5)


def test_identity_that_is_away_is_seen_and_so_is_its_return(place: Stage) -> None:
    place.identity.kill()
    place.wait_for("site", place.site, "GalleryUnreachable")
    assert place.registry_url in place.condition("site", place.site)["message"]
    place.start_identity()
    place.wait_for("site", place.site, "Resolved")


def test_a_deleted_site_goes_at_once_and_its_retention_stays(place: Stage) -> None:
    place.apply("Site", "short", {"retention": {"sightings": "7d"}})
    wait_until(lambda: place.rows("SELECT 1 FROM sites WHERE name = 'short'"), SOON_S, "identity knows it", poll_s=0.2)
    place.delete("site", "short")
    place.wait_gone("site", "short")
    gone = "SELECT resource #>> '{spec,retention,sightings}' AS kept FROM sites WHERE deleted_at IS NOT NULL"
    wait_until(lambda: place.rows(gone), SOON_S, "identity knows that it went", poll_s=0.2)
    assert place.rows(gone) == [{"kept": "7d"}]


def test_a_time_zone_that_is_none_is_told(place: Stage) -> None:
    place.apply("Site", "mars", {"timezone": "Mars/Olympus"})
    place.wait_for("site", "mars", "InvalidSpec")
    assert "timezone is not in the IANA database" in place.condition("site", "mars")["message"]
