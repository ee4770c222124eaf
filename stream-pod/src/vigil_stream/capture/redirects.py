"""Where a camera may redirect its client to.

A camera that was taken over must not lead the stream into other parts of a private network. So a redirection is
followed on the camera's own host, and to hosts of the public internet; never to another scheme but the secure one of
the same protocol.
"""

import ipaddress
import re
from urllib.parse import urlsplit

from vigil_contracts.conditions import SourceReason
from vigil_stream.capture import names
from vigil_stream.capture.errors import SourceError

MAX_REDIRECTS = 10
"""A longer chain leads back to itself."""

_SECURE = {"http": "https", "rtsp": "rtsps", "ws": "wss"}
_SHOWN_HOST = re.compile(r"[A-Za-z0-9._:-]{1,253}")


def check(origin: str, target: str, shown: str, deadline_s: float, *, with_login: bool = False) -> None:
    """Check that a redirection may be followed.

    Parameters
    ----------
    origin
        The address that redirects.
    target
        The address that it names.
    shown
        The source's URL for messages.
    deadline_s
        For the response of the name servers.
    with_login
        The login would go to the other host.

    Raises
    ------
    SourceError
        It may not be followed; the message names the remedy.
    """
    try:
        here, there = urlsplit(origin), urlsplit(target)
        host = there.hostname or ""
    except ValueError:
        raise _refused(shown, "to what is not an address") from None
    if there.scheme not in {here.scheme, _SECURE.get(here.scheme)}:
        raise _refused(shown, f"to an address that is not {here.scheme}://")
    if host == here.hostname:
        return
    found, _ = names.addresses(host, deadline_s)
    if found and set(found) <= set(names.addresses(here.hostname or "", deadline_s)[0]):
        return  # another name of the same host
    name = host if _SHOWN_HOST.fullmatch(host) else "another host"
    if with_login:
        raise _refused(shown, f"to {name}, which is not to get its login")
    if not all(ipaddress.ip_address(one.partition("%")[0]).is_global for one in found):
        raise _refused(shown, f"to {name}, which is no address of the public internet")


def no_playlists(shown: str) -> SourceError:
    """Return the error of a camera that sends what leads to other addresses, instead of video."""
    message = (
        f"{shown} sends a playlist (HLS or DASH), or another format that is not read over HTTP; take the camera's RTSP "
        "or MJPEG address as source.url"
    )
    return SourceError(SourceReason.NOT_A_VIDEO, message)


def forbidden(shown: str, protocol: str) -> SourceError:
    """Return the error of a camera that redirects to an address of a protocol that FFmpeg may not use."""
    message = (
        f"{shown} leads to an address of the protocol {protocol}, which is not followed; take the address of the "
        "stream itself as source.url"
    )
    return SourceError(SourceReason.REFUSED, message)


def for_ever(shown: str) -> SourceError:
    """Return the error of a camera whose redirections do not end."""
    return _refused(shown, f"more than {MAX_REDIRECTS} times, so its addresses lead to each other")


def _refused(shown: str, how: str) -> SourceError:
    message = f"{shown} redirects {how}; take the address of the stream itself as source.url"
    return SourceError(SourceReason.REFUSED, message)
