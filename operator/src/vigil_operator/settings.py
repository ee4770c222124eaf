"""Settings of the operator, from variables with the prefix VIGIL_."""

from typing import Annotated, Any, Final, Literal, Self

from pydantic import Field, SecretStr, TypeAdapter, ValidationError, model_validator
from pydantic_settings import NoDecode

from vigil_contracts.ids import DNS_LABEL
from vigil_contracts.resources.common import LabelKey, LabelText
from vigil_runtime.settings import BusSettings, HttpSettings, IpNetwork, parse_networks, split_list

Label = Annotated[str, Field(pattern=f"^{DNS_LABEL.pattern}$")]
OWN_LABELS: Final = ("app.kubernetes.io/", "vigil.dev/")
"""Prefixes of the labels that Vigil sets and finds its objects by."""

_LABEL_KEY: Final = TypeAdapter[str](LabelKey)
_LABEL_TEXT: Final = TypeAdapter[str](LabelText)


class Settings(BusSettings, HttpSettings):
    """All settings of the operator."""

    namespaces: Annotated[str, NoDecode] = ""
    """Namespaces to serve, with commas; empty: the whole cluster."""
    namespace: Label = "default"
    """Namespace of the operator and of its Lease."""
    pod_name: str = ""
    """Name of the holder of the Lease; the host's name when empty."""
    lease_name: Label = "vigil-operator"
    lease_s: Annotated[int, Field(ge=3, le=300)] = 15
    """A Lease not renewed for so long is free for another operator."""
    site: Label = "default"
    """Name of the Site of Cameras without siteRef."""
    stream_image: Annotated[str, Field(min_length=1)] = "vigil/stream:0.1.0"
    stream_image_pull_policy: Literal["Always", "IfNotPresent", "Never"] = "IfNotPresent"
    image_pull_secrets: Annotated[str, NoDecode] = ""
    """Names of Secrets in the Camera's namespace, with commas."""
    nats_url: str = "nats://127.0.0.1:4222"
    """Address of the installation's bus, and of Sites that name none."""
    bus_secret: str = "vigil-bus"  # noqa: S105 - the name of a Secret
    """Secret in a Camera's namespace with the stream pod's bus token under `token`; a Site may name another."""
    triton_urls: Annotated[str, NoDecode] = "triton:8001"
    """host:port of Triton's gRPC, in order of preference, with commas; for Sites that name none."""
    registry_url: str | None = None
    """Address of identity's registry, such as http://vigil-identity:8080; without one nothing is registered."""
    registry_token: SecretStr | None = None
    monitoring: Literal["None", "PodMonitor", "Annotations"] = "None"
    """The way in which Prometheus discovers the stream pods."""
    pod_monitor_labels: dict[str, str] = {}
    """Labels of every PodMonitor beside Vigil's own, as a JSON object; Prometheus selects PodMonitors by labels."""
    network_policy: bool = True
    """Whether every stream pod gets a NetworkPolicy."""
    stream_resources: dict[str, Any] = {
        "requests": {"cpu": "250m", "memory": "128Mi"},
        "limits": {"memory": "512Mi"},
    }
    """Kubernetes' ResourceRequirements of a stream pod without GPU, as JSON."""
    stream_gpu_resources: dict[str, Any] = {
        "requests": {"cpu": "250m", "memory": "256Mi"},
        "limits": {"memory": "1Gi", "nvidia.com/gpu": "1"},
    }
    """The same with GPU."""
    runtime_class_gpu: str = ""
    """runtimeClassName of pods with GPU; empty: the cluster's default."""
    usb_resources: dict[str, str] = {}
    """Extended resource by device path, such as {"/dev/video0": "squat.ai/video"}, from a device plugin."""
    state_size_limit: str = "320Mi"
    """Size of the stream pod's volume for its journal; more than the journal may take."""
    photo_networks: Annotated[str, NoDecode] = ""
    """Private networks from which photos are fetched, such as 10.20.0.0/16, with commas."""
    photos_at_once: Annotated[int, Field(ge=1, le=16)] = 2
    """Subjects whose photos are held in memory at the same time: up to 60 MiB each, and one photo twice."""
    resync_s: Annotated[float, Field(ge=5)] = 600.0
    """Interval at which everything is listed and reconciled, whether or not it changed."""
    workers: Annotated[int, Field(ge=1, le=64)] = 16
    """Concurrent reconciles of each kind: Cameras, Subjects, Sites."""
    shutdown_s: Annotated[float, Field(gt=0, le=300)] = 10.0
    """From SIGTERM to the end, for reconciles under way."""
    http_port: Annotated[int, Field(ge=0, le=65535)] = 8080
    """0: chosen by the system, and logged."""

    @property
    def served_namespaces(self) -> tuple[str, ...]:
        """The namespaces one by one; none: all."""
        return tuple(split_list(self.namespaces))

    @property
    def pull_secrets(self) -> list[str]:
        """The pull secrets one by one."""
        return split_list(self.image_pull_secrets)

    @property
    def triton_endpoints(self) -> list[str]:
        """The endpoints one by one."""
        return split_list(self.triton_urls)

    @property
    def allowed_photo_networks(self) -> tuple[IpNetwork, ...]:
        """The networks of photos one by one."""
        return parse_networks(self.photo_networks)

    @model_validator(mode="after")
    def _check(self) -> Self:
        wrong = [name for name in self.served_namespaces if not DNS_LABEL.fullmatch(name)]
        if wrong:
            msg = f"VIGIL_NAMESPACES: {', '.join(wrong)}: not names of namespaces; a name has a-z, 0-9, '-', at most 63"
            raise ValueError(msg)
        if (self.registry_url is None) != (self.registry_token is None):
            msg = "set both VIGIL_REGISTRY_URL and VIGIL_REGISTRY_TOKEN, or neither"
            raise ValueError(msg)
        try:
            _ = self.allowed_photo_networks
        except ValueError as error:
            msg = f"VIGIL_PHOTO_NETWORKS: {error}; write networks such as 10.20.0.0/16, with commas"
            raise ValueError(msg) from None
        for key, text in self.pod_monitor_labels.items():
            if fault := _fault_of_label(key, text):
                msg = f"VIGIL_POD_MONITOR_LABELS: {fault}"
                raise ValueError(msg)
        return self


def _fault_of_label(key: str, text: str) -> str:
    if key.startswith(OWN_LABELS):
        return f"{key}: labels that begin with {' or '.join(OWN_LABELS)} are Vigil's own; take another, or leave it out"
    for given, what, kind in ((key, "name", _LABEL_KEY), (text, "value", _LABEL_TEXT)):
        try:
            kind.validate_python(given)
        except ValidationError:
            return (
                f"{key}: not the {what} of a label: at most 63 letters and digits, with '-', '_' and '.' between them"
            )
    return ""
