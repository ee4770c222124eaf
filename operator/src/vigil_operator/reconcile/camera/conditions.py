"""From what is known of a Camera to its conditions; pure.

Ready tells the first thing in the way, in the order in which a person would look: what is wrong with what is declared,
then whether it is meant to run, then its pod, then what its stream process says, then silence.
"""

from dataclasses import dataclass
from typing import Final

from vigil_contracts.conditions import CameraCondition as Type
from vigil_contracts.conditions import CameraReason as Reason
from vigil_contracts.conditions import FitnessReason, SourceReason
from vigil_contracts.events import CameraHeartbeat, CameraState
from vigil_operator.bus.heartbeats import Heard
from vigil_operator.reconcile.camera.pods import PodFacts
from vigil_operator.reconcile.conditions import Verdict

FOR_A_PERSON: Final = frozenset(
    {
        SourceReason.UNAUTHORIZED,
        SourceReason.NOT_FOUND,
        SourceReason.NOT_A_VIDEO,
        SourceReason.CODEC_UNSUPPORTED,
        SourceReason.PICTURE_SIZE_UNSUPPORTED,
    }
)
"""What a source will not stop to be by itself."""
ANSWERS: Final = frozenset({SourceReason.CONNECTED, SourceReason.FROZEN, SourceReason.ENDED})
UNDECIDED: Final = frozenset({SourceReason.CONNECTING, SourceReason.SUSPENDED})


@dataclass(frozen=True, slots=True)
class Problem:
    """What is in the way before any pod is looked at.

    Attributes
    ----------
    permanent
        Whether only a person can help.
    """

    reason: Reason
    message: str
    permanent: bool = True


@dataclass(frozen=True, slots=True)
class Known:
    """All that is known of a Camera.

    Attributes
    ----------
    pod
        None while no pod is wanted.
    pod_age_s
        Seconds since the pod began to run; a young one may be silent.
    """

    problem: Problem | None
    suspended: bool
    pod: PodFacts | None
    heard: Heard | None
    bus_error: str = ""
    pod_age_s: float = 0.0


SILENCE_S: Final = 30.0
"""A process that runs for so long has had the time to connect to the bus."""


def judge(known: Known) -> list[Verdict]:
    """Give all conditions of a Camera."""
    ready = _ready(known)
    speaks = known.heard is not None and not known.heard.stale and _runs(known) and not _is_ended(known.heard)
    beat = known.heard.beat if known.heard is not None and speaks else None
    return [
        ready,
        _streaming(known, ready, beat),
        _reachable(ready, beat),
        _reconciling(known, ready),
        _stalled(known, ready, beat),
        _fit(known, beat),
    ]


def _runs(known: Known) -> bool:
    return not known.suspended and known.pod is not None and known.pod.trouble is None


def _is_ended(heard: Heard) -> bool:
    """Say whether the process has said its last word: that is no word about the one that follows."""
    return heard.beat.state is CameraState.STOPPED


def _ready(known: Known) -> Verdict:
    if known.problem is not None:
        return _say(Type.READY, False, known.problem.reason, known.problem.message)
    if known.suspended:
        return _say(
            Type.READY, False, Reason.SUSPENDED, "spec.suspend is true, so no pod runs; set it to false to go on"
        )
    if known.pod is None:
        return _say(Type.READY, False, Reason.POD_PENDING, "the pod is being made")
    if known.pod.trouble is not None:
        return _say(Type.READY, False, known.pod.trouble, known.pod.message)
    return _ready_by_heartbeat(known)


def _ready_by_heartbeat(known: Known) -> Verdict:
    heard = known.heard
    if heard is None or heard.stale:
        return _ready_in_silence(known)
    if _is_ended(heard):
        return _say(Type.READY, False, Reason.STARTING, "the stream process was told to end; another one follows")
    beat = heard.beat
    if beat.state is CameraState.STREAMING and beat.inference_trouble:
        told = (
            f"pictures come and none can be analysed: {beat.inference_trouble}; look at the Triton pods and at "
            "spec.inference.endpoints of the Site; the Camera goes on by itself"
        )
        return _say(Type.READY, False, Reason.INFERENCE_UNREACHABLE, told)
    if beat.state is CameraState.STREAMING:
        return _say(Type.READY, True, Reason.STREAMING, beat.message)
    return _say(Type.READY, False, beat.reason, _words(beat))


def _ready_in_silence(known: Known) -> Verdict:
    if known.bus_error:
        told = f"the operator does not reach the bus, so it cannot tell how the camera is: {known.bus_error}"
        return _say(Type.READY, None, Reason.BUS_UNREACHABLE, told)
    if known.pod_age_s < SILENCE_S:
        return _say(Type.READY, False, Reason.STARTING, "the stream pod runs and has not yet said how it is")
    told = "the pod runs, but nothing is heard of it on the bus; read its log and check that it reaches the bus"
    return _say(Type.READY, False, Reason.NO_HEARTBEAT, told)


def _streaming(known: Known, ready: Verdict, beat: CameraHeartbeat | None) -> Verdict:
    if beat is not None:
        streams = beat.state is CameraState.STREAMING
        return _say(Type.STREAMING, streams, Reason.STREAMING if streams else beat.reason, _words(beat))
    unknown = known.pod is not None and known.pod.trouble is None and bool(known.bus_error) and not known.suspended
    return _say(Type.STREAMING, None if unknown else False, ready.reason, ready.message)


def _reachable(ready: Verdict, beat: CameraHeartbeat | None) -> Verdict:
    if beat is None:
        return _say(Type.SOURCE_REACHABLE, None, ready.reason, "no stream process tells of the source now")
    if beat.reason in UNDECIDED:
        return _say(Type.SOURCE_REACHABLE, None, beat.reason, _words(beat))
    return _say(Type.SOURCE_REACHABLE, beat.reason in ANSWERS, beat.reason, _words(beat))


def _reconciling(known: Known, ready: Verdict) -> Verdict:
    on_the_way = (
        (known.problem is not None and not known.problem.permanent)
        or (known.problem is None and not known.suspended and known.pod is None)
        or (
            known.problem is None
            and not known.suspended
            and known.pod is not None
            and known.pod.trouble is not None
            and not known.pod.permanent
        )
        or (known.problem is None and ready.reason in {Reason.STARTING, SourceReason.CONNECTING})
    )
    if on_the_way:
        return _say(Type.RECONCILING, True, ready.reason, ready.message)
    return _say(Type.RECONCILING, False, Reason.RECONCILED)


def _stalled(known: Known, ready: Verdict, beat: CameraHeartbeat | None) -> Verdict:
    stuck = (
        (known.problem is not None and known.problem.permanent)
        or (not known.suspended and known.pod is not None and known.pod.permanent)
        or (beat is not None and beat.state is not CameraState.STREAMING and beat.reason in FOR_A_PERSON)
    )
    if stuck:
        return _say(Type.STALLED, True, ready.reason, ready.message)
    return _say(Type.STALLED, False, Reason.NOT_STALLED)


def _fit(known: Known, beat: CameraHeartbeat | None) -> Verdict:
    last = beat or (known.heard.beat if known.heard is not None else None)
    if last is None or last.fitness is FitnessReason.NO_FACES_YET:
        told = last.fitness_message if last is not None else ""
        return _say(Type.FIT_FOR_RECOGNITION, None, FitnessReason.NO_FACES_YET, told)
    return _say(Type.FIT_FOR_RECOGNITION, last.fitness is FitnessReason.MEASURED, last.fitness, last.fitness_message)


def _words(beat: CameraHeartbeat) -> str:
    if beat.state is CameraState.STREAMING and beat.inference_trouble:
        return "pictures come"  # what is wrong with inference is no word about the source
    return beat.message or f"the stream process says {beat.state} ({beat.reason})"


def _say(kind: Type, true: bool | None, reason: str, message: str = "") -> Verdict:
    return Verdict(kind.value, true, str(reason), message)
