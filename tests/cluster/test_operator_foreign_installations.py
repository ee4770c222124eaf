"""Two installations of Vigil over the same namespace: one runs its Cameras, the other leaves them alone and says so."""

import json
import re
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pytest
import yaml
from tests.chart.rendering import CHART, KUBERNETES, Object, environment, helm, only
from tests.cluster.test_operator_permissions import as_granted, role
from tests.cluster.test_operator_stories import wait_for_quiet
from tests.support.kubernetes.api import ApiCluster
from tests.support.kubernetes.audit import Request
from tests.support.operators import NamespaceClient, Operator, camera, operating, secret, site
from tests.support.waiting import wait_until

from vigil_operator.reconcile.camera.foreign_installations import MAX_CLAIM_REPORTS

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(300)]

STAMP = "vigil.dev/operator"
USERS = ("vigil-of-one", "vigil-of-two")
WATCHED_S = 15.0
WRITES = 100
"""More would be a storm: before Cameras had an owner, two installations wrote some hundred in as many seconds."""


@pytest.fixture
def ns(api_cluster: ApiCluster) -> Iterator[NamespaceClient]:
    made = NamespaceClient.fresh(api_cluster, "shared")
    yield made
    # The chart would refuse to come beside it.
    api_cluster.kubectl("delete", "rolebindings", "--all", "-n", made.namespace)


@contextmanager
def installation(
    ns: NamespaceClient, folder: Path, place: str, user: str = USERS[0], **more: str
) -> Iterator[Operator]:
    """Run the operator of an installation in a namespace of its own, with a bus and inference of its own."""
    given = {
        "KUBECONFIG": str(ns.cluster.kubeconfig_for(user, ["system:masters"])),
        "VIGIL_NAMESPACE": place,
        "VIGIL_NATS_URL": f"nats://nats.{place}:4222",
        "VIGIL_TRITON_URLS": f"triton.{place}:8001",
        **more,
    }
    with operating(ns.cluster, ns.namespace, folder / place, **given) as operator:
        yield operator


def place(ns: NamespaceClient, prefix: str) -> str:
    return ns.cluster.new_namespace(prefix)


def deployment(ns: NamespaceClient, name: str) -> dict[str, Any]:
    found = ns.find("deployment", f"camera-{name}") or {}
    metadata = found["metadata"]
    return {
        "uid": metadata["uid"],
        "generation": metadata["generation"],
        "installation": metadata["annotations"].get(STAMP),
        "template": found["spec"]["template"],
    }


def writes(ns: NamespaceClient, since: int, *users: str) -> list[Request]:
    asked = ns.cluster.requests(since)
    return [one for one in asked if one.user in users and one.is_write and one.resource != "leases"]


def of_cameras(ns: NamespaceClient, since: int) -> list[Request]:
    return [each for each in writes(ns, since, *USERS) if each.resource != "sites/status"]


def claims_on(ns: NamespaceClient, name: str) -> list[dict[str, Any]]:
    events = ns.all("events.events.k8s.io")
    about = [one for one in events if one["regarding"]["name"] == name and one["reason"] == "ApplyConflict"]
    return [one for one in about if "another installation" in one["note"]]


def test_two_installations_leave_each_others_cameras_alone(ns: NamespaceClient, tmp_path: Path) -> None:
    one, two = place(ns, "one"), place(ns, "two")
    with installation(ns, tmp_path, one, USERS[0]):
        ns.apply(site("default", ns.namespace), camera("front", ns.namespace), camera("back", ns.namespace))
        for name in ("front", "back"):
            ns.wait_reason(name, "PodPending")
        before = {name: deployment(ns, name) for name in ("front", "back")}
        assert {each["installation"] for each in before.values()} == {f"{one}/vigil-operator"}
        with installation(ns, tmp_path, two, USERS[1]) as second:
            wait_until(lambda: claims_on(ns, "front") and claims_on(ns, "back"), 30, "the second says whose they are")
            ns.apply(camera("new", ns.namespace))
            ns.wait_reason("new", "PodPending")
            wait_until(lambda: claims_on(ns, "new"), 30, "one of them says whose the new one is")
            wait_for_quiet(lambda: len(of_cameras(ns, 0)))
            mark, settled = ns.cluster.audit_size(), {**before, "new": deployment(ns, "new")}
            end = time.monotonic() + WATCHED_S
            wait_until(lambda: time.monotonic() > end, 60, "a while of both at work", poll_s=1)
            assert {name: deployment(ns, name) for name in settled} == settled
            assert {ns.reason(name) for name in settled} == {"PodPending"}
            assert {name: len(claims_on(ns, name)) for name in settled} == dict.fromkeys(settled, 1)
            assert f"{one}/vigil-operator" in claims_on(ns, "front")[0]["note"]
            assert of_cameras(ns, mark) == []
            # The Site's status is written by both, and given up after a while.
            assert len(writes(ns, 0, *USERS)) < WRITES
            assert "Traceback" not in second.log


def test_the_conditions_command_takes_over_a_camera(ns: NamespaceClient, tmp_path: Path) -> None:
    """The installation that ran it is gone; the condition's message has the command."""
    one, two = place(ns, "one"), place(ns, "two")
    with installation(ns, tmp_path, one) as first:
        ns.apply(camera("front", ns.namespace))
        ns.wait_for("deployment", "camera-front")
        ns.wait_reason("front", "PodPending")
        first.stop()
    before = deployment(ns, "front")
    with installation(ns, tmp_path, two):
        message = ns.wait_reason("front", "ApplyConflict")["message"]
        assert f"another installation of Vigil, {one}/vigil-operator, and {two}/vigil-operator leaves it" in message
        assert ns.condition("front", "Stalled")["status"] == "True"
        assert deployment(ns, "front") == before
        ns.cluster.kubectl(*command(message))
        ns.wait_reason("front", "PodPending")
        after = deployment(ns, "front")
        assert (after["uid"], after["installation"]) == (before["uid"], f"{two}/vigil-operator")
        assert f"nats://nats.{two}:4222" in json.dumps(after["template"])


def command(message: str) -> list[str]:
    found = re.search(r"kubectl (annotate .*)$", message)
    assert found, message
    return found[1].split()


def test_children_of_an_earlier_version_say_nothing_and_are_ours(ns: NamespaceClient, tmp_path: Path) -> None:
    own = place(ns, "own")
    with installation(ns, tmp_path, own):
        ns.apply(camera("front", ns.namespace))
        ns.wait_reason("front", "PodPending")
    before = deployment(ns, "front")
    kinds = "deployments,serviceaccounts,configmaps,networkpolicies"
    ns.cluster.kubectl("annotate", kinds, "-n", ns.namespace, "-l", "vigil.dev/camera", f"{STAMP}-")
    assert deployment(ns, "front")["installation"] is None
    with installation(ns, tmp_path, own):
        stamped = lambda: deployment(ns, "front")["installation"] == f"{own}/vigil-operator"  # noqa: E731
        wait_until(stamped, 30, "it is stamped")
        after = deployment(ns, "front")
        assert (after["uid"], after["template"]) == (before["uid"], before["template"]), "no pod is made anew"
        assert ns.reason("front") == "PodPending"


@pytest.mark.usefixtures("helm")
def test_two_releases_in_one_namespace_both_act(ns: NamespaceClient, tmp_path: Path) -> None:
    cluster, here = ns.cluster, ns.namespace
    served = {release: NamespaceClient(cluster, place(ns, "served")) for release in ("a", "b")}
    with ExitStack() as stack:
        for release, own in served.items():
            stack.callback(cluster.kubectl, "delete", "rolebindings", "--all", "-n", own.namespace)
            cluster.apply(secret("vigil-bus", own.namespace, token="for-tests"))
            objects = released(release, here, own.namespace)
            ns.apply(*(each for each in objects if each["kind"] in {"Role", "RoleBinding", "ServiceAccount"}))
            name = f"{release}-vigil-operator"
            operator = only(objects, "Deployment", name)["spec"]["template"]["spec"]["containers"][0]
            given = {
                "KUBECONFIG": str(cluster.kubeconfig_of_account(name, here)),
                "VIGIL_NAMESPACE": here,
                "VIGIL_LEASE_NAME": environment(operator)["VIGIL_LEASE_NAME"],
            }
            stack.enter_context(operating(cluster, own.namespace, tmp_path / release, **given))
        for release, own in served.items():
            own.apply(camera("front", own.namespace))
            own.wait_reason("front", "PodPending")
            assert deployment(own, "front")["installation"] == f"{here}/{release}-vigil-operator"


def released(release: str, here: str, served: str) -> list[Object]:
    """Render a release of the chart for one namespace."""
    options = ["--set-json", f'operator.namespaces=["{served}"]', "--set", "rbac.aggregate=false"]
    text = helm("template", release, str(CHART), "--namespace", here, *KUBERNETES, *options).stdout
    return [each for each in yaml.safe_load_all(text) if each]


@pytest.fixture
def of_the_whole_cluster(ns: NamespaceClient) -> Iterator[dict[str, str]]:
    """Return the environment of an operator that has the rights of one without `operator.namespaces`."""
    text = helm("template", "vigil", str(CHART), "--namespace", ns.namespace, *KUBERNETES).stdout
    kinds = {"Role", "RoleBinding", "ClusterRole", "ClusterRoleBinding", "ServiceAccount"}
    ns.apply(*(each for each in yaml.safe_load_all(text) if each and each["kind"] in kinds))
    yield as_granted(ns)
    binding = f"vigil-operator-{ns.namespace}"
    ns.cluster.kubectl("delete", "clusterrolebinding,clusterrole", binding)  # the chart would refuse to come beside it


@pytest.mark.usefixtures("helm")
def test_a_cluster_wide_operator_sees_another_release(
    ns: NamespaceClient, of_the_whole_cluster: dict[str, str], tmp_path: Path
) -> None:
    """It leaves the status alone while the other is at work, and reports when it is gone."""
    one = place(ns, "one")
    with installation(ns, tmp_path, one, VIGIL_LEASE_NAME="a-vigil-operator") as first:
        ns.apply(camera("front", ns.namespace))
        ns.wait_reason("front", "PodPending")
        mark = ns.cluster.audit_size()
        with operating(ns.cluster, ns.namespace, tmp_path / "second", **of_the_whole_cluster) as second:
            wait_until(lambda: claims_on(ns, "front"), 60, "the second says whose it is")
            account = f"system:serviceaccount:{ns.namespace}:vigil-operator"
            assert [each for each in writes(ns, mark, account) if each.resource == "cameras/status"] == []
            first.stop()
            message = ns.wait_reason("front", "ApplyConflict")["message"]
            assert f"another installation of Vigil, {one}/a-vigil-operator, and" in message
            assert "Traceback" not in second.log


@pytest.mark.usefixtures("helm")
def test_an_operator_that_cannot_read_the_lease_falls_silent(ns: NamespaceClient, tmp_path: Path) -> None:
    """It names the other installation a few times before."""
    one = place(ns, "one")
    ns.apply(*role(ns))
    with installation(ns, tmp_path, one, USERS[0]):
        ns.apply(camera("front", ns.namespace))
        ns.wait_reason("front", "PodPending")
        before = deployment(ns, "front")
        with operating(ns.cluster, ns.namespace, tmp_path / "second", **as_granted(ns)) as second:
            wait_until(lambda: len(claims_on(ns, "front")) > MAX_CLAIM_REPORTS, 60, "it gives up")
            ns.wait_reason("front", "PodPending")
            mark = ns.cluster.audit_size()
            end = time.monotonic() + WATCHED_S
            wait_until(lambda: time.monotonic() > end, 60, "a while of both at work", poll_s=1)
            account = f"system:serviceaccount:{ns.namespace}:vigil-operator"
            assert writes(ns, mark, account, USERS[0]) == []
            assert deployment(ns, "front") == before
            assert "Traceback" not in second.log
