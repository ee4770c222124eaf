"""The environment: each fault is named, and no value is shown."""

import json
import subprocess
import sys

import pytest
from tests.support.servers import environment

from vigil_operator.resources.names import labels
from vigil_operator.settings import Settings
from vigil_runtime.settings import SettingsError, load

WRONG: dict[str, tuple[dict[str, str], str]] = {
    "namespaces": ({"VIGIL_NAMESPACES": "a,B c"}, "B c: not names of namespaces"),
    "lease": ({"VIGIL_LEASE_S": "1"}, "VIGIL_LEASE_S"),
    "json": ({"VIGIL_STREAM_RESOURCES": "{nonsense"}, "VIGIL_STREAM_RESOURCES"),
    "half a registry": ({"VIGIL_REGISTRY_URL": "http://identity:8080"}, "VIGIL_REGISTRY_TOKEN"),
    "photos at once": ({"VIGIL_PHOTOS_AT_ONCE": "0"}, "VIGIL_PHOTOS_AT_ONCE"),
    "photo networks": ({"VIGIL_PHOTO_NETWORKS": "10.0.0.0/8,192.168.0.1/16"}, "VIGIL_PHOTO_NETWORKS: 192.168.0.1/16"),
    "monitoring": ({"VIGIL_MONITORING": "Nagios"}, "VIGIL_MONITORING"),
    "labels that are no object": ({"VIGIL_POD_MONITOR_LABELS": "release"}, "VIGIL_POD_MONITOR_LABELS"),
    "a label's name": (
        {"VIGIL_POD_MONITOR_LABELS": '{"re lease": "a"}'},
        "VIGIL_POD_MONITOR_LABELS: re lease: not the name of a label",
    ),
    "a label's value": (
        {"VIGIL_POD_MONITOR_LABELS": '{"release": "a b"}'},
        "VIGIL_POD_MONITOR_LABELS: release: not the value of a label",
    ),
}


@pytest.mark.parametrize("name", WRONG)
def test_what_is_wrong_is_named(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    environment, words = WRONG[name]
    monkeypatch.setenv("VIGIL_NATS_TOKEN", "very-secret")
    for variable, value in environment.items():
        monkeypatch.setenv(variable, value)
    with pytest.raises(SettingsError) as error:
        load(Settings)
    assert words in str(error.value)
    assert "very-secret" not in str(error.value)


@pytest.mark.parametrize("label", labels("front"))
def test_no_label_of_vigils_own_can_be_given_to_pod_monitors(monkeypatch: pytest.MonkeyPatch, label: str) -> None:
    monkeypatch.setenv("VIGIL_POD_MONITOR_LABELS", json.dumps({"release": "prometheus", label: "mine"}))
    with pytest.raises(SettingsError) as error:
        load(Settings)
    assert str(error.value).startswith(f"VIGIL_POD_MONITOR_LABELS: {label}: ")
    assert "are Vigil's own; take another, or leave it out" in str(error.value)


def test_the_program_names_the_wrong_variable_and_ends() -> None:
    """There is no traceback."""
    done = subprocess.run(
        [sys.executable, "-m", "vigil_operator", "run"],
        env={**environment(), "VIGIL_PHOTOS_AT_ONCE": "0"},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 2
    assert done.stderr.startswith("vigil-operator: VIGIL_PHOTOS_AT_ONCE: ")
    assert "Traceback" not in done.stderr


def test_lists_and_json_are_read_and_empty_is_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VIGIL_NAMESPACES", "a, b,")
    monkeypatch.setenv("VIGIL_STREAM_RESOURCES", '{"limits": {"memory": "1Gi"}}')
    monkeypatch.setenv("VIGIL_REGISTRY_URL", "")
    found = load(Settings)
    assert found.served_namespaces == ("a", "b")
    assert found.stream_resources == {"limits": {"memory": "1Gi"}}
    assert found.registry_url is None
