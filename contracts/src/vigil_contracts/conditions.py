"""Condition types and the reasons of a source, in kubectl and in the API alike; `reasons` holds those of the operator.

Each member's docstring is its text in `docs/reference.md`: first what it means, then what to do.
"""

import datetime as dt
from enum import StrEnum
from typing import Annotated

from pydantic import BeforeValidator, Field

from vigil_contracts.addresses import hide_secrets
from vigil_contracts.base import Tolerant
from vigil_contracts.reasons import CameraReason, SiteReason, SubjectReason

__all__ = [
    "MAX_CONDITIONS",
    "MAX_MESSAGE",
    "CameraCondition",
    "CameraReason",
    "ClockReason",
    "Condition",
    "ConditionStatus",
    "FitnessReason",
    "Message",
    "SiteCondition",
    "SiteReason",
    "SourceReason",
    "SubjectCondition",
    "SubjectReason",
    "publishable",
]

MAX_CONDITIONS = 16
"""Conditions of one resource; with MAX_MESSAGE it bounds the size of a status in etcd."""

MAX_MESSAGE = 4096
"""Characters of one condition's message; a longer one is cut, because no condition is worth failing to report."""


class ConditionStatus(StrEnum):
    """Kubernetes' three-valued truth."""

    TRUE = "True"
    FALSE = "False"
    UNKNOWN = "Unknown"


class CameraCondition(StrEnum):
    """Condition types of a Camera."""

    READY = "Ready"
    """Its pod runs, and frames arrive and are analysed. Check this condition first: its reason and message name
    the obstacle."""
    STREAMING = "Streaming"
    """The stream pod receives frames. While it is False there are no sightings at this camera."""
    SOURCE_REACHABLE = "SourceReachable"
    """The camera answers at its address with a video that can be decoded. Its reason is one of those of a source."""
    RECONCILING = "Reconciling"
    """The operator is still on the way to what the spec asks. Wait; kstatus, Argo CD and Flux show progress."""
    STALLED = "Stalled"
    """It will not recover without a change. Follow the message; kstatus, Argo CD and Flux show a failure."""
    FIT_FOR_RECOGNITION = "FitForRecognition"
    """The faces seen here are large, sharp and straight enough to be recognised. Its reason is one of those of
    fitness, measured on the last faces."""
    CLOCK_SYNCHRONIZED = "ClockSynchronized"
    """The clock of the machine that the stream pod runs on agrees with those of the operator and the API. Its reason is
    one of those of a clock, measured on the last heartbeats."""


class SubjectCondition(StrEnum):
    """Condition types of a Subject."""

    READY = "Ready"
    """The person is recognised now. Check this condition first: its reason names the obstacle."""
    ENROLLED = "Enrolled"
    """At least one photo is in the gallery. `status.photos` has the result for each photo."""
    CONSENT_VALID = "ConsentValid"
    """Consent is granted and has not expired. Only then is the person matched."""
    REPLICATED = "Replicated"
    """The gallery of every chosen Site knows the person. With one Site it follows Enrolled."""


class SiteCondition(StrEnum):
    """Condition types of a Site."""

    READY = "Ready"
    """The Site's bus and at least one of its inference endpoints answer. Check this condition first."""
    CONNECTED = "Connected"
    """The operator is connected to the Site's bus and receives heartbeats of its cameras."""
    IN_SYNC = "InSync"
    """The Site has the galleries of the others, and the others have its sightings."""


class SourceReason(StrEnum):
    """Why a camera's source delivers frames, or does not."""

    CONNECTED = "Connected"
    """Frames arrive. Nothing is to be done."""
    CONNECTING = "Connecting"
    """The first connection is being made. Wait some seconds."""
    UNREACHABLE = "Unreachable"
    """Nothing answers at the address. Check url, the network between the cluster and the camera, and firewalls."""
    REFUSED = "Refused"
    """The camera answers and refuses the stream: too many viewers, a transport or a request that it does not know. The
    message has its status and the remedy."""
    UNAUTHORIZED = "Unauthorized"
    """The camera refuses the user name and password. Correct them in the Secret that credentialsSecretRef names."""
    LOGIN_UNSUPPORTED = "LoginUnsupported"
    """The camera asks for a kind of login that the decoder does not have: Digest with SHA-256 over RTSP. Set the
    camera's RTSP authentication to Digest with MD5."""
    NOT_FOUND = "NotFound"
    """The camera, or the file system, does not know this path. Correct the end of url."""
    NOT_A_VIDEO = "NotAVideo"
    """Something answers, but sends no video. Correct url; it may lead to the camera's web page."""
    CODEC_UNSUPPORTED = "CodecUnsupported"
    """The video's codec cannot be decoded here. Set the camera to H.264 or H.265."""
    PICTURE_SIZE_UNSUPPORTED = "PictureSizeUnsupported"
    """The frame is too small or too large. Choose another resolution in the camera."""
    CORRUPT = "Corrupt"
    """The data cannot be decoded. Look for lost packets; transport TCP helps."""
    WAITING_FOR_KEYFRAME = "WaitingForKeyframe"
    """Video arrives, but not yet a keyframe, without which nothing can be decoded. Set a shorter keyframe interval
    (I-frame interval, GOP) in the camera; Vigil waits for the next one."""
    FROZEN = "Frozen"
    """The same frame arrives again and again: a dark or still scene without noise, or a camera that hangs. Move
    something before the camera; restart it when that changes nothing. Vigil goes on reading."""
    STOPPED = "Stopped"
    """Frames arrived and have stopped. Check the camera and its network; Vigil keeps reconnecting. For a camera that
    sends frames seldom, set stallTimeoutSeconds."""
    ENDED = "Ended"
    """The file is at its end. Set loop to play it again."""
    DECODER_HUNG = "DecoderHung"
    """The decoder did not respond in time and was ended. Vigil starts it anew; if it recurs, try decode.accelerator
    CPU."""
    SUSPENDED = "Suspended"
    """The Camera is suspended. Set suspend to false to go on."""
    FAILED = "Failed"
    """An error that none of the other reasons covers. Read the message and the stream pod's log."""


class FitnessReason(StrEnum):
    """Why faces at a camera are, or are not, good enough to recognise."""

    MEASURED = "Measured"
    """Faces are large, sharp and straight enough. Nothing is to be done."""
    NO_FACES_YET = "NoFacesYet"
    """Too few faces were seen for an assessment. Wait until people have passed."""
    FACES_TOO_SMALL = "FacesTooSmall"
    """Half of the faces are too small. Zoom in, come nearer, or choose a higher resolution."""
    FACES_BLURRED = "FacesBlurred"
    """Half of the faces are blurred. Focus, add light, or shorten the exposure."""
    FACES_TURNED = "FacesTurned"
    """Half of the faces look away. Hang the camera where people look towards it."""
    TOO_MANY_FACES = "TooManyFaces"
    """More faces were in view than detection.maxFaces, and those beyond it were left out. Raise detection.maxFaces."""
    FACES_LYING = "FacesLying"
    """Faces lie on their side or are upside down. Hang the camera upright, or set source.rotation."""
    FACES_DISTORTED = "FacesDistorted"
    """Faces are too broad or too narrow. Set the camera's aspect ratio to that of its sensor."""


class ClockReason(StrEnum):
    """Why the clock of a camera's machine is believed, or is not."""

    SYNCHRONIZED = "Synchronized"
    """It differs by less than a minute. Nothing is to be done."""
    NOT_MEASURED = "NotMeasured"
    """No heartbeat has come since the operator or the API started. Wait some seconds."""
    CLOCK_AHEAD = "ClockAhead"
    """It is ahead by more than a minute. Synchronise the clock of that machine (NTP). Times of sightings are corrected
    meanwhile, and nobody is named whose consent or validity may have begun after the person was seen. If all Cameras
    report it, the clock of the operator's machine is behind."""
    CLOCK_BEHIND = "ClockBehind"
    """It is behind by more than a minute. Synchronise it, as for ClockAhead. If all Cameras report it, the clock of the
    operator's machine is ahead."""
    CLOCK_JUMPED = "ClockJumped"
    """It is right, and was set by more than a minute in the last ten. If that recurs, look for two programs that set
    it, or for a battery that is empty."""


def publishable(message: str) -> str:
    """Return a message as a status may hold it: without what addresses in it may hold of secrets, and not too long."""
    message = hide_secrets(message)
    return message if len(message) <= MAX_MESSAGE else message[: MAX_MESSAGE - 1] + "…"


def _publishable(message: object) -> object:
    return publishable(message) if isinstance(message, str) else message


Message = Annotated[str, BeforeValidator(_publishable), Field(max_length=MAX_MESSAGE)]
"""A text for a person in a status, without what addresses in it may hold of secrets; too long ones are cut."""


class Condition(Tolerant):
    """One entry of `status.conditions`, as in Kubernetes' metav1.Condition."""

    type: Annotated[str, Field(max_length=64, pattern=r"^[A-Za-z]([-A-Za-z0-9_.]*[A-Za-z0-9])?$")]
    """The type of the condition."""
    status: ConditionStatus
    """True, False, or Unknown."""
    reason: Annotated[str, Field(min_length=1, max_length=128, pattern=r"^[A-Za-z]([A-Za-z0-9_,:]*[A-Za-z0-9_])?$")]
    """The reason, in one word that stays the same between versions."""
    message: Message = ""
    """Why, and what to do, for a person."""
    observed_generation: Annotated[int, Field(ge=0)] | None = None
    """The generation of the spec that was assessed."""
    last_transition_time: dt.datetime
    """When status changed last."""
