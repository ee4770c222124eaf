"""Waiting for keyframes: a stream that is joined between two of them cannot be decoded before the next one."""

from vigil_contracts.conditions import SourceReason
from vigil_stream.capture.errors import SourceError
from vigil_stream.capture.liveness import Liveness

REPORT_AFTER_S = 8.0
"""Without a sound frame for so long, the wait is reported. Usual intervals are 1 to 4 s."""

KEYFRAME_DEADLINE_S = 300.0
"""Longer than the intervals of any camera; after it, a new connection may begin with a keyframe."""

BAD_KEYFRAMES = 3
"""Keyframes that could not be decoded, one after the other, after which the source counts as damaged."""


class KeyframeWait:
    """Decides on a source that sends data, but no frame that can be used.

    Times are seconds on a clock that only goes forward.

    Parameters
    ----------
    shown
        The source's URL for messages.
    liveness
        Receives the report of the wait.
    """

    def __init__(self, shown: str, liveness: Liveness, at: float) -> None:
        self._shown = shown
        self._liveness = liveness
        self._sound_at = at
        self._bad_keyframes = 0
        self._reported = False

    def sound(self, at: float) -> None:
        """Count a frame that can be used."""
        self._sound_at, self._bad_keyframes, self._reported = at, 0, False

    def nothing(self, at: float, *, keyframe: bool) -> None:
        """Count a packet from which no usable frame came.

        Raises
        ------
        SourceError
            Several keyframes could not be decoded, or none came for very long.
        """
        self._bad_keyframes += keyframe
        waited_s = at - self._sound_at
        if waited_s <= REPORT_AFTER_S:
            return
        if self._bad_keyframes >= BAD_KEYFRAMES:
            raise undecodable(self._shown)
        message = (
            f"{self._shown} sends video, but has sent no keyframe for more than {REPORT_AFTER_S:g} s that could be "
            "decoded; set a shorter keyframe interval (I-frame interval, GOP) in the camera, such as 2 s, or switch "
            "off its smart codec; Vigil waits for the next keyframe"
        )
        if waited_s > KEYFRAME_DEADLINE_S:
            raise SourceError(SourceReason.WAITING_FOR_KEYFRAME, message)
        if not self._reported:
            self._reported = True
            self._liveness.notice(SourceReason.WAITING_FOR_KEYFRAME, message)


def undecodable(shown: str) -> SourceError:
    """Return the error of a source whose data cannot be decoded."""
    message = f"no frame of {shown} could be decoded; check the camera's codec, cable and network"
    return SourceError(SourceReason.CORRUPT, message)
