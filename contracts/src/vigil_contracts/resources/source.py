"""The source of a camera's video."""

import re
from enum import StrEnum
from typing import Annotated, ClassVar, Final

from pydantic import Field

from vigil_contracts.addresses import PLACEHOLDER, placeholders
from vigil_contracts.resources.common import USERINFO, SecretRef, holds_userinfo
from vigil_contracts.resources.rules import Rule, Ruled
from vigil_contracts.resources.text_rules import plain_text, possible_port


class SourceType(StrEnum):
    """How a camera delivers its video."""

    RTSP = "RTSP"
    HTTP_MJPEG = "HTTPMJPEG"
    USB = "USB"
    WEB_SOCKET = "WebSocket"
    SOCKET = "Socket"
    FILE = "File"


SCHEMES: dict[SourceType, tuple[str, ...]] = {
    SourceType.RTSP: ("rtsp://", "rtsps://"),
    SourceType.HTTP_MJPEG: ("http://", "https://"),
    SourceType.USB: ("/dev/",),
    SourceType.WEB_SOCKET: ("ws://", "wss://"),
    SourceType.SOCKET: ("tcp://",),
    SourceType.FILE: ("file:",),
}
"""How the url of each source type begins. `file:` takes an absolute path, or one relative to the manifest."""


class Transport(StrEnum):
    """The transport of RTSP's media."""

    TCP = "TCP"
    UDP = "UDP"


def _scheme_rule() -> Rule:
    cases = [
        f"(self.type != '{kind}' || {' || '.join(f'self.url.startsWith({scheme!r})' for scheme in SCHEMES[kind])})"
        for kind in SourceType
    ]
    schemes = "; ".join(f"{kind}: {' or '.join(SCHEMES[kind])}" for kind in SourceType)
    return Rule(
        " && ".join(cases),
        f"url does not begin as its type asks ({schemes})",
        lambda self: self.url.startswith(SCHEMES[self.type]),
        "url",
    )


_ADDRESS = "^[a-zA-Z]+://"
_WITH_HOST = "^[a-zA-Z]+://[^/?#:]"
_BLANK = " "
"""Patterns that CEL and Python read alike."""


def _host_rule() -> Rule:
    return Rule(
        f"self.type in ['USB', 'File'] || !self.url.matches('{_ADDRESS}') || self.url.matches('{_WITH_HOST}')",
        "url names no host; write it after the //, as in rtsp://10.0.0.5:554/stream1",
        lambda self: (
            self.type in {SourceType.USB, SourceType.FILE}
            or re.match(_ADDRESS, self.url) is None
            or re.match(_WITH_HOST, self.url) is not None
        ),
        "url",
    )


def _blank_rule() -> Rule:
    return Rule(
        f"self.type == 'File' || !self.url.matches(r'{_BLANK}')",
        "url holds a space; take it out, or write a space that belongs to it as %20",
        lambda self: self.type is SourceType.FILE or re.search(_BLANK, self.url) is None,
        "url",
    )


LOGIN_KEYS: Final = ("username", "password")
"""Keys of a Secret that are sent as user and password."""

_WITHOUT_PASSWORD = frozenset({SourceType.USB, SourceType.SOCKET, SourceType.FILE})


class CameraSource(Ruled):
    """The source of the video."""

    type: SourceType
    """How the camera delivers its video."""
    url: Annotated[str, Field(min_length=5, max_length=2048)]
    """Address without user and password, for example rtsp://10.0.0.5:554/stream1, /dev/video0 or file:clip.mp4. A
    `{key}` in it is replaced by the value of that key of the Secret in credentialsSecretRef, percent-encoded, as in
    http://10.0.0.5/mjpg?user={username}&password={password}. Queries are shown nowhere."""
    credentials_secret_ref: SecretRef | None = None
    """RTSP, HTTPMJPEG and WebSocket only: Secret of this namespace with the label `vigil.dev/readable-by: Camera`
    and the keys `username` and `password`, or with the keys that the url names."""
    transport: Transport | None = None
    """RTSP only; TCP when left out."""
    loop: bool = False
    """File only: begin again at the end."""
    rotation: Annotated[int, Field(ge=0, le=270, multiple_of=90)] = 0
    """Degrees by which the frame has to be turned clockwise to be upright, for a camera that hangs turned. Comes after
    the rotation that the stream itself states. Regions and privacy masks are given in the upright frame."""
    mirror: bool = False
    """Swap left and right after turning, for a camera that looks into a mirror or sends a mirror image."""
    stall_timeout_seconds: Annotated[int, Field(ge=5, le=3600)] | None = None
    """Not for type File: seconds without a frame after which the connection is made anew. When left out, it is learned
    from the camera: three times its longest interval between frames, at least 15 and at most 120 seconds. Before
    that it is 30 for the first frame, then 90 until frames have come for 3 seconds at intervals of at most 2."""

    @property
    def placed_keys(self) -> list[str]:
        """The keys of the Secret whose values take the place of a `{key}` in the url."""
        return placeholders(self.url) if self.credentials_secret_ref is not None else []

    @property
    def required_keys(self) -> list[str]:
        """The keys that the Secret must have: those that the url names, else the login."""
        if self.credentials_secret_ref is None:
            return []
        return self.placed_keys or list(LOGIN_KEYS)

    @property
    def secret_keys(self) -> list[str]:
        """All keys of the Secret that are used; a login that the url does not place is sent where there is one."""
        return list(dict.fromkeys([*self.required_keys, *LOGIN_KEYS])) if self.required_keys else []

    RULES: ClassVar[tuple[Rule, ...]] = (
        Rule(
            f"!self.url.matches('{USERINFO}')",
            "url holds a user or a password; put them into a Secret and name it in credentialsSecretRef",
            lambda self: not holds_userinfo(self.url),
            "url",
        ),
        _scheme_rule(),
        _host_rule(),
        _blank_rule(),
        plain_text("url", text=lambda self: self.url, optional=False),
        possible_port("url", url=lambda self: self.url, optional=False),
        Rule(
            f"has(self.credentialsSecretRef) || self.type in ['USB', 'Socket', 'File'] || "
            f"!self.url.matches('{PLACEHOLDER}')",
            "url holds a {key}, and no Secret has its value; name one in credentialsSecretRef, or write { as %7B",
            lambda self: (
                self.credentials_secret_ref is not None
                or self.type in _WITHOUT_PASSWORD
                or re.search(PLACEHOLDER, self.url) is None
            ),
            "url",
        ),
        Rule(
            "!has(self.transport) || self.type == 'RTSP'",
            "transport is only for type RTSP; leave it out",
            lambda self: self.transport is None or self.type is SourceType.RTSP,
            "transport",
            "FieldValueForbidden",
        ),
        Rule(
            "!has(self.loop) || !self.loop || self.type == 'File'",
            "loop is only for type File; leave it out",
            lambda self: not self.loop or self.type is SourceType.FILE,
            "loop",
            "FieldValueForbidden",
        ),
        Rule(
            "!has(self.stallTimeoutSeconds) || self.type != 'File'",
            "stallTimeoutSeconds has no meaning for type File; leave it out",
            lambda self: self.stall_timeout_seconds is None or self.type is not SourceType.FILE,
            "stallTimeoutSeconds",
            "FieldValueForbidden",
        ),
        Rule(
            "!has(self.credentialsSecretRef) || !(self.type in ['USB', 'Socket', 'File'])",
            "credentialsSecretRef has no meaning for type USB, Socket or File; leave it out",
            lambda self: self.credentials_secret_ref is None or self.type not in _WITHOUT_PASSWORD,
            "credentialsSecretRef",
            "FieldValueForbidden",
        ),
    )
