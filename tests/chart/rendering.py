"""The chart, rendered by the real Helm."""

import functools
import subprocess
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import yaml
from tests.support.kubernetes.programs import program
from tests.support.shared import ROOT

CHART = ROOT / "charts" / "vigil"
EXAMPLES = ("default", "trial", "production", "namespaced")
"""Values files of the chart; `default` is none."""

KUBERNETES = ("--kube-version", "1.36.0")
"""Helm without a cluster asks for none of its own."""

TIMEOUT_S = 60.0
APIS = ("monitoring.coreos.com/v1", "gateway.networking.k8s.io/v1")
Object = dict[str, Any]


def values_of(example: str) -> list[str]:
    """Return Helm's options for one of the chart's examples."""
    return [] if example == "default" else ["--values", str(CHART / "examples" / f"{example}.yaml")]


def helm(
    *arguments: str, check: bool = True, kubeconfig: Path | None = None, timeout_s: float = TIMEOUT_S
) -> subprocess.CompletedProcess[str]:
    """Run Helm; raise AssertionError with its message when it fails."""
    where = ["--kubeconfig", str(kubeconfig)] if kubeconfig else []
    done = subprocess.run(
        [program("helm"), *arguments, *where], capture_output=True, text=True, check=False, timeout=timeout_s
    )
    if check and done.returncode:
        raise AssertionError(f"helm {' '.join(arguments)}: {done.stderr.strip()}")
    return done


@functools.cache
def rendered_text(example: str, *sets: str) -> str:
    """Render the chart to what would be applied, hooks included."""
    options = [part for each in sets for part in ("--set", each)]
    done = helm("template", "vigil", str(CHART), "--namespace", "vigil", *KUBERNETES, *values_of(example), *options)
    return done.stdout


def rendered(example: str, *sets: str) -> list[Object]:
    """Render the chart to objects."""
    return [each for each in yaml.safe_load_all(rendered_text(example, *sets)) if each]


def refused(*sets: str) -> str:
    """Render the chart with invalid values, and return the message of Helm."""
    options = [part for each in sets for part in ("--set-json" if "=[" in each or "={" in each else "--set", each)]
    done = helm("template", "vigil", str(CHART), *KUBERNETES, *options, check=False)
    assert done.returncode, f"Helm accepted {sets}"
    return done.stderr


def only(objects: Iterable[Object], kind: str, name: str | None = None) -> Object:
    """Find the one object of a kind and name."""
    found = [each for each in objects if each["kind"] == kind and name in {None, each["metadata"]["name"]}]
    assert len(found) == 1, f"{len(found)} of {kind} {name}"
    return found[0]


def pods(objects: Iterable[Object]) -> Iterator[tuple[str, Object]]:
    """Yield every pod of the chart, as name and pod template."""
    for each in objects:
        name = f"{each['kind']}/{each['metadata']['name']}"
        if each["kind"] == "Pod":
            yield name, each
        elif each["kind"] in {"Deployment", "StatefulSet", "Job", "DaemonSet"}:
            yield name, each["spec"]["template"]


def environment(container: Object) -> dict[str, str]:
    """Return the variables of a container that have a plain value."""
    return {each["name"]: each["value"] for each in container.get("env", []) if "value" in each}
