"""What a whole node needs of the machine beside programs that we build."""

import os
import shutil
from pathlib import Path

from tests.support.kubernetes.errors import NotHereError

CNI_FOLDERS = (Path("/usr/lib/cni"), Path("/opt/cni/bin"))
CNI_PACKAGE = "containernetworking-plugins"
PACKAGES = {
    "containerd": "containerd",
    "runc": "runc",
    "nft": "nftables",
    "iptables": "iptables",
    "ip": "iproute2",
    "conntrack": "conntrack",
    "nsenter": "util-linux",
    "openssl": "openssl",
}
"""Program to Debian package."""
IMAGE_PACKAGES = {"buildah": "buildah", "debootstrap": "debootstrap"}
SERVER_PACKAGES = {"pgbouncer": "pgbouncer"}
"""Of tests without a Kubernetes."""


def cni_folder() -> Path:
    """Find the CNI plugins; raises NotHereError."""
    for folder in CNI_FOLDERS:
        if (folder / "bridge").exists():
            return folder
    raise NotHereError(f"the CNI plugins (apt-get install {CNI_PACKAGE}, or make cluster-packages)")


def check_node() -> None:
    """See to it that a whole node can run here; raises NotHereError, which names what is missing."""
    _check(PACKAGES, "a network namespace")
    cni_folder()


def check_images() -> None:
    """See to it that images can be built here; raises NotHereError, which names what is missing."""
    _check(IMAGE_PACKAGES, "building images")


def missing_packages() -> list[str]:
    """List the Debian packages that `check_node`, `check_images` and tests of servers would miss."""
    wanted = [
        package
        for name, package in {**PACKAGES, **IMAGE_PACKAGES, **SERVER_PACKAGES}.items()
        if shutil.which(name) is None
    ]
    there = any((folder / "bridge").exists() for folder in CNI_FOLDERS)
    return wanted if there else [*wanted, CNI_PACKAGE]


def _check(packages: dict[str, str], why: str) -> None:
    if os.geteuid() != 0:
        raise NotHereError(f"root (for {why})")
    wanted = [package for program, package in packages.items() if shutil.which(program) is None]
    if wanted:
        raise NotHereError(f"{', '.join(wanted)} (apt-get install {' '.join(wanted)}, or make cluster-packages)")
