"""Why the operator compares its objects with a list although kopf watches them; see docs/decisions."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from tests.cluster.test_operator_stories import forget_history
from tests.support.kubernetes.api import ApiCluster
from tests.support.operators import NamespaceClient, camera
from tests.support.waiting import wait_until

pytestmark = pytest.mark.cluster

LATE_S = 15.0
"""For an event that is not expected at all: kopf's list and every event of it came before that."""


@pytest.mark.timeout(300)
def test_kopf_never_reports_what_was_deleted_in_a_gap(own_api_cluster: ApiCluster, tmp_path: Path) -> None:
    """When this fails, kopf has learnt to report it, and the operator's comparison can go."""
    cluster, ns = own_api_cluster, NamespaceClient.fresh(own_api_cluster, "gap")
    ns.apply(camera("stays", ns.namespace), camera("goes", ns.namespace))
    out = tmp_path / "events"
    with out.open("w") as events:
        kopf = subprocess.Popen(
            [sys.executable, str(Path(__file__).with_name("kopf_alone.py")), ns.namespace],
            env={**os.environ, "KUBECONFIG": str(cluster.kubeconfig)},
            stdout=events,
        )
    try:
        wait_until(lambda: out.read_text().count("None ") == 2, 60, "kopf reports both")
        cluster.stop_program("kube-apiserver")
        kopf.send_signal(signal.SIGSTOP)
        cluster.start_program("kube-apiserver")
        cluster.kubectl("delete", "camera", "goes", "-n", ns.namespace)
        forget_history(cluster)
        kopf.send_signal(signal.SIGCONT)
        wait_until(lambda: out.read_text().count("stays") == 2, 60, "kopf lists again after the gap")
        end = time.monotonic() + LATE_S
        wait_until(lambda: time.monotonic() > end, LATE_S + 30, "an event that is not expected", poll_s=1)
        assert kopf.poll() is None
        assert "DELETED" not in out.read_text()
    finally:
        kopf.kill()
        kopf.wait(10)
