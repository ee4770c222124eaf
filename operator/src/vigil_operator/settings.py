"""What the operator is told by its environment."""

import ipaddress
from typing import Annotated, Any, Final, Literal, Self

from pydantic import Field, SecretStr, TypeAdapter, ValidationError, model_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict
from pydantic_settings.exceptions import SettingsError as UnreadableError

from vigil_contracts.ids import DNS_LABEL
from vigil_contracts.resources.scheduling import LabelKey, LabelText

IpNetwork = ipaddress.IPv4Network | ipaddress.IPv6Network
Label = Annotated[str, Field(pattern=f"^{DNS_LABEL.pattern}$")]
OWN_LABELS: Final = ("app.kubernetes.io/", "vigil.dev/")
"""How all labels begin that Vigil gives its objects and finds them by."""

_LABEL_KEY: Final = TypeAdapter[str](LabelKey)
_LABEL_TEXT: Final = TypeAdapter[str](LabelText)


class SettingsError(Exception):
    """The environment is wrong; the message names each variable that is."""


class Settings(BaseSettings):
    """Read from variables with the prefix VIGIL_."""

    model_config = SettingsConfigDict(
        env_prefix="VIGIL_", frozen=True, env_ignore_empty=True, use_attribute_docstrings=True
    )

    namespaces: Annotated[str, NoDecode] = ""
    """Namespaces to serve, with commas; empty: the whole cluster."""
    namespace: Label = "default"
    """Where the operator runs, and its Lease lies."""
    pod_name: str = ""
    """Who holds the Lease; the host's name when empty."""
    lease_name: Label = "vigil-operator"
    lease_s: Annotated[int, Field(ge=3, le=300)] = 15
    """A Lease not renewed for so long is free for another operator."""
    site: Label = "default"
    """Site of Cameras without siteRef."""
    stream_image: Annotated[str, Field(min_length=1)] = "vigil/stream:0.1.0"
    stream_image_pull_policy: Literal["Always", "IfNotPresent", "Never"] = "IfNotPresent"
    image_pull_secrets: Annotated[str, NoDecode] = ""
    """Names of Secrets in the Camera's namespace, with commas."""
    nats_url: str = "nats://127.0.0.1:4222"
    """The operator's own way to the bus, and that of Sites that name none."""
    nats_token: SecretStr | None = None
    bus_secret: str = "vigil-bus"  # noqa: S105 - the name of a Secret
    """Secret in a Camera's namespace whose key `token` the stream pod joins the bus with; a Site may name another."""
    triton_urls: Annotated[str, NoDecode] = "triton:8001"
    """host:port of Triton's gRPC, in order of preference, with commas; for Sites that name none."""
    registry_url: str | None = None
    """Address of identity's registry, such as http://vigil-identity:8080; without one nothing is registered."""
    registry_token: SecretStr | None = None
    monitoring: Literal["None", "PodMonitor", "Annotations"] = "None"
    """How Prometheus is told of the stream pods."""
    pod_monitor_labels: dict[str, str] = {}
    """Labels of every PodMonitor beside Vigil's own, as a JSON object: what the Prometheus selects them by."""
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
    """Of the stream pod's volume for its journal; more than its outbox may take."""
    photo_networks: Annotated[str, NoDecode] = ""
    """Networks such as 10.20.0.0/16, with commas, from which photos are fetched although they are private."""
    photos_at_once: Annotated[int, Field(ge=1, le=16)] = 2
    """Subjects whose photos are held in memory at the same time: up to 60 MiB each, and one photo twice."""
    resync_s: Annotated[float, Field(ge=5)] = 600.0
    """Every so often everything is listed and reconciled, whether or not it changed."""
    workers: Annotated[int, Field(ge=1, le=64)] = 16
    """Reconciles at once, of Cameras, of Subjects and of Sites each."""
    shutdown_s: Annotated[float, Field(gt=0, le=300)] = 10.0
    """From SIGTERM to the end, for reconciles under way to be finished."""
    http_host: str = "127.0.0.1"
    """In a pod: 0.0.0.0, for the kubelet's probes."""
    http_port: Annotated[int, Field(ge=0, le=65535)] = 8080
    """0: chosen by the system, and logged."""
    log_level: Literal["debug", "info", "warning", "error"] = "info"
    log_format: Literal["json", "console"] = "json"

    @property
    def served_namespaces(self) -> tuple[str, ...]:
        """The namespaces one by one; none: all."""
        return tuple(_split(self.namespaces))

    @property
    def pull_secrets(self) -> list[str]:
        """The pull secrets one by one."""
        return _split(self.image_pull_secrets)

    @property
    def triton_endpoints(self) -> list[str]:
        """The endpoints one by one."""
        return _split(self.triton_urls)

    @property
    def allowed_photo_networks(self) -> tuple[IpNetwork, ...]:
        """The networks of photos one by one."""
        return tuple(ipaddress.ip_network(part) for part in _split(self.photo_networks))

    @model_validator(mode="after")
    def _sound(self) -> Self:
        wrong = [name for name in self.served_namespaces if not DNS_LABEL.fullmatch(name)]
        if wrong:
            msg = f"VIGIL_NAMESPACES: {', '.join(wrong)}: not names of namespaces (a-z, 0-9, '-', at most 63)"
            raise ValueError(msg)
        if (self.registry_url is None) != (self.registry_token is None):
            msg = "set both VIGIL_REGISTRY_URL and VIGIL_REGISTRY_TOKEN, or neither"
            raise ValueError(msg)
        try:
            _ = self.allowed_photo_networks
        except ValueError as error:
            msg = f"VIGIL_PHOTO_NETWORKS: {error}"
            raise ValueError(msg) from None
        for key, text in self.pod_monitor_labels.items():
            if fault := _fault_of_label(key, text):
                msg = f"VIGIL_POD_MONITOR_LABELS: {fault}"
                raise ValueError(msg)
        return self


def load() -> Settings:
    """Read the environment; SettingsError names each variable that is wrong, never its value."""
    try:
        return Settings()
    except UnreadableError as error:
        # Says which field; that it is JSON which is wanted is what a person needs to know.
        variables = (
            "VIGIL_STREAM_RESOURCES, VIGIL_STREAM_GPU_RESOURCES, VIGIL_USB_RESOURCES and VIGIL_POD_MONITOR_LABELS"
        )
        msg = f"{error}: {variables} are JSON objects"
        raise SettingsError(msg) from None
    except ValidationError as error:
        told = [
            f"VIGIL_{str(d['loc'][0]).upper()}: {d['msg']}" if d["loc"] else d["msg"].removeprefix("Value error, ")
            for d in error.errors(include_input=False)
        ]
        raise SettingsError("; ".join(told)) from None


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


def _split(text: str) -> list[str]:
    return [part.strip() for part in text.split(",") if part.strip()]
