"""Condition types and their reasons: the words in which a resource's state is told, in kubectl and in the API alike."""

import datetime as dt
from enum import StrEnum
from typing import Annotated

from pydantic import Field

from vigil_contracts.base import Strict


class ConditionStatus(StrEnum):
    """Kubernetes' three-valued truth."""

    TRUE = "True"
    FALSE = "False"
    UNKNOWN = "Unknown"


class CameraCondition(StrEnum):
    """Condition types of a Camera."""

    READY = "Ready"
    STREAMING = "Streaming"
    SOURCE_REACHABLE = "SourceReachable"
    RECONCILING = "Reconciling"
    STALLED = "Stalled"
    FIT_FOR_RECOGNITION = "FitForRecognition"


class SubjectCondition(StrEnum):
    """Condition types of a Subject."""

    READY = "Ready"
    ENROLLED = "Enrolled"
    CONSENT_VALID = "ConsentValid"
    REPLICATED = "Replicated"


class SiteCondition(StrEnum):
    """Condition types of a Site."""

    READY = "Ready"
    CONNECTED = "Connected"
    IN_SYNC = "InSync"


class SourceReason(StrEnum):
    """Why a camera's source is, or is not, giving pictures."""

    CONNECTED = "Connected"
    CONNECTING = "Connecting"
    UNREACHABLE = "Unreachable"
    UNAUTHORIZED = "Unauthorized"
    NOT_FOUND = "NotFound"
    NOT_A_VIDEO = "NotAVideo"
    CODEC_UNSUPPORTED = "CodecUnsupported"
    PICTURE_SIZE_UNSUPPORTED = "PictureSizeUnsupported"
    CORRUPT = "Corrupt"
    FROZEN = "Frozen"
    STOPPED = "Stopped"
    ENDED = "Ended"
    DECODER_HUNG = "DecoderHung"
    SUSPENDED = "Suspended"
    FAILED = "Failed"


class FitnessReason(StrEnum):
    """Why faces at a camera are, or are not, good enough to recognise."""

    MEASURED = "Measured"
    NO_FACES_YET = "NoFacesYet"
    FACES_TOO_SMALL = "FacesTooSmall"
    FACES_BLURRED = "FacesBlurred"
    FACES_TURNED = "FacesTurned"


class Condition(Strict):
    """One entry of a resource's `status.conditions`, as in Kubernetes' metav1.Condition."""

    type: Annotated[str, Field(max_length=316)]
    status: ConditionStatus
    reason: Annotated[str, Field(max_length=1024, pattern=r"^[A-Za-z]([A-Za-z0-9_,:]*[A-Za-z0-9_])?$")]
    message: Annotated[str, Field(max_length=32768)] = ""
    observed_generation: Annotated[int, Field(ge=0)] | None = None
    last_transition_time: dt.datetime
