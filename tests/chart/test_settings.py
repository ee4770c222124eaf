"""The programs accept the settings of the chart, and the chart knows what the programs report."""

import json
import os
import re

import pytest
from tests.chart.rendering import (
    CHART,
    environment,
    only,
    rendered,
)

from vigil_gateway.settings import ApiSettings, IdentitySettings
from vigil_operator.kube.errors import KubeError
from vigil_operator.settings import Settings
from vigil_runtime.settings import load

pytestmark = pytest.mark.usefixtures("helm")

STREAM_GOAL_MIB = 120
"""Most memory of a stream, of docs/performance.md."""


def test_stream_requests_cover_the_measured_memory() -> None:
    operator = only(rendered("default"), "Deployment", "vigil-operator")
    variables = environment(operator["spec"]["template"]["spec"]["containers"][0])
    resources = json.loads(variables["VIGIL_STREAM_RESOURCES"])
    assert int(resources["requests"]["memory"].removesuffix("Mi")) >= STREAM_GOAL_MIB


def test_the_alert_on_failing_reconciles_knows_every_way_to_fail() -> None:
    alerts = (CHART / "files/alerts.yaml").read_text()
    outcomes = re.search(r'reconciles_total\{outcome=~"([^"]+)"', alerts)
    assert outcomes is not None
    # As the loop counts them: a failure by the name of its error; a fault of the operator's own is Failed.
    ways = {each.__name__.removesuffix("Error") for each in KubeError.__subclasses__()} - {"Gone"}  # of watches only
    assert set(outcomes[1].split("|")) == ways | {"Failed"}


def test_the_operator_accepts_every_setting_of_the_chart(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name.startswith("VIGIL_")]:
        monkeypatch.delenv(name)
    operator = only(rendered("production"), "Deployment", "vigil-operator")
    container = operator["spec"]["template"]["spec"]["containers"][0]
    for each in container["env"]:
        monkeypatch.setenv(each["name"], each.get("value", "given-by-the-cluster"))
    settings = load(Settings)
    assert settings.stream_resources["limits"] == {"memory": "256Mi"}
    assert settings.stream_image == "vigil/stream:0.1.0"
    assert settings.triton_endpoints == ["vigil-triton.vigil.svc:8001"]
    known = {f"VIGIL_{name.upper()}" for name in Settings.model_fields}
    assert {each["name"] for each in container["env"]} <= known


def test_the_labels_of_pod_monitors_reach_the_operator(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = ("operator.monitoring=PodMonitor", "operator.podMonitorLabels.release=prometheus")
    for sets, labels in (((), {}), (asked, {"release": "prometheus"})):
        operator = only(rendered("default", *sets), "Deployment", "vigil-operator")
        variables = environment(operator["spec"]["template"]["spec"]["containers"][0])
        monkeypatch.setenv("VIGIL_POD_MONITOR_LABELS", variables["VIGIL_POD_MONITOR_LABELS"])
        assert Settings().pod_monitor_labels == labels


@pytest.mark.parametrize("given", [(), ("10.20.0.0/16",), ("192.168.7.4/32", "fd00:20::/64")], ids=str)
def test_photos_come_only_from_the_named_private_networks(
    given: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Private networks are allowed only if the settings name them."""
    sets = [f"operator.photoNetworks[{number}]={network}" for number, network in enumerate(given)]
    operator = only(rendered("default", *sets), "Deployment", "vigil-operator")
    variables = environment(operator["spec"]["template"]["spec"]["containers"][0])
    monkeypatch.setenv("VIGIL_PHOTO_NETWORKS", variables["VIGIL_PHOTO_NETWORKS"])
    assert tuple(map(str, Settings().allowed_photo_networks)) == given


@pytest.mark.parametrize(
    ("component", "settings"), [("api", ApiSettings), ("identity", IdentitySettings)], ids=["api", "identity"]
)
def test_the_gateway_accepts_every_setting_of_the_chart(
    component: str, settings: type[ApiSettings | IdentitySettings], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in [name for name in os.environ if name.startswith("VIGIL_")]:
        monkeypatch.delenv(name)
    workload = only(rendered("production", "api.corsOrigins[0]=https://a.example"), "Deployment", f"vigil-{component}")
    container = workload["spec"]["template"]["spec"]["containers"][0]
    for each in container["env"]:
        monkeypatch.setenv(each["name"], each.get("value", "given-by-the-cluster"))
    assert load(settings).http_port == 8080
    known = {f"VIGIL_{name.upper()}" for name in settings.model_fields} | {"VIGIL_API_CORS_ORIGINS"}
    assert {each["name"] for each in container["env"]} <= known
