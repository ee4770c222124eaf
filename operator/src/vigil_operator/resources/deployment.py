"""The Deployment of a Camera: one stream pod, as the PodSecurity standard *restricted* requires."""

from typing import Any, Final

from vigil_contracts.resources import Camera, SourceType
from vigil_contracts.resources.camera import Accelerator
from vigil_operator.kube.compare import fingerprint
from vigil_operator.kube.kinds import Object
from vigil_operator.resources.names import BUS_TOKEN, CONFIG_HASH, CONTAINER, HTTP_PORT, child_name, labels, selector
from vigil_operator.resources.wiring import Wiring

USER: Final = 65532
VIDEO_GROUP: Final = 44
"""Debian's group of /dev/video*."""
CONFIG_DIR: Final = "/etc/vigil"
CREDENTIALS_DIR: Final = "/etc/vigil/credentials"
STATE_DIR: Final = "/var/lib/vigil"
GRACE_S: Final = 15
"""Longer than the stream process takes to end (8 s)."""


def deployment(camera: Camera, wiring: Wiring, content: str) -> Object:
    """Return the Deployment's spec.

    Parameters
    ----------
    content
        The Camera as the stream process reads it; another content leads to another pod.
    """
    return {
        "replicas": wiring.replicas,
        "revisionHistoryLimit": 1,
        # Two pods of one camera would see every person twice.
        "strategy": {"type": "Recreate"},
        "selector": {"matchLabels": selector(camera.metadata.name)},
        "template": {
            "metadata": {
                "labels": labels(camera.metadata.name),
                "annotations": {CONFIG_HASH: config_hash(wiring, content, _requested(camera)), **_scraped(wiring)},
            },
            "spec": _pod(camera, wiring),
        },
    }


def config_hash(wiring: Wiring, content: str, requested: Object) -> str:
    """Return the hash of everything that the process reads at its start, of its image, and of the requested resources.

    A change of image or resources leads to another pod anyway; with the hash, an out-of-memory kill of the old pod is
    not attributed to the new one.
    """
    read = [content, wiring.secrets_digest, wiring.settings.stream_image]
    return fingerprint([*read, requested] if requested else read)


def wants_gpu(camera: Camera) -> bool:
    """Return whether the pod requests a GPU."""
    return camera.spec.scheduling.gpu or camera.spec.decode.accelerator is Accelerator.CUDA


def _pod(camera: Camera, wiring: Wiring) -> Object:
    scheduling, settings = camera.spec.scheduling, wiring.settings
    usb = camera.spec.source.type is SourceType.USB
    optional = {
        "nodeSelector": dict(scheduling.node_selector),
        "tolerations": [
            one.model_dump(mode="json", by_alias=True, exclude_none=True) for one in scheduling.tolerations
        ],
        "priorityClassName": scheduling.priority_class_name,
        "runtimeClassName": settings.runtime_class_gpu if wants_gpu(camera) else None,
        "imagePullSecrets": [{"name": name} for name in settings.pull_secrets],
    }
    return {
        "serviceAccountName": child_name(camera.metadata.name),
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,
        "terminationGracePeriodSeconds": GRACE_S,
        "securityContext": {
            "runAsNonRoot": True,
            "runAsUser": USER,
            "runAsGroup": USER,
            "fsGroup": USER,
            "seccompProfile": {"type": "RuntimeDefault"},
            **({"supplementalGroups": [VIDEO_GROUP]} if usb else {}),
        },
        "containers": [_container(camera, wiring)],
        "volumes": _volumes(camera, wiring),
        **{name: value for name, value in optional.items() if value},
    }


def _container(camera: Camera, wiring: Wiring) -> Object:
    probe = {"httpGet": {"path": "/healthz", "port": "http"}, "timeoutSeconds": 3}
    mounts = [
        {"name": "camera", "mountPath": CONFIG_DIR, "readOnly": True},
        {"name": "state", "mountPath": STATE_DIR},
        {"name": "tmp", "mountPath": "/tmp"},  # noqa: S108 - inside the container
    ]
    if camera.spec.source.credentials_secret_ref is not None:
        mounts.append({"name": "credentials", "mountPath": CREDENTIALS_DIR, "readOnly": True})
    return {
        "name": CONTAINER,
        "image": wiring.settings.stream_image,
        "imagePullPolicy": wiring.settings.stream_image_pull_policy,
        "args": ["run", "--camera", f"{CONFIG_DIR}/camera.json"],
        "env": _environment(camera, wiring),
        "ports": [{"name": "http", "containerPort": HTTP_PORT, "protocol": "TCP"}],
        "resources": _resources(camera, wiring),
        "startupProbe": {**probe, "periodSeconds": 2, "failureThreshold": 30},
        "livenessProbe": {**probe, "periodSeconds": 10, "failureThreshold": 3},
        "readinessProbe": {
            "httpGet": {"path": "/readyz", "port": "http"},
            "timeoutSeconds": 3,
            "periodSeconds": 5,
            "failureThreshold": 3,
        },
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        },
        # When the process ends with an error, the Camera's condition has the last lines of its log.
        "terminationMessagePolicy": "FallbackToLogsOnError",
        "volumeMounts": mounts,
    }


def _environment(camera: Camera, wiring: Wiring) -> list[Object]:
    plain = {
        "VIGIL_SITE": wiring.site,
        "VIGIL_NATS_URL": wiring.nats_url,
        "VIGIL_TRITON_URLS": ",".join(wiring.triton_urls),
        "VIGIL_STATE_DIR": STATE_DIR,
        "VIGIL_HTTP_HOST": "0.0.0.0",  # noqa: S104 - the pod's own address, for the kubelet's probes
        "VIGIL_HTTP_PORT": str(HTTP_PORT),
    }
    if camera.spec.source.credentials_secret_ref is not None:
        plain["VIGIL_SOURCE_CREDENTIALS_DIR"] = CREDENTIALS_DIR
    if wants_gpu(camera):
        plain["NVIDIA_DRIVER_CAPABILITIES"] = "compute,utility,video"
    token = {"secretKeyRef": {"name": wiring.bus_secret, "key": BUS_TOKEN}}
    return [
        *({"name": name, "value": value} for name, value in plain.items()),
        {"name": "VIGIL_NATS_TOKEN", "valueFrom": token},
    ]


def _resources(camera: Camera, wiring: Wiring) -> Object:
    settings = wiring.settings
    chosen: dict[str, Any] = settings.stream_gpu_resources if wants_gpu(camera) else settings.stream_resources
    device = settings.usb_resources.get(camera.spec.source.url)
    added = {"limits": {device: "1"}} if camera.spec.source.type is SourceType.USB and device else {}
    for more in (_requested(camera), added):
        chosen = {**chosen, **{part: {**(chosen.get(part) or {}), **amounts} for part, amounts in more.items()}}
    return chosen


def _requested(camera: Camera) -> Object:
    """Return the resources in a Camera's own spec; empty without any."""
    requested = camera.spec.scheduling.resources.model_dump(mode="json", by_alias=True, exclude_none=True)
    return {part: amounts for part, amounts in requested.items() if amounts}


def _volumes(camera: Camera, wiring: Wiring) -> list[Object]:
    volumes: list[Object] = [
        {"name": "camera", "configMap": {"name": child_name(camera.metadata.name)}},
        {"name": "state", "emptyDir": {"sizeLimit": wiring.settings.state_size_limit}},
        {"name": "tmp", "emptyDir": {"sizeLimit": "64Mi"}},
    ]
    if (secret := camera.spec.source.credentials_secret_ref) is not None:
        volumes.append({"name": "credentials", "secret": {"secretName": secret.name, "defaultMode": 0o440}})
    return volumes


def _scraped(wiring: Wiring) -> dict[str, str]:
    if wiring.settings.monitoring != "Annotations":
        return {}
    return {
        "prometheus.io/scrape": "true",
        "prometheus.io/port": str(HTTP_PORT),
        "prometheus.io/path": "/metrics",
    }
