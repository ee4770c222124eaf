"""What can be wrong with a source, in the words of the contracts; messages say what to do and never hold a secret."""

import errno

from av import error as av_error

from vigil_contracts.conditions import SourceReason

MIN_SIDE = 16
"""Pixels. A smaller picture holds no face that could be found."""

MAX_SIDE = 7680
"""Pixels: the long side of 8K UHD. A larger picture is damaged or an attack on the memory of the pod."""


class SourceError(Exception):
    """The source gives no pictures; it is tried again, for ever."""

    def __init__(self, reason: SourceReason, message: str) -> None:
        super().__init__(message)
        self.reason = reason


UNAUTHORIZED = "{} refuses the user or password; check the Secret in credentialsSecretRef"
NO_CREDENTIALS = "the camera at {} asks for user and password; name a Secret in spec.source.credentialsSecretRef"
NOT_FOUND = "{} does not exist there; check the path in source.url"
NO_DECODER = "no decoder for the video of {}; set the camera to H.264, H.265 or MJPEG"

_REFUSALS = (av_error.HTTPUnauthorizedError, av_error.HTTPForbiddenError)
_TOLD_BY_TYPE: tuple[tuple[tuple[type[Exception], ...], SourceReason, str], ...] = (
    ((av_error.HTTPNotFoundError, av_error.FileNotFoundError), SourceReason.NOT_FOUND, NOT_FOUND),
    ((av_error.DecoderNotFoundError, av_error.PatchWelcomeError), SourceReason.CODEC_UNSUPPORTED, NO_DECODER),
    (
        (av_error.InvalidDataError, av_error.DemuxerNotFoundError, av_error.IsADirectoryError),
        SourceReason.NOT_A_VIDEO,
        "what {} sends is not a video; check source.type and url",
    ),
    (
        (av_error.PermissionError, PermissionError),
        SourceReason.FAILED,
        "{} may not be read by this user; for /dev/video* add the user to the group `video`",
    ),
)
_UNREACHABLE_NUMBERS = frozenset(
    {
        errno.EHOSTUNREACH,
        errno.ENETUNREACH,
        errno.ECONNREFUSED,
        errno.ECONNRESET,
        errno.ETIMEDOUT,
        errno.EHOSTDOWN,
        errno.EPIPE,
        errno.EIO,  # what FFmpeg says for a name that does not resolve, should it have gone since it was asked for
        errno.EADDRNOTAVAIL,
    }
)


def unauthorized(shown: str, *, has_credentials: bool) -> SourceError:
    """Say that a camera refuses what it was given, or asks for what it was not given."""
    told = UNAUTHORIZED if has_credentials else NO_CREDENTIALS
    return SourceError(SourceReason.UNAUTHORIZED, told.format(shown))


def while_opening(error: Exception, shown: str, deadline_s: float, *, has_credentials: bool = True) -> SourceError:
    """Say why a source could not be opened.

    Parameters
    ----------
    error
        From FFmpeg or the operating system; its own text is left out because it may hold the URL with the password.
    shown
        The URL without credentials.
    deadline_s
        Seconds that opening was allowed to take.
    has_credentials
        The Camera names a Secret with user and password.
    """
    if isinstance(error, SourceError):
        return error
    if isinstance(error, _REFUSALS):
        return unauthorized(shown, has_credentials=has_credentials)
    for kinds, reason, told in _TOLD_BY_TYPE:
        if isinstance(error, kinds):
            return SourceError(reason, told.format(shown))
    return _by_number(error, shown, deadline_s)


def _by_number(error: Exception, shown: str, deadline_s: float) -> SourceError:
    number = getattr(error, "errno", None)
    if isinstance(error, av_error.ExitError | TimeoutError):
        told = f"{shown} did not answer within {deadline_s:g} s; check address, port and network"
        return SourceError(SourceReason.UNREACHABLE, told)
    if isinstance(error, av_error.ConnectionRefusedError | ConnectionError) or number in _UNREACHABLE_NUMBERS:
        told = f"{shown} cannot be reached ({_words(error)}); check address, port and network"
        return SourceError(SourceReason.UNREACHABLE, told)
    if isinstance(error, av_error.HTTPError):
        told = f"the server of {shown} answers with an error ({_words(error)}); look into its log"
        return SourceError(SourceReason.UNREACHABLE, told)
    return SourceError(SourceReason.FAILED, f"{shown} cannot be opened: {_words(error)}")


def while_reading(error: Exception, shown: str, deadline_s: float) -> SourceError:
    """Say why a source that gave pictures gives none any more; parameters as in `while_opening`."""
    if isinstance(error, SourceError):
        return error
    if isinstance(error, av_error.ExitError | TimeoutError):
        return SourceError(SourceReason.STOPPED, f"{shown} has sent no picture for {deadline_s:g} s")
    if isinstance(error, av_error.InvalidDataError):
        return SourceError(SourceReason.CORRUPT, f"{shown} sends data that cannot be read as its own format")
    return SourceError(SourceReason.STOPPED, f"{shown} broke off: {_words(error)}")


def check_size(width: int, height: int, shown: str) -> None:
    """Refuse a picture that cannot be analysed; SourceError holds its size and the limits."""
    if not (MIN_SIDE <= width <= MAX_SIDE and MIN_SIDE <= height <= MAX_SIDE):
        told = (
            f"the picture of {shown} is {width}x{height}; each side must have {MIN_SIDE} to {MAX_SIDE} pixels; "
            "choose another resolution or stream of the camera"
        )
        raise SourceError(SourceReason.PICTURE_SIZE_UNSUPPORTED, told)


def _words(error: Exception) -> str:
    return getattr(error, "strerror", None) or type(error).__name__
