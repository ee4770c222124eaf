"""The manifests of the guides are valid, and everything that they name exists."""

import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from tests.support.shared import ROOT

from vigil_contracts.conditions import CameraReason, ClockReason, FitnessReason, SiteReason, SourceReason, SubjectReason
from vigil_contracts.resources import API_VERSION, check

GUIDES = [
    ROOT / "docs" / f"{name}.md" for name in ("install", "first-camera", "gitops", "permissions", "troubleshooting")
]
CHART = ROOT / "charts" / "vigil"
POD_STATES = {"Init", "Pending"}
EVENTS = {"TakenBack", "Erased"}
"""Reported once, when something was done; no condition has them for a reason."""


def _blocks(text: str) -> list[str]:
    fenced = [match[1] for match in re.finditer(r"```[a-z]*\n(.*?)```", text, re.DOTALL)]
    return [part for block in fenced for part in re.findall(r"(?:<<EOF\n)(.*?)EOF", block, re.DOTALL) or [block]]


def _resources(guide: Path) -> list[dict[str, Any]]:
    found = []
    for block in _blocks(guide.read_text()):
        if "apiVersion: vigil.dev" in block:
            found += [each for each in yaml.safe_load_all(block) if each]
    return found


def test_every_resource_in_the_guides_is_valid() -> None:
    given = [each for guide in GUIDES for each in _resources(guide)]
    assert {each["kind"] for each in given} == {"Camera", "Subject", "Site"}
    for each in given:
        problems = check(each)
        assert not isinstance(problems, list), problems


def test_what_the_guides_add_to_a_camera_is_valid() -> None:
    source = {"type": "RTSP", "url": "rtsp://10.0.0.5/1"}
    blocks = [block for guide in GUIDES for block in _blocks(guide.read_text()) if block.startswith("spec:\n")]
    assert blocks
    for block in blocks:
        spec = {"source": source, **yaml.safe_load(block)["spec"]}
        problems = check({"apiVersion": API_VERSION, "kind": "Camera", "metadata": {"name": "a"}, "spec": spec})
        assert not isinstance(problems, list), problems


def test_the_guide_requires_the_versions_that_are_needed() -> None:
    """The guide names the Kubernetes of the chart and the Helm that has the options of its commands."""
    text = (ROOT / "docs" / "install.md").read_text()
    needed = re.fullmatch(r">=(1\.[0-9]+)\.0-0", yaml.safe_load((CHART / "Chart.yaml").read_text())["kubeVersion"])
    assert needed is not None
    assert f"Kubernetes {needed[1]} or later" in text
    assert "--reset-then-reuse-values" in text
    assert "Helm 3.14 or later" in text, "the first that knows this option"


def test_flux_dependencies_of_the_guide_exist_and_wait() -> None:
    """Every dependsOn of the guide names an object of the guide that becomes ready with its contents."""
    blocks = [block for block in _blocks((ROOT / "docs" / "gitops.md").read_text()) if "toolkit.fluxcd.io" in block]
    found = [each for block in blocks for each in yaml.safe_load_all(block)]
    there = {(each["kind"], each["metadata"]["namespace"], each["metadata"]["name"]): each["spec"] for each in found}
    # A resource waits for others of its own kind, by default in its own namespace.
    waited = [
        (each["kind"], other.get("namespace", each["metadata"]["namespace"]), other["name"])
        for each in found
        for other in each["spec"].get("dependsOn", [])
    ]
    assert waited
    for other in waited:
        assert other in there
        assert other[0] != "Kustomization" or there[other].get("wait"), "it is ready before what is in it"


@pytest.mark.parametrize("guide", GUIDES, ids=lambda path: path.stem)
def test_every_link_leads_somewhere(guide: Path) -> None:
    for target in re.findall(r"\]\(([^)#]+)?(?:#[^)]*)?\)", guide.read_text()):
        if target and not target.startswith("http"):
            assert (guide.parent / target).exists() or target == "reference.md", target


@pytest.mark.parametrize("guide", GUIDES, ids=lambda path: path.stem)
def test_every_value_that_is_named_exists(guide: Path) -> None:
    values = yaml.safe_load((CHART / "values.yaml").read_text())
    named = re.findall(r"`((?:%s)\.[A-Za-z.]+)(?::[^`]*)?`" % "|".join(values), guide.read_text())  # noqa: UP031 - braces
    for path in named:
        found: Any = values
        for part in path.split("."):
            assert isinstance(found, dict), path
            assert part in found, path
            found = found[part]


def test_permissions_names_the_ports_of_a_stream_policy() -> None:
    """docs/permissions.md has each port that a stream's NetworkPolicy opens, except those of addresses."""
    golden = ROOT / "tests" / "unit" / "operator" / "golden" / "udp-pod-monitor.yaml"
    children = yaml.safe_load(golden.read_text())["children"]
    (policy,) = (each["spec"] for each in children if each["kind"] == "NetworkPolicy")
    opened = {port["port"] for rule in policy["ingress"] + policy["egress"] for port in rule["ports"]}
    of_addresses = {4222, 8001, 554}
    assert of_addresses < opened
    table = re.search(r"\| a stream \|.*?\n\n", (ROOT / "docs" / "permissions.md").read_text(), re.DOTALL)
    assert table is not None
    assert {int(port) for port in re.findall(r"(?:\| |from )([0-9]+) \|", table[0])} == opened - of_addresses


def test_troubleshooting_has_every_reason_to_act_on() -> None:
    text = (ROOT / "docs" / "troubleshooting.md").read_text()
    well = {
        "Streaming",
        "Starting",
        "Reconciled",
        "NotStalled",
        "PodPending",
        "Connected",
        "Connecting",
        "Ended",
        "Failed",
    }
    well |= {"Enrolled", "ConsentGranted", "OneSite", "Erasing", "EnrolmentRefused", "Resolved", "NoUpstream"}
    reasons = {str(each) for kind in (CameraReason, SourceReason, SubjectReason, SiteReason) for each in kind}
    missing = sorted(reason for reason in reasons - well if f"`{reason}`" not in text)
    assert not missing
    known = reasons | {str(each) for kind in (ClockReason, FitnessReason) for each in kind} | POD_STATES | EVENTS
    assert not {name for name in re.findall(r"`([A-Z][A-Za-z]+)`", text) if name not in known}
