"""The state of a Camera's pod, in one reason and one sentence; pure."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Final

from vigil_contracts.conditions import CameraReason
from vigil_operator.kube.kinds import Object
from vigil_operator.resources.names import CONFIG_HASH, CONTAINER

PULL_FAILURES: Final = frozenset(
    {
        "ErrImagePull",
        "ImagePullBackOff",
        "InvalidImageName",
        "ErrImageNeverPull",
        "RegistryUnavailable",
        "ImageInspectError",
    }
)
CONFIG_FAILURES: Final = frozenset(
    {"CreateContainerConfigError", "CreateContainerError", "RunContainerError", "ContainerCannotRun", "StartError"}
)
MANY_RESTARTS: Final = 2
"""From so many restarts on, a process that just ended counts as crash looping."""
MAX_LOG_CHARS: Final = 600
"""Length of the end of a process' log in a message."""
MORE_MEMORY: Final = "raise scheduling.resources.limits.memory of this Camera, or lower the camera's resolution"


@dataclass(frozen=True, slots=True)
class PodFacts:
    """The state of a Camera's pod.

    Attributes
    ----------
    reason
        Why it does not run; None: it runs.
    permanent
        Whether only a person can help.
    """

    reason: CameraReason | None
    message: str = ""
    permanent: bool = False


def newest(pods: Iterable[Object]) -> Object | None:
    """Return the youngest pod that is not being deleted, else the youngest; None: there is none."""
    order = sorted(
        pods,
        key=lambda pod: (
            "deletionTimestamp" not in pod["metadata"],
            str(pod["metadata"].get("creationTimestamp")),
            str(pod["metadata"].get("name")),
        ),
    )
    return order[-1] if order else None


def facts(pod: Object | None, deployment: Object | None) -> PodFacts:
    """Return the state of a Camera's pod.

    Parameters
    ----------
    deployment
        Has the reason why there is no pod, such as a quota, and the template of the pod.
    """
    if pod is None:
        return _no_pod(deployment)
    if (ending := _ending(pod, deployment)) is not None:
        return ending
    name, status = pod["metadata"].get("name"), _dict(pod.get("status"))
    if (scheduled := _condition(status, "PodScheduled")) and scheduled.get("status") == "False":
        return PodFacts(CameraReason.POD_UNSCHEDULABLE, f"pod {name}: {scheduled.get('message') or 'no node takes it'}")
    if status.get("phase") == "Failed":
        message = status.get("message") or status.get("reason") or "it failed"
        return PodFacts(CameraReason.POD_PENDING, f"pod {name}: {message}; another one follows")
    container = stream_status(pod)
    if container is None:
        return PodFacts(CameraReason.POD_PENDING, f"pod {name} is {status.get('phase', 'Pending')}")
    return _container(str(name), container)


def _ending(pod: Object, deployment: Object | None) -> PodFacts | None:
    name = pod["metadata"].get("name")
    if "deletionTimestamp" in pod["metadata"]:
        return PodFacts(CameraReason.POD_PENDING, f"pod {name} is ending; another one follows")
    if deployment is not None and _is_outdated(pod, deployment):
        # Its state and its heartbeats belong to a spec that is no longer wanted.
        return PodFacts(CameraReason.STARTING, f"pod {name} runs an earlier configuration; another one follows")
    return None


def _is_outdated(pod: Object, deployment: Object) -> bool:
    """Return whether a pod has an earlier configuration; False when its annotation was removed."""
    template = _dict(_dict(deployment.get("spec")).get("template"))
    of_pod, wanted = _hash(pod), _hash(template)
    return of_pod is not None and wanted is not None and of_pod != wanted


def _hash(made: Object) -> object:
    return _dict(_dict(made.get("metadata")).get("annotations")).get(CONFIG_HASH)


def stream_status(pod: Object | None) -> Object | None:
    """Return the status of the stream process' container; containers that were injected beside it do not count."""
    containers = _list(_dict((pod or {}).get("status")).get("containerStatuses"))
    return next((one for one in containers if one.get("name") == CONTAINER), None)


def _no_pod(deployment: Object | None) -> PodFacts:
    failure = _condition(_dict((deployment or {}).get("status")), "ReplicaFailure")
    if failure and failure.get("status") == "True":
        message = f"the API server refuses the pod: {failure.get('message') or failure.get('reason')}"
        return PodFacts(CameraReason.APPLY_FORBIDDEN, message, permanent=True)
    return PodFacts(CameraReason.POD_PENDING, "the pod is being made")


def _container(pod: str, container: Object) -> PodFacts:
    state = _dict(container.get("state"))
    last = _dict(_dict(container.get("lastState")).get("terminated"))
    if waiting := _dict(state.get("waiting")):
        return _waiting(pod, container, waiting, last)
    if ended := _dict(state.get("terminated")):
        return _ended(pod, container, ended)
    if last and container.get("started") is False:
        # Restarted and not yet started up: it most often ends again for the same reason.
        return _ended(pod, container, last)
    return PodFacts(None, _last_end(pod, container, last) if last else "")


def _waiting(pod: str, container: Object, waiting: Object, last: Object) -> PodFacts:
    reason, message = str(waiting.get("reason")), str(waiting.get("message") or "")
    if reason in PULL_FAILURES:
        text = f"pod {pod}: image {container.get('image')}: {message or reason}"
        return PodFacts(CameraReason.IMAGE_PULL_FAILED, text, permanent=True)
    if reason in CONFIG_FAILURES:
        return PodFacts(CameraReason.CONTAINER_CONFIG_ERROR, f"pod {pod}: {message or reason}", permanent=True)
    if reason == "CrashLoopBackOff" or last:
        return _ended(pod, container, last, looping=reason == "CrashLoopBackOff")
    return PodFacts(CameraReason.POD_PENDING, f"pod {pod}: {reason}{f': {message}' if message else ''}")


def _ended(pod: str, container: Object, ended: Object, *, looping: bool = False) -> PodFacts:
    message = _last_end(pod, container, ended)
    if ended.get("reason") == "OOMKilled":
        return PodFacts(CameraReason.OUT_OF_MEMORY, f"{message}; {MORE_MEMORY}", permanent=True)
    if looping or int(container.get("restartCount") or 0) >= MANY_RESTARTS:
        return PodFacts(CameraReason.CRASH_LOOPING, f"{message}; kubectl logs --previous {pod}", permanent=True)
    return PodFacts(CameraReason.POD_PENDING, f"{message}; it is started again")


def _last_end(pod: str, container: Object, ended: Object) -> str:
    output = str(ended.get("message") or "").strip()[-MAX_LOG_CHARS:]
    if ended.get("reason") == "OOMKilled":
        what = "the stream process used more memory than its limit and was killed"
    else:
        what = f"the stream process ended with exit status {ended.get('exitCode', 'unknown')}"
    return f"pod {pod}: {what} (restarts: {container.get('restartCount') or 0}){f': {output}' if output else ''}"


def _condition(status: Object, kind: str) -> Object | None:
    return next((one for one in _list(status.get("conditions")) if one.get("type") == kind), None)


def _dict(value: Any) -> Object:  # noqa: ANN401 - data of the API server
    return value if isinstance(value, dict) else {}


def _list(value: Any) -> list[Object]:  # noqa: ANN401
    return [one for one in value if isinstance(one, dict)] if isinstance(value, list) else []
