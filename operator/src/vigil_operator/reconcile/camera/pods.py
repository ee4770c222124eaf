"""What the pod of a Camera says of itself, in one reason and one sentence."""

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
"""From so many on, a process that just ended is taken for one that ends again and again."""
MAX_WORDS: Final = 600
"""Of a process' last words in a message."""
MORE_MEMORY: Final = "raise scheduling.resources.limits.memory of this Camera, or lower the camera's resolution"


@dataclass(frozen=True, slots=True)
class PodFacts:
    """How a Camera's pod stands.

    Attributes
    ----------
    trouble
        Why it does not run; None: it runs.
    permanent
        Whether only a person can help.
    """

    trouble: CameraReason | None
    message: str = ""
    permanent: bool = False


def newest(pods: Iterable[Object]) -> Object | None:
    """Give the pod that counts: the youngest that is not on its way out, else the youngest."""
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
    """Judge a Camera's pod.

    Parameters
    ----------
    deployment
        Tells why there is no pod, such as a quota, and what the pod should be made from.
    """
    if pod is None:
        return _no_pod(deployment)
    if (leaving := _leaving(pod, deployment)) is not None:
        return leaving
    name, status = pod["metadata"].get("name"), _dict(pod.get("status"))
    if (scheduled := _condition(status, "PodScheduled")) and scheduled.get("status") == "False":
        return PodFacts(CameraReason.POD_UNSCHEDULABLE, f"pod {name}: {scheduled.get('message') or 'no node takes it'}")
    if status.get("phase") == "Failed":
        told = status.get("message") or status.get("reason") or "it failed"
        return PodFacts(CameraReason.POD_PENDING, f"pod {name}: {told}; another one follows")
    container = stream_status(pod)
    if container is None:
        return PodFacts(CameraReason.POD_PENDING, f"pod {name} is {status.get('phase', 'Pending')}")
    return _container(str(name), container)


def _leaving(pod: Object, deployment: Object | None) -> PodFacts | None:
    name = pod["metadata"].get("name")
    if "deletionTimestamp" in pod["metadata"]:
        return PodFacts(CameraReason.POD_PENDING, f"pod {name} is ending; another one follows")
    if deployment is not None and _is_outdated(pod, deployment):
        # Whatever it and its process say is said of a spec that is no longer asked for.
        return PodFacts(CameraReason.STARTING, f"pod {name} runs as was asked before; another one follows")
    return None


def _is_outdated(pod: Object, deployment: Object) -> bool:
    """Say whether a pod is of an earlier configuration; one whose annotation somebody took away is not."""
    template = _dict(_dict(deployment.get("spec")).get("template"))
    of_pod, wanted = _hash(pod), _hash(template)
    return of_pod is not None and wanted is not None and of_pod != wanted


def _hash(made: Object) -> object:
    return _dict(_dict(made.get("metadata")).get("annotations")).get(CONFIG_HASH)


def stream_status(pod: Object | None) -> Object | None:
    """Give the status of the stream process' container; whatever else was injected beside it does not count."""
    told = _list(_dict((pod or {}).get("status")).get("containerStatuses"))
    return next((one for one in told if one.get("name") == CONTAINER), None)


def _no_pod(deployment: Object | None) -> PodFacts:
    failure = _condition(_dict((deployment or {}).get("status")), "ReplicaFailure")
    if failure and failure.get("status") == "True":
        told = f"the API server refuses the pod: {failure.get('message') or failure.get('reason')}"
        return PodFacts(CameraReason.APPLY_FORBIDDEN, told, permanent=True)
    return PodFacts(CameraReason.POD_PENDING, "the pod is being made")


def _container(pod: str, container: Object) -> PodFacts:
    state = _dict(container.get("state"))
    last = _dict(_dict(container.get("lastState")).get("terminated"))
    if waiting := _dict(state.get("waiting")):
        return _waiting(pod, container, waiting, last)
    if ended := _dict(state.get("terminated")):
        return _ended(pod, container, ended)
    if last and container.get("started") is False:
        # It was started again and has not answered yet: what ended it before most often ends it before it does.
        return _ended(pod, container, last)
    return PodFacts(None, _last_end(pod, container, last) if last else "")


def _waiting(pod: str, container: Object, waiting: Object, last: Object) -> PodFacts:
    reason, told = str(waiting.get("reason")), str(waiting.get("message") or "")
    if reason in PULL_FAILURES:
        text = f"pod {pod}: image {container.get('image')}: {told or reason}"
        return PodFacts(CameraReason.IMAGE_PULL_FAILED, text, permanent=True)
    if reason in CONFIG_FAILURES:
        return PodFacts(CameraReason.CONTAINER_CONFIG_ERROR, f"pod {pod}: {told or reason}", permanent=True)
    if reason == "CrashLoopBackOff" or last:
        return _ended(pod, container, last, looping=reason == "CrashLoopBackOff")
    return PodFacts(CameraReason.POD_PENDING, f"pod {pod}: {reason}{f': {told}' if told else ''}")


def _ended(pod: str, container: Object, ended: Object, *, looping: bool = False) -> PodFacts:
    told = _last_end(pod, container, ended)
    if ended.get("reason") == "OOMKilled":
        return PodFacts(CameraReason.OUT_OF_MEMORY, f"{told}; {MORE_MEMORY}", permanent=True)
    if looping or int(container.get("restartCount") or 0) >= MANY_RESTARTS:
        return PodFacts(CameraReason.CRASH_LOOPING, f"{told}; kubectl logs --previous {pod}", permanent=True)
    return PodFacts(CameraReason.POD_PENDING, f"{told}; it is started again")


def _last_end(pod: str, container: Object, ended: Object) -> str:
    words = str(ended.get("message") or "").strip()[-MAX_WORDS:]
    if ended.get("reason") == "OOMKilled":
        what = "the stream process took more memory than its limit and was killed"
    else:
        what = f"the stream process ended with exit status {ended.get('exitCode', 'unknown')}"
    return f"pod {pod}: {what} (restarts: {container.get('restartCount') or 0}){f': {words}' if words else ''}"


def _condition(status: Object, kind: str) -> Object | None:
    return next((one for one in _list(status.get("conditions")) if one.get("type") == kind), None)


def _dict(value: Any) -> Object:  # noqa: ANN401 - whatever the API server gave
    return value if isinstance(value, dict) else {}


def _list(value: Any) -> list[Object]:  # noqa: ANN401
    return [one for one in value if isinstance(one, dict)] if isinstance(value, list) else []
