"""Sites on a real API server, around the real bus, the real inference and the real identity."""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from tests.cluster.operator_subjects import SOON_S, Stage, photo
from tests.support.kubernetes.api import ApiCluster
from tests.support.operators import NamespaceClient, camera, operating
from tests.support.waiting import wait_until
from tests.unit.operator.builders import identity_status

from vigil_cli.standalone.servers.ports import LOOPBACK

pytestmark = pytest.mark.cluster

NOWHERE = "127.0.0.1:9"


def test_a_site_at_work_says_so(people: Stage) -> None:
    people.apply("Site", people.site, {"retention": {"sightings": "30d"}})
    found = people.wait_for("site", people.site, "Resolved")
    status = found["status"]
    assert {one["type"]: one["status"] for one in status["conditions"]} == {
        "Ready": "True",
        "Connected": "True",
        "InSync": "True",
    }
    (endpoint,) = status["endpoints"]
    assert (endpoint["name"], endpoint["ready"]) == ("default", True)
    assert status["cameras"] == 0
    assert status["galleryVersion"].startswith(people.registry("status")["modelId"])
    (row,) = people.rows("SELECT resource #>> '{spec,retention,sightings}' AS kept FROM sites")
    assert row["kept"] == "30d"


def test_an_unreachable_endpoint_is_named_and_others_count(people: Stage) -> None:
    good = people.get("site", people.site)["status"]["endpoints"][0]["address"]
    endpoints = [{"name": "gpu", "address": NOWHERE}, {"name": "cpu", "address": good}]
    people.apply("Site", people.site, {"inference": {"endpoints": endpoints}})
    found = people.wait_for("site", people.site, "SomeEndpointsUnreachable")
    assert people.condition("site", people.site)["status"] == "True"
    assert "gpu (127.0.0.1:9): nothing answers at this address" in people.condition("site", people.site)["message"]
    assert [one["ready"] for one in found["status"]["endpoints"]] == [False, True]
    names = [{"name": "gpu", "address": "no-such-host.invalid:8001"}]
    people.apply("Site", people.site, {"inference": {"endpoints": names}})
    people.wait_for("site", people.site, "InferenceUnreachable")
    assert "no-such-host.invalid cannot be resolved" in people.condition("site", people.site)["message"]
    people.apply("Site", people.site, {})
    people.wait_for("site", people.site, "Resolved")


def test_a_site_that_no_gateway_serves_says_which_is_served(people: Stage) -> None:
    people.apply("Site", "elsewhere", {})
    people.wait_for("site", "elsewhere", "SiteNotServed")
    assert people.site in people.condition("site", "elsewhere")["message"]


def test_the_gallerys_version_follows_what_is_enrolled(people: Stage) -> None:
    before = people.get("site", people.site)["status"]["galleryVersion"]
    people.secret("joe", one=photo("joe-biden/1.jpg"))
    people.subject("joe", "one.jpg")
    people.wait_for("subject", "joe", "Enrolled")
    other = lambda: people.get("site", people.site)["status"]["galleryVersion"] != before  # noqa: E731 - names the condition
    wait_until(other, SOON_S, "another version", poll_s=0.5)


def test_identity_that_is_away_is_seen_and_so_is_its_return(people: Stage) -> None:
    people.identity.kill()
    people.wait_for("site", people.site, "GalleryUnreachable")
    assert people.registry_url in people.condition("site", people.site)["message"]
    people.start_identity()
    people.wait_for("site", people.site, "Resolved")


def test_a_deleted_site_goes_at_once_and_its_retention_stays(people: Stage) -> None:
    people.apply("Site", "short", {"retention": {"sightings": "7d"}})
    wait_until(lambda: people.rows("SELECT 1 FROM sites WHERE name = 'short'"), SOON_S, "identity knows it", poll_s=0.2)
    people.delete("site", "short")
    people.wait_gone("site", "short")
    gone = "SELECT resource #>> '{spec,retention,sightings}' AS kept FROM sites WHERE deleted_at IS NOT NULL"
    wait_until(lambda: people.rows(gone), SOON_S, "identity knows that it went", poll_s=0.2)
    assert people.rows(gone) == [{"kept": "7d"}]


def test_an_unknown_time_zone_is_reported(people: Stage) -> None:
    people.apply("Site", "mars", {"timezone": "Mars/Olympus"})
    people.wait_for("site", "mars", "InvalidSpec")
    assert "timezone is not in the IANA database" in people.condition("site", "mars")["message"]


class Identity(ThreadingHTTPServer):
    """Accepts everything, and knows a Triton that does ten reference detections per second.

    Attributes
    ----------
    triton_answers
        Whether that Triton has answered it since it started.
    """

    def __init__(self) -> None:
        super().__init__((LOOPBACK, 0), Answers)
        self.triton_answers = True

    @property
    def url(self) -> str:
        return f"http://{LOOPBACK}:{self.server_port}"

    def status(self) -> dict[str, Any]:
        return STATUS if self.triton_answers else STATUS | {"detector": None}


class Answers(BaseHTTPRequestHandler):
    """Answers one request to that identity."""

    server: Identity

    def _answer(self) -> None:
        self.rfile.read(int(self.headers.get("Content-Length") or 0))
        asked_how_it_is = self.path.endswith("/status")
        body = json.dumps(self.server.status() if asked_how_it_is else {"items": [], "more": False}).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    do_GET = do_PUT = do_DELETE = _answer  # noqa: N815 - the names that http.server calls

    def log_message(self, *_: object) -> None:
        """Log nothing."""


STATUS = identity_status(instances=1, reference_ms=100.0)


@contextmanager
def small_identity() -> Iterator[Identity]:
    """Run that identity."""
    server = Identity()
    serving = threading.Thread(target=server.serve_forever)
    serving.start()
    try:
        yield server
    finally:
        server.shutdown()
        serving.join()
        server.server_close()


def test_capacity_is_shared_and_outlives_a_restart(api_cluster: ApiCluster, tmp_path: Path) -> None:
    """Namespaces without a Site share it; waiting Cameras go on waiting until it is known again."""
    first, second, third = tenants = [NamespaceClient.fresh(api_cluster, f"tenant-{name}") for name in "abc"]
    for ns, name in zip(tenants, ("runs", "runs", "waits"), strict=True):
        ns.apply(camera(name, ns.namespace))
    namespaces = ",".join(ns.namespace for ns in tenants)
    with small_identity() as identity:
        wired = {"VIGIL_NAMESPACES": namespaces, "VIGIL_REGISTRY_URL": identity.url, "VIGIL_REGISTRY_TOKEN": "t"}
        with operating(api_cluster, first.namespace, tmp_path, **wired) as operator:
            found = third.wait_reason("waits", "InsufficientInferenceCapacity")["message"]
            assert "of the Site's 10 10 are taken by 2 Camera(s)" in found
            assert "for all namespaces together" in found
            for ns in (first, second):
                ns.wait_for("deployment", "camera-runs")
            operator.stop()
        identity.triton_answers = False
        with operating(api_cluster, first.namespace, tmp_path, **wired):
            wait_until(
                lambda: "has not received the inference capacity" in third.condition("waits")["message"],
                SOON_S,
                "it goes on waiting",
            )
            identity.triton_answers = True
            wait_until(lambda: "10 10 are taken by 2" in third.condition("waits")["message"], SOON_S, "room is known")
            assert third.find("deployment", "camera-waits") is None, "it was never let in"
            api_cluster.kubectl("delete", "camera", "runs", "-n", first.namespace)
            third.wait_for("deployment", "camera-waits")
