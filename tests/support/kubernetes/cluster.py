"""What every test cluster can do, whatever it consists of."""

import json
import os
import subprocess
from collections.abc import Iterable
from pathlib import Path
from typing import Any
from uuid import uuid4

from tests.support.kubernetes import audit
from tests.support.kubernetes.certificates import write_kubeconfig
from tests.support.kubernetes.control_plane import ADMIN, Place
from tests.support.kubernetes.errors import ClusterError
from tests.support.kubernetes.processes import Programs
from tests.support.kubernetes.programs import program
from tests.support.shared import ROOT
from tests.support.waiting import wait_until

KUBECTL_TIMEOUT_S = 60.0
APPLY_TIMEOUT_S = 240.0
"""Lists of hundreds are applied one by one."""
SETTLED_TIMEOUT_S = 60.0


class Cluster:
    """A real Kubernetes API, and the programs behind it.

    Attributes
    ----------
    name
        Unique on this machine while the cluster lives.
    ip
        Address of the API server.
    host_ip
        Address by which the cluster's pods reach what listens on this machine.
    kubeconfig
        Of a cluster administrator.
    audit_log
        Every request that was answered; read it with `requests`.
    """

    def __init__(self, name: str, place: Place, programs: Programs) -> None:
        self.name = name
        self.ip = place.ip
        self.host_ip = place.ip
        self.folder = place.folder
        self.place = place
        self.programs = programs
        self.kubeconfig: Path = place.kubeconfig(ADMIN)
        self.audit_log = place.folder / "audit.jsonl"

    def kubectl(
        self,
        *args: str,
        input: str | None = None,  # noqa: A002 - as subprocess names it
        check: bool = True,
        timeout_s: float = KUBECTL_TIMEOUT_S,
        kubeconfig: Path | None = None,
    ) -> subprocess.CompletedProcess[str]:
        """Run kubectl, by default as administrator.

        Raises
        ------
        ClusterError
            It failed and `check` is set; its output is in the text. Or it exceeded its deadline.
        """
        environment = {"KUBECONFIG": str(kubeconfig or self.kubeconfig), "KUBECACHEDIR": str(self.folder / "kubectl")}
        try:
            done = subprocess.run(
                [program("kubectl"), *args],
                input=input,
                stdin=subprocess.DEVNULL if input is None else None,
                capture_output=True,
                text=True,
                check=False,
                timeout=timeout_s,
                env={**os.environ, **environment},
            )
        except subprocess.TimeoutExpired as error:
            raise ClusterError(f"kubectl {' '.join(args)}: not within {timeout_s:g} s") from error
        if check and done.returncode != 0:
            raise ClusterError(f"kubectl {' '.join(args)}: {done.stderr.strip() or done.stdout.strip()}")
        return done

    def apply(self, text: str) -> None:
        """Apply manifests (YAML or JSON), as a user does; raises ClusterError with the API server's error."""
        self.kubectl("apply", "-f", "-", input=text, timeout_s=APPLY_TIMEOUT_S)

    def get(self, kind: str, name: str, namespace: str = "default") -> dict[str, Any]:
        """Read an object; raises ClusterError when it is not there."""
        found: dict[str, Any] = json.loads(self.kubectl("get", kind, name, "-n", namespace, "-o", "json").stdout)
        return found

    def new_namespace(self, prefix: str = "test") -> str:
        """Make a namespace for one test, ready for pods, and return its name; the cluster's end is its end."""
        name = f"{prefix}-{uuid4().hex[:8]}"
        self.kubectl("create", "namespace", name)
        self.wait_for_accounts(name)
        return name

    def wait_for_accounts(self, namespace: str = "default") -> None:
        """Wait until the controller manager has made the service account without which there are no pods."""
        account = ("get", "serviceaccount", "default", "-n", namespace)
        there = lambda: self.kubectl(*account, check=False).returncode == 0  # noqa: E731 - a name for the condition
        wait_until(there, SETTLED_TIMEOUT_S, f"the service account of namespace {namespace}")

    def install_crds(self, folder: Path = ROOT / "crds") -> None:
        """Apply the custom resource definitions of a folder, and wait until they are served."""
        self.kubectl("apply", "--server-side", "-f", str(folder))
        self.kubectl("wait", "--for=condition=Established", "crd", "--all", f"--timeout={SETTLED_TIMEOUT_S:.0f}s")

    def kubeconfig_for(self, user: str, groups: Iterable[str] = ()) -> Path:
        """Write a kubeconfig for a user whose only permissions are those of RBAC."""
        name = f"user-{uuid4().hex[:8]}"
        self.place.authority.certify(name, user, [*groups])
        return self.place.authority.kubeconfig(name, self.place.server, self.place.kubeconfig(name))

    def kubeconfig_of_account(self, name: str, namespace: str) -> Path:
        """Write a kubeconfig for a service account, as a program in a pod has it (an hour long)."""
        token = self.kubectl("create", "token", name, "-n", namespace).stdout.strip()
        file = self.place.kubeconfig(f"account-{namespace}-{name}")
        return write_kubeconfig(file, self.place.server, self.place.authority.certificate, {"token": token}, namespace)

    def audit_size(self) -> int:
        """Return the length of the audit log now: a mark from which `requests` may count."""
        return self.audit_log.stat().st_size

    def requests(self, since: int = 0) -> list[audit.Request]:
        """List the requests that were answered since a mark of `audit_size`."""
        return list(audit.requests(self.audit_log, since))

    def stop_program(self, name: str) -> None:
        """End a program as `kill -9` does: `kube-apiserver` makes the API go away."""
        self.programs.stop(name)

    def start_program(self, name: str) -> None:
        """Start a stopped program again and wait until it is ready; in the main thread."""
        self.programs.start(name)

    def restart(self, name: str) -> None:
        """Kill a program and start it again with the same data; in the main thread."""
        self.programs.restart(name)

    def cut(self) -> None:
        """Take away the API without ending anything: connections stay open, and nothing is answered."""
        raise NotImplementedError

    def mend(self) -> None:
        """Undo `cut`."""
        raise NotImplementedError

    def close(self) -> None:
        """End everything and remove what it left."""
        self.programs.close()
