"""Errors of a source with their reasons; the messages name the remedy and never hold a secret."""

import errno

from av import error as av_error

from vigil_contracts.conditions import SourceReason

MIN_SIDE = 16
"""Pixels. A smaller frame holds no face that could be found."""

MAX_SIDE = 7680
"""Pixels: the long side of 8K UHD. A larger frame is damaged or an attack on the memory of the pod."""


class SourceError(Exception):
    """The source delivers no frames; it is tried again, for ever."""

    def __init__(self, reason: SourceReason, message: str) -> None:
        super().__init__(message)
        self.reason = reason


class LoginRefusedError(SourceError):
    """The camera refuses a login that was sent to it; most lock the account after a few such ones."""


UNAUTHORIZED = "{} refuses the user or password; check the Secret in credentialsSecretRef"
NO_CREDENTIALS = "the camera at {} asks for user and password; name a Secret in spec.source.credentialsSecretRef"
NOT_FOUND = "{} does not exist there; check the path in source.url"
NO_DECODER = "no decoder for the video of {}; set the camera to H.264, H.265 or MJPEG"

_REFUSALS = (av_error.HTTPUnauthorizedError, av_error.HTTPForbiddenError)
_BY_TYPE: tuple[tuple[tuple[type[Exception], ...], SourceReason, str], ...] = (
    ((av_error.HTTPNotFoundError, av_error.FileNotFoundError), SourceReason.NOT_FOUND, NOT_FOUND),
    ((av_error.DecoderNotFoundError, av_error.PatchWelcomeError), SourceReason.CODEC_UNSUPPORTED, NO_DECODER),
    (
        (av_error.InvalidDataError, av_error.DemuxerNotFoundError, av_error.IsADirectoryError),
        SourceReason.NOT_A_VIDEO,
        "{} does not send video; check source.type and url",
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
        errno.EIO,  # from FFmpeg for a name that does not resolve, should it have gone since `names.resolve`
        errno.EADDRNOTAVAIL,
    }
)


_DEVICE: dict[int, tuple[SourceReason, str]] = {
    errno.ENOENT: (SourceReason.NOT_FOUND, "{} does not exist; plug the camera in, or correct source.url"),
    errno.ENODEV: (SourceReason.STOPPED, "{} was unplugged, or has lost its power; plug the camera in again"),
    errno.ENXIO: (SourceReason.STOPPED, "{} was unplugged, or has lost its power; plug the camera in again"),
    errno.EIO: (SourceReason.STOPPED, "{} gives read errors; try another cable or port, or a powered hub"),
    errno.EPROTO: (SourceReason.STOPPED, "{} gives read errors; try another cable or port, or a powered hub"),
    errno.EBUSY: (SourceReason.REFUSED, "{} is used by another program; close that one, or take another device"),
    errno.ENOSPC: (SourceReason.REFUSED, "the USB bus of {} has no bandwidth left; plug the camera into another port"),
    errno.ENOTTY: (SourceReason.NOT_A_VIDEO, "{} is no device for video; take another /dev/video* as source.url"),
    errno.EINVAL: (
        SourceReason.NOT_A_VIDEO,
        "{} gives no video; take another /dev/video* of this camera as source.url",
    ),
}
"""Errors of Video4Linux devices. Many webcams have a second device that sends data about the video only."""


def of_device(error: Exception, shown: str) -> SourceError | None:
    """Return the error of a USB camera; None: it is none that is known."""
    found = _DEVICE.get(getattr(error, "errno", None) or 0) if shown.startswith("/dev/") else None
    return SourceError(found[0], found[1].format(shown)) if found is not None else None


def unauthorized(shown: str, *, has_credentials: bool) -> SourceError:
    """Return the error of a camera that refuses its credentials, or asks for some when it has none."""
    message = UNAUTHORIZED if has_credentials else NO_CREDENTIALS
    # A query, of which nothing is shown, may hold a login.
    kind = LoginRefusedError if has_credentials or "?" in shown else SourceError
    return kind(SourceReason.UNAUTHORIZED, message.format(shown))


def while_opening(error: Exception, shown: str, deadline_s: float, *, has_credentials: bool = True) -> SourceError:
    """Return why a source could not be opened.

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
    if (device := of_device(error, shown)) is not None:
        return device
    if isinstance(error, _REFUSALS):
        return unauthorized(shown, has_credentials=has_credentials)
    for kinds, reason, message in _BY_TYPE:
        if isinstance(error, kinds):
            return SourceError(reason, message.format(shown))
    return _by_number(error, shown, deadline_s)


def _by_number(error: Exception, shown: str, deadline_s: float) -> SourceError:
    number = getattr(error, "errno", None)
    if isinstance(error, av_error.ExitError | TimeoutError):
        message = f"{shown} did not answer within {deadline_s:g} s; check address, port and network"
        return SourceError(SourceReason.UNREACHABLE, message)
    if isinstance(error, av_error.ConnectionRefusedError | ConnectionError) or number in _UNREACHABLE_NUMBERS:
        message = f"{shown} cannot be reached ({_describe(error)}); check address, port and network"
        return SourceError(SourceReason.UNREACHABLE, message)
    if isinstance(error, av_error.HTTPError):
        message = f"the server of {shown} responds with an error ({_describe(error)}); check its log"
        return SourceError(SourceReason.UNREACHABLE, message)
    message = (
        f"{shown} cannot be opened ({_describe(error)}); check source.type and url, and whether another player opens it"
    )
    return SourceError(SourceReason.FAILED, message)


def not_on_gpu(shown: str) -> SourceError:
    """Return the error of a source that the GPU cannot decode."""
    message = f"the GPU has no decoder for the video of {shown}; set decode.accelerator to Auto"
    return SourceError(SourceReason.CODEC_UNSUPPORTED, message)


def stalled(shown: str, limit_s: float, *, silent_udp: bool = False) -> SourceError:
    """Return the error of a source that has sent nothing for `limit_s`.

    Parameters
    ----------
    silent_udp
        The camera agreed to send over UDP, and nothing has come.
    """
    if silent_udp:
        message = (
            f"{shown} agreed to send over UDP, and nothing has arrived; a firewall or address translation may be in "
            "the way: set source.transport to TCP, or let UDP pass"
        )
        return SourceError(SourceReason.STOPPED, message)
    message = (
        f"{shown} has sent no frame for {limit_s:g} s; check the camera and its network. If it sends frames more "
        "seldom, set source.stallTimeoutSeconds"
    )
    return SourceError(SourceReason.STOPPED, message)


def while_reading(error: Exception, shown: str, deadline_s: float) -> SourceError:
    """Return why a source that delivered frames stopped; parameters as in `while_opening`."""
    if isinstance(error, SourceError):
        return error
    if (device := of_device(error, shown)) is not None:
        return device
    if isinstance(error, av_error.ExitError | TimeoutError):
        return stalled(shown, deadline_s)
    if isinstance(error, av_error.InvalidDataError):
        message = f"{shown} sends data that cannot be read as its own format; check cable and network"
        return SourceError(SourceReason.CORRUPT, message)
    message = f"{shown} broke off ({_describe(error)}); check the camera and its network"
    return SourceError(SourceReason.STOPPED, message)


def check_size(width: int, height: int, shown: str) -> None:
    """Raise SourceError with the limits when frames of this size cannot be analysed."""
    if not (MIN_SIDE <= width <= MAX_SIDE and MIN_SIDE <= height <= MAX_SIDE):
        message = (
            f"the video of {shown} is {width}x{height}; each side must have {MIN_SIDE} to {MAX_SIDE} pixels; "
            "choose another resolution or stream of the camera"
        )
        raise SourceError(SourceReason.PICTURE_SIZE_UNSUPPORTED, message)


def _describe(error: Exception) -> str:
    return getattr(error, "strerror", None) or type(error).__name__
