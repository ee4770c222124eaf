"""A network namespace with one link to this machine: a cluster's own network, which can be cut off."""

import shutil
import subprocess
from dataclasses import dataclass

from tests.support.kubernetes.cleanup import Slot
from tests.support.kubernetes.errors import ClusterError

TIMEOUT_S = 15.0
_HOOK = "type filter hook prerouting priority -500;"
"""Before every other hook of a packet."""


@dataclass(frozen=True)
class Network:
    """The addresses of a slot's cluster; no two slots share any."""

    slot: Slot

    @property
    def host_ip(self) -> str:
        """The address of this machine, as the cluster sees it."""
        return f"10.250.{self.slot.number}.1"

    @property
    def ip(self) -> str:
        """The address of the node, as this machine sees it."""
        return f"10.250.{self.slot.number}.2"

    @property
    def pods(self) -> str:
        """The range of pods."""
        return f"10.251.{self.slot.number}.0/24"

    @property
    def services(self) -> str:
        """The range of Services."""
        return f"10.252.{self.slot.number}.0/24"

    @property
    def service_ip(self) -> str:
        """The Service `kubernetes`."""
        return f"10.252.{self.slot.number}.1"

    @property
    def within(self) -> tuple[str, ...]:
        """The command that another is run by inside; `ip netns exec` would hide the cgroups."""
        return (shutil.which("nsenter") or "nsenter", f"--net={self.slot.namespace}")

    def make(self) -> None:
        """Make the namespace and the link, with routes from this machine to pods and Services.

        Raises
        ------
        ClusterError
            The kernel refused something.
        """
        name, link = self.slot.name, self.slot.link
        _run("ip", "netns", "add", name)
        _run("ip", "link", "add", link, "type", "veth", "peer", "name", "eth0", "netns", name)
        _run("ip", "address", "add", f"{self.host_ip}/30", "dev", link)
        _run("ip", "-n", name, "address", "add", f"{self.ip}/30", "dev", "eth0")
        for device in ("lo", "eth0"):
            _run("ip", "-n", name, "link", "set", device, "up")
        _run("ip", "link", "set", link, "up")
        for addresses in (self.pods, self.services):
            _run("ip", "route", "replace", addresses, "via", self.ip)
        _run("ip", "-n", name, "route", "add", "default", "via", self.host_ip)
        _run(*self.within, "sysctl", "-qw", "net.ipv4.ip_forward=1")

    def cut(self) -> None:
        """Lose every packet where it arrives, on both ends of the link, so that no sender gets an error.

        A link that is down would be noticed, and its packets would go to the machine's own router instead.
        """
        for within, device in self._ends():
            rules = f"table inet {self.slot.cut} {{ chain arriving {{ {_HOOK} iifname {device} drop; }}; }}"
            _run(*within, "nft", rules)

    def mend(self) -> None:
        """Let packets through again."""
        for within, _ in self._ends():
            _run(*within, "nft", f"delete table inet {self.slot.cut}")

    def _ends(self) -> tuple[tuple[tuple[str, ...], str], ...]:
        return (((), self.slot.link), (self.within, "eth0"))


def _run(*command: str) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=TIMEOUT_S)
    if done.returncode != 0:
        raise ClusterError(f"{' '.join(command)}: {done.stderr.strip()}")
