"""How the programs of a node are started: containerd, kubelet, kube-proxy, CoreDNS."""

import json
import shutil
from pathlib import Path

from tests.support.kubernetes import machine
from tests.support.kubernetes.control_plane import ADMIN, Place, answers
from tests.support.kubernetes.images import PAUSE
from tests.support.kubernetes.network import Network
from tests.support.kubernetes.programs import program

from vigil_cli.supervisor.spec import ProcessSpec

READY_TIMEOUT_S = 60.0
DNS_READY_PORT = 8181
PROXY_HEALTH_PORT = 10256


def users(node: str) -> dict[str, tuple[str, tuple[str, ...]]]:
    """Return the users of a node's programs: name of the certificate to user and groups."""
    return {
        "kubelet": (f"system:node:{node}", ("system:nodes",)),
        "proxy": ("system:kube-proxy", ()),
    }


def socket(place: Place) -> Path:
    """Return the socket of containerd."""
    return place.folder / "containerd.sock"


def containerd(place: Place, network: Network) -> ProcessSpec:
    """Describe containerd, with the network plugins that assign pods their addresses."""
    plugin = {
        "type": "bridge",
        "bridge": "cni0",
        "isGateway": True,
        "ipMasq": True,
        "hairpinMode": True,
        "ipam": {
            "type": "host-local",
            "dataDir": str(place.folder / "leases"),
            "ranges": [[{"subnet": network.pods}]],
            "routes": [{"dst": "0.0.0.0/0"}],
        },
    }
    (place.folder / "cni").mkdir()
    networks = {"cniVersion": "1.0.0", "name": network.slot.name, "plugins": [plugin]}
    (place.folder / "cni" / "10-pods.conflist").write_text(json.dumps(networks))
    file = place.folder / "containerd.toml"
    file.write_text(
        _CONTAINERD.format(folder=place.folder, socket=socket(place), pause=PAUSE, cni=machine.cni_folder())
    )
    return ProcessSpec(
        "containerd",
        [shutil.which("containerd") or "containerd", "-c", str(file)],
        ready=lambda: socket(place).exists(),
        ready_timeout_s=READY_TIMEOUT_S,
        cwd=place.folder,
    )


_CONTAINERD = """
version = 2
root = "{folder}/containerd/root"
state = "{folder}/containerd/state"
[grpc]
  address = "{socket}"
[ttrpc]
  address = "{socket}.ttrpc"
[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "{pause}"
  # without CAP_SYS_RESOURCE nobody may lower an oom_score_adj
  restrict_oom_score_adj = true
  # below the state, where the cleanup finds them
  netns_mounts_under_state_dir = true
  [plugins."io.containerd.grpc.v1.cri".cni]
    bin_dir = "{cni}"
    conf_dir = "{folder}/cni"
"""


def kubelet(place: Place, network: Network) -> ProcessSpec:
    """Describe the kubelet."""
    folder = place.folder
    (folder / "resolv.conf").write_text(f"nameserver {network.ip}\n")
    configuration = {
        "apiVersion": "kubelet.config.k8s.io/v1beta1",
        "kind": "KubeletConfiguration",
        "authentication": {
            "anonymous": {"enabled": False},
            "webhook": {"enabled": True},
            "x509": {"clientCAFile": str(place.authority.certificate)},
        },
        "containerRuntimeEndpoint": f"unix://{socket(place)}",
        "cgroupDriver": "cgroupfs",
        "cgroupRoot": f"/{network.slot.name}",
        "cgroupsPerQOS": True,
        "enforceNodeAllocatable": [],
        "failCgroupV1": False,
        "failSwapOn": False,
        "oomScoreAdj": 0,  # as for containerd
        "clusterDNS": [network.ip],
        "clusterDomain": "cluster.local",
        "resolvConf": str(folder / "resolv.conf"),
        "podLogsDir": str(folder / "logs"),
        "volumePluginDir": str(folder / "volume-plugins"),
        "imageGCHighThresholdPercent": 100,
        # a test machine's disk may be fuller than a node's should be
        "evictionHard": {"memory.available": "100Mi", "nodefs.available": "1%", "imagefs.available": "1%"},
    }
    (folder / "kubelet.yaml").write_text(json.dumps(configuration, indent=2))
    return ProcessSpec(
        "kubelet",
        [
            str(program("kubelet")),
            *(f"--config={folder}/kubelet.yaml", f"--kubeconfig={place.kubeconfig('kubelet')}"),
            *(f"--hostname-override={network.slot.name}", f"--node-ip={network.ip}"),
            *(f"--root-dir={folder}/kubelet", f"--cert-dir={folder}/kubelet-pki"),
        ],
        cwd=folder,
    )


def kube_proxy(place: Place, network: Network) -> ProcessSpec:
    """Describe kube-proxy."""
    configuration = {
        "apiVersion": "kubeproxy.config.k8s.io/v1alpha1",
        "kind": "KubeProxyConfiguration",
        "mode": "nftables",
        "clientConnection": {"kubeconfig": str(place.kubeconfig("proxy"))},
        "hostnameOverride": network.slot.name,
        "clusterCIDR": network.pods,
        "conntrack": {"maxPerCore": 0, "min": 0},  # they are the machine's, not the namespace's
        "healthzBindAddress": f"{network.ip}:{PROXY_HEALTH_PORT}",
    }
    (place.folder / "proxy.yaml").write_text(json.dumps(configuration, indent=2))
    return ProcessSpec(
        "kube-proxy",
        [str(program("kube-proxy")), f"--config={place.folder}/proxy.yaml"],
        ready=lambda: answers(f"http://{network.ip}:{PROXY_HEALTH_PORT}/healthz"),
        ready_timeout_s=READY_TIMEOUT_S,
        cwd=place.folder,
    )


def coredns(place: Place, network: Network) -> ProcessSpec:
    """Describe CoreDNS, which runs on the node itself and knows the cluster's names only."""
    kubeconfig = place.kubeconfig(ADMIN)
    file = place.folder / "Corefile"
    file.write_text(_COREFILE.format(ip=network.ip, port=DNS_READY_PORT, server=place.server, kubeconfig=kubeconfig))
    return ProcessSpec(
        "coredns",
        [str(program("coredns")), "-conf", str(file)],
        ready=lambda: answers(f"http://{network.ip}:{DNS_READY_PORT}/ready"),
        ready_timeout_s=READY_TIMEOUT_S,
        cwd=place.folder,
    )


_COREFILE = """cluster.local:53 in-addr.arpa:53 {{
 bind {ip}
 errors
 ready {ip}:{port}
 kubernetes cluster.local in-addr.arpa {{
  endpoint {server}
  kubeconfig {kubeconfig} test
  ttl 5
 }}
 cache 5
}}
.:53 {{
 bind {ip}
 template ANY ANY {{
  rcode NXDOMAIN
 }}
}}
"""
"""The second block answers at once that there is no other name; in the first it would answer before `kubernetes`."""
