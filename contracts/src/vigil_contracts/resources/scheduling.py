"""Where a camera's pod may run, with how much, and which cameras go first."""

import re
from typing import Annotated, ClassVar, Literal

from pydantic import Field

from vigil_contracts.base import Strict
from vigil_contracts.resources.common import LABEL_KEY, LabelKey, LabelText, ResourceName
from vigil_contracts.resources.rules import Rule, Ruled


class Toleration(Ruled):
    """A taint that the pod may run beside, as in Kubernetes' core/v1."""

    key: LabelKey | None = None
    """The taint's key; left out with Exists: every taint."""
    operator: Literal["Exists", "Equal"] = "Equal"
    """Exists: whatever the taint's value is."""
    value: LabelText | None = None
    """The taint's value, for Equal."""
    effect: Literal["NoSchedule", "PreferNoSchedule", "NoExecute"] | None = None
    """The taint's effect; left out: every effect."""

    RULES: ClassVar[tuple[Rule, ...]] = (
        Rule(
            "has(self.key) || (has(self.operator) && self.operator == 'Exists')",
            "a toleration without key needs operator Exists",
            lambda self: self.key is not None or self.operator == "Exists",
            "operator",
        ),
        Rule(
            "!has(self.value) || self.value == '' || !has(self.operator) || self.operator != 'Exists'",
            "value has no meaning with operator Exists; leave it out",
            lambda self: not self.value or self.operator != "Exists",
            "value",
            "FieldValueForbidden",
        ),
    )


CpuAmount = Annotated[str, Field(max_length=10, pattern=r"^([0-9]{1,6}(\.[0-9]{1,3})?|[0-9]{1,9}m)$")]
"""Cores, or thousandths of one with the suffix m: nothing finer, as Kubernetes has it."""

MemoryAmount = Annotated[
    str,
    Field(
        max_length=18,
        pattern=r"^([0-9]{1,12}(\.[0-9]{1,3})?([kM]|[KM]i)?|[0-9]{1,6}(\.[0-9]{1,3})?[GT]i?)$",
    ),
]
"""Bytes with one of Kubernetes' suffixes: not `m`, thousandths of a byte, and never more than Kubernetes counts to."""


class Amounts(Strict):
    """So much of a node; what is left out follows the chart's values."""

    cpu: CpuAmount | None = None
    """Cores, such as "1" or "250m"; a number without letters stands in quotes."""
    memory: MemoryAmount | None = None
    """Bytes, such as "512Mi" or "1Gi"."""


class Resources(Strict):
    """Resources of the pod of this camera, over the chart's values for all."""

    requests: Amounts = Amounts()
    """The resources that the node must have free for it."""
    limits: Amounts = Amounts()
    """The resources that it may take at most; a process that takes more memory is killed (OutOfMemory)."""


class Scheduling(Ruled):
    """Where the camera's pod may run, with how much, and which cameras go first; without a cluster it has no effect."""

    node_selector: Annotated[dict[str, LabelText], Field(max_length=32)] = {}
    """Labels that the node must have."""
    tolerations: Annotated[list[Toleration], Field(max_length=16)] = []
    """Taints that the pod may run beside."""
    priority_class_name: ResourceName | None = None
    """Kubernetes' priority of the pod against other pods on the node."""
    gpu: bool = False
    """Decode on a GPU: the pod requests one as the chart's values define. Types WebSocket and Socket are always
    decoded on the CPU."""
    resources: Resources = Resources()
    """Resources of the pod of this camera, where they differ from the chart's values for all; another value starts
    its pod anew."""
    priority: Annotated[int, Field(ge=-1000, le=1000)] = 0
    """The order of admission when the Site's inference has no capacity for all: higher before lower, then older before
    newer. A camera that runs is never stopped for another one."""

    RULES: ClassVar[tuple[Rule, ...]] = (
        Rule(
            f"!has(self.nodeSelector) || self.nodeSelector.all(key, size(key) <= 317 && key.matches('{LABEL_KEY}'))",
            "nodeSelector has a key that is no name of a label; write it as kubectl shows it, such as "
            "kubernetes.io/hostname",
            lambda self: all(len(key) <= 317 and re.fullmatch(LABEL_KEY, key) for key in self.node_selector),
            "nodeSelector",
        ),
    )
