"""Derive the conditions of a Camera from its facts; pure.

Ready reports the first problem, in the order in which a person would search: the declaration, whether the Camera is
suspended, its pod, its heartbeats, then the lack of heartbeats.
"""

from dataclasses import dataclass
from typing import Final

from vigil_contracts.conditions import CameraCondition as Type
from vigil_contracts.conditions import CameraReason as Reason
from vigil_contracts.conditions import ClockReason, FitnessReason, SourceReason
from vigil_contracts.events import CameraHeartbeat, CameraState
from vigil_operator.bus.heartbeats import LastHeartbeat
from vigil_operator.reconcile.camera.pods import PodFacts
from vigil_operator.reconcile.conditions import ConditionUpdate
from vigil_runtime.clock import NOT_MEASURED, ClockState

FOR_A_PERSON: Final = frozenset(
    {
        SourceReason.UNAUTHORIZED,
        SourceReason.LOGIN_UNSUPPORTED,
        SourceReason.NOT_FOUND,
        SourceReason.NOT_A_VIDEO,
        SourceReason.CODEC_UNSUPPORTED,
        SourceReason.PICTURE_SIZE_UNSUPPORTED,
    }
)
"""Faults of a source that do not go away by themselves."""
ANSWERS: Final = frozenset(
    {SourceReason.CONNECTED, SourceReason.FROZEN, SourceReason.WAITING_FOR_KEYFRAME, SourceReason.ENDED}
)
UNDECIDED: Final = frozenset({SourceReason.CONNECTING, SourceReason.SUSPENDED})


@dataclass(frozen=True, slots=True)
class Problem:
    """A problem that is found without looking at a pod.

    Attributes
    ----------
    permanent
        Whether only a person can help.
    """

    reason: Reason
    message: str
    permanent: bool = True


@dataclass(frozen=True, slots=True)
class CameraFacts:
    """The facts from which the conditions of a Camera follow.

    Attributes
    ----------
    pod
        None while no pod is wanted.
    bus_error
        Why the operator does not reach the bus; empty when it does.
    pod_age_s
        Seconds since the pod began to run; a young one may be silent.
    """

    problem: Problem | None
    suspended: bool
    pod: PodFacts | None
    heartbeat: LastHeartbeat | None
    bus_problem: str = ""
    pod_age_s: float = 0.0


SILENCE_S: Final = 30.0
"""A process that runs for so long has had the time to connect to the bus."""


def condition_updates(facts: CameraFacts) -> list[ConditionUpdate]:
    """Return all conditions of a Camera."""
    ready = _ready(facts)
    is_current = (
        facts.heartbeat is not None and not facts.heartbeat.stale and _runs(facts) and not _is_ended(facts.heartbeat)
    )
    beat = facts.heartbeat.beat if facts.heartbeat is not None and is_current else None
    return [
        ready,
        _streaming(facts, ready, beat),
        _reachable(ready, beat),
        _reconciling(facts, ready),
        _stalled(facts, ready, beat),
        _fit(facts, beat),
        _clock(facts.heartbeat.clock if facts.heartbeat is not None and beat is not None else NOT_MEASURED),
    ]


def _runs(facts: CameraFacts) -> bool:
    return not facts.suspended and facts.pod is not None and facts.pod.reason is None


def _is_ended(heartbeat: LastHeartbeat) -> bool:
    """Return whether the process announced its end; that proves nothing about the next process."""
    return heartbeat.beat.state is CameraState.STOPPED


def _ready(facts: CameraFacts) -> ConditionUpdate:
    if facts.problem is not None:
        return _update(Type.READY, False, facts.problem.reason, facts.problem.message)
    if facts.suspended:
        return _update(
            Type.READY, False, Reason.SUSPENDED, "spec.suspend is true, so no pod runs; set it to false to go on"
        )
    if facts.pod is None:
        return _update(Type.READY, False, Reason.POD_PENDING, "the pod is being made")
    if facts.pod.reason is not None:
        return _update(Type.READY, False, facts.pod.reason, facts.pod.message)
    return _ready_by_heartbeat(facts)


def _ready_by_heartbeat(facts: CameraFacts) -> ConditionUpdate:
    heartbeat = facts.heartbeat
    if heartbeat is None or heartbeat.stale:
        return _ready_in_silence(facts)
    if _is_ended(heartbeat):
        return _update(Type.READY, False, Reason.STARTING, "the stream process is ending; another one follows")
    beat = heartbeat.beat
    if beat.state is CameraState.STREAMING and beat.inference_trouble:
        message = (
            f"frames arrive and none can be analysed: {beat.inference_trouble}; check the Triton pods and "
            "spec.inference.endpoints of the Site; the Camera goes on by itself"
        )
        return _update(Type.READY, False, Reason.INFERENCE_UNREACHABLE, message)
    if beat.state is CameraState.STREAMING:
        return _update(Type.READY, True, _streaming_reason(beat), beat.message)
    return _update(Type.READY, False, beat.reason, _message(beat))


def _streaming_reason(beat: CameraHeartbeat) -> str:
    """Return the reason of a Camera that streams; frozen video may be a still scene, so it is read on."""
    return SourceReason.FROZEN if beat.reason is SourceReason.FROZEN else Reason.STREAMING


def _ready_in_silence(facts: CameraFacts) -> ConditionUpdate:
    if facts.bus_problem:
        message = f"the operator does not reach the bus, so the state of the camera is unknown: {facts.bus_problem}"
        return _update(Type.READY, None, Reason.BUS_UNREACHABLE, message)
    if facts.pod_age_s < SILENCE_S:
        return _update(Type.READY, False, Reason.STARTING, "the stream pod runs and has not sent a heartbeat yet")
    message = "the pod runs, but its heartbeats do not arrive; read its log and check that it reaches the bus"
    return _update(Type.READY, False, Reason.NO_HEARTBEAT, message)


def _streaming(facts: CameraFacts, ready: ConditionUpdate, beat: CameraHeartbeat | None) -> ConditionUpdate:
    if beat is not None:
        streams = beat.state is CameraState.STREAMING
        return _update(Type.STREAMING, streams, _streaming_reason(beat) if streams else beat.reason, _message(beat))
    unknown = facts.pod is not None and facts.pod.reason is None and bool(facts.bus_problem) and not facts.suspended
    return _update(Type.STREAMING, None if unknown else False, ready.reason, ready.message)


def _reachable(ready: ConditionUpdate, beat: CameraHeartbeat | None) -> ConditionUpdate:
    if beat is None:
        return _update(
            Type.SOURCE_REACHABLE, None, ready.reason, "no stream process reports the state of the source now"
        )
    if beat.reason in UNDECIDED:
        return _update(Type.SOURCE_REACHABLE, None, beat.reason, _message(beat))
    return _update(Type.SOURCE_REACHABLE, beat.reason in ANSWERS, beat.reason, _message(beat))


def _reconciling(facts: CameraFacts, ready: ConditionUpdate) -> ConditionUpdate:
    progresses = (
        (facts.problem is not None and not facts.problem.permanent)
        or (facts.problem is None and not facts.suspended and facts.pod is None)
        or (
            facts.problem is None
            and not facts.suspended
            and facts.pod is not None
            and facts.pod.reason is not None
            and not facts.pod.permanent
        )
        or (facts.problem is None and ready.reason in {Reason.STARTING, SourceReason.CONNECTING})
    )
    if progresses:
        return _update(Type.RECONCILING, True, ready.reason, ready.message)
    return _update(Type.RECONCILING, False, Reason.RECONCILED)


def _stalled(facts: CameraFacts, ready: ConditionUpdate, beat: CameraHeartbeat | None) -> ConditionUpdate:
    stuck = (
        (facts.problem is not None and facts.problem.permanent)
        or (not facts.suspended and facts.pod is not None and facts.pod.permanent)
        or (beat is not None and beat.state is not CameraState.STREAMING and beat.reason in FOR_A_PERSON)
    )
    if stuck:
        return _update(Type.STALLED, True, ready.reason, ready.message)
    return _update(Type.STALLED, False, Reason.NOT_STALLED)


def _fit(facts: CameraFacts, beat: CameraHeartbeat | None) -> ConditionUpdate:
    last = beat or (facts.heartbeat.beat if facts.heartbeat is not None else None)
    if last is None or last.fitness is FitnessReason.NO_FACES_YET:
        message = last.fitness_message if last is not None else ""
        return _update(Type.FIT_FOR_RECOGNITION, None, FitnessReason.NO_FACES_YET, message)
    return _update(Type.FIT_FOR_RECOGNITION, last.fitness is FitnessReason.MEASURED, last.fitness, last.fitness_message)


def _clock(clock: ClockState) -> ConditionUpdate:
    synchronized = None if clock == NOT_MEASURED else clock.reason is ClockReason.SYNCHRONIZED
    return _update(Type.CLOCK_SYNCHRONIZED, synchronized, clock.reason, clock.message)


def _message(beat: CameraHeartbeat) -> str:
    if beat.state is CameraState.STREAMING and beat.inference_trouble:
        return "frames arrive"  # an error of inference is not one of the source
    return beat.message or f"the stream process reports {beat.state} ({beat.reason})"


def _update(kind: Type, true: bool | None, reason: str, message: str = "") -> ConditionUpdate:
    return ConditionUpdate(kind.value, true, str(reason), message)
