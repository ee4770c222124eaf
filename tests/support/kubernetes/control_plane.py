"""How the programs of a control plane are started: etcd, API server, controller manager, scheduler."""

import contextlib
import json
import ssl
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import httpx
from tests.support.kubernetes import audit
from tests.support.kubernetes.certificates import Authority
from tests.support.kubernetes.programs import program

from vigil_cli.supervisor.spec import ProcessSpec

READY_TIMEOUT_S = 120.0
"""On a quiet machine all of them are ready within five seconds."""
LOOPBACK = "127.0.0.1"
ADMIN = "admin"
USERS = {
    ADMIN: ("vigil-test-admin", ("system:masters",)),
    "apiserver": ("kube-apiserver", ("system:masters",)),
    "controller-manager": ("system:kube-controller-manager", ()),
    "scheduler": ("system:kube-scheduler", ()),
}
"""Name of the certificate to user and groups; the names of the users are those that RBAC's own bindings know."""
FAST = ("--kube-api-qps=400", "--kube-api-burst=800")
"""A test of a thousand objects measures what it tests, not the pace that Kubernetes sets itself for mercy's sake."""


@dataclass(frozen=True)
class Ports:
    """Where the programs listen."""

    api: int
    etcd: int
    etcd_peers: int
    etcd_health: int
    controller_manager: int
    scheduler: int


@dataclass(frozen=True)
class Place:
    """Where a control plane lives.

    Attributes
    ----------
    folder
        For data, certificates and kubeconfig files.
    ip
        Address of the API server.
    services
        Range of Service addresses.
    """

    folder: Path
    ip: str
    ports: Ports
    services: str
    authority: Authority

    @property
    def server(self) -> str:
        """The address of the API server."""
        return f"https://{self.ip}:{self.ports.api}"

    def kubeconfig(self, name: str) -> Path:
        """Return the kubeconfig of one of `USERS`, or of another certificate."""
        return self.folder / f"{name}.kubeconfig"


def addresses(ip: str, service_ip: str) -> list[str]:
    """List what an API server is reached by."""
    names = ("localhost", "kubernetes", "kubernetes.default", "kubernetes.default.svc")
    ips = dict.fromkeys((LOOPBACK, ip, service_ip))
    return [*(f"IP:{address}" for address in ips), *(f"DNS:{name}" for name in names)]


def prepare(place: Place, more_users: Mapping[str, tuple[str, tuple[str, ...]]] | None = None) -> None:
    """Write certificates, kubeconfig files (for `more_users`, too) and the audit policy."""
    place.authority.signing_key("sa")
    for name, (user, groups) in {**USERS, **(more_users or {})}.items():
        place.authority.certify(name, user, groups)
        place.authority.kubeconfig(name, place.server, place.kubeconfig(name))
    (place.folder / "audit-policy.yaml").write_text(json.dumps(audit.POLICY))


def etcd(place: Place) -> ProcessSpec:
    """Describe etcd; it does not wait for the disk, for its data lives no longer than the machine is up."""
    clients = f"http://{LOOPBACK}:{place.ports.etcd}"
    peers = f"http://{LOOPBACK}:{place.ports.etcd_peers}"
    health = f"http://{place.ip}:{place.ports.etcd_health}"
    return ProcessSpec(
        "etcd",
        [
            str(program("etcd")),
            *("--data-dir", str(place.folder / "etcd"), "--unsafe-no-fsync", "--log-level=warn"),
            *("--listen-client-urls", clients, "--advertise-client-urls", clients),
            *("--listen-peer-urls", peers, "--initial-advertise-peer-urls", peers),
            *("--initial-cluster", f"default={peers}", "--quota-backend-bytes=4294967296"),
            *("--listen-metrics-urls", health),
        ],
        ready=lambda: answers(f"{health}/health"),
        ready_timeout_s=READY_TIMEOUT_S,
        cwd=place.folder,
    )


def api_server(place: Place, audit_log: Path, *more: str) -> ProcessSpec:
    """Describe the API server; `more` are further arguments."""
    keys = place.authority.folder
    trusted = ssl.create_default_context(cafile=str(place.authority.certificate))
    return ProcessSpec(
        "kube-apiserver",
        [
            str(program("kube-apiserver")),
            f"--etcd-servers=http://{LOOPBACK}:{place.ports.etcd}",
            *(f"--secure-port={place.ports.api}", f"--bind-address={place.ip}", f"--advertise-address={place.ip}"),
            *(f"--service-cluster-ip-range={place.services}", "--authorization-mode=Node,RBAC"),
            *(f"--client-ca-file={keys}/ca.crt", f"--tls-cert-file={keys}/apiserver.crt"),
            *(f"--tls-private-key-file={keys}/apiserver.key", f"--service-account-key-file={keys}/sa.pub"),
            *(f"--service-account-signing-key-file={keys}/sa.key", "--allow-privileged=true"),
            "--service-account-issuer=https://kubernetes.default.svc",
            *(f"--kubelet-client-certificate={keys}/apiserver.crt", f"--kubelet-client-key={keys}/apiserver.key"),
            *(f"--audit-policy-file={place.folder}/audit-policy.yaml", f"--audit-log-path={audit_log}"),
            *("--audit-log-maxsize=4096", "--audit-log-mode=blocking"),
            *("--shutdown-delay-duration=0s", "--profiling=false"),
            *more,
        ],
        ready=lambda: answers(f"{place.server}/readyz", trusted),
        ready_timeout_s=READY_TIMEOUT_S,
        cwd=place.folder,
    )


def controller_manager(place: Place) -> ProcessSpec:
    """Describe the controller manager."""
    keys = place.authority.folder
    return ProcessSpec(
        "kube-controller-manager",
        [
            str(program("kube-controller-manager")),
            *_client(place, "controller-manager", place.ports.controller_manager),
            *(f"--service-account-private-key-file={keys}/sa.key", f"--root-ca-file={keys}/ca.crt"),
            *("--use-service-account-credentials", "--concurrent-deployment-syncs=20", "--concurrent-gc-syncs=40"),
            f"--flex-volume-plugin-dir={place.folder}/volume-plugins",  # it makes the folder, by default in /usr
        ],
        cwd=place.folder,
    )


def scheduler(place: Place) -> ProcessSpec:
    """Describe the scheduler."""
    client = _client(place, "scheduler", place.ports.scheduler)
    return ProcessSpec("kube-scheduler", [str(program("kube-scheduler")), *client], cwd=place.folder)


def _client(place: Place, name: str, port: int) -> tuple[str, ...]:
    kubeconfig = str(place.kubeconfig(name))
    logins = (f"--kubeconfig={kubeconfig}", f"--authentication-kubeconfig={kubeconfig}")
    return (
        *logins,
        f"--authorization-kubeconfig={kubeconfig}",
        "--leader-elect=false",
        f"--bind-address={LOOPBACK}",
        f"--secure-port={port}",
        *FAST,
    )


def answers(url: str, trusted: ssl.SSLContext | bool = True) -> bool:
    """Return whether a health address answers with success."""
    with contextlib.suppress(httpx.HTTPError):
        return httpx.get(url, verify=trusted, timeout=2.0, trust_env=False).status_code == httpx.codes.OK
    return False
