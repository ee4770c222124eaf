"""Rows for text, moments and ports: each rule of every field that has it, with what is not taken."""

import dataclasses
from collections.abc import Callable

from tests.support.crd_cases_base import (
    SHA,
    Case,
    Document,
    camera,
    endpoint,
    photos,
    site,
    source,
    subject,
    triton,
)

UNSHOWABLE = (
    "{} holds a character that cannot be shown as it is: a control character (such as NUL or a line break), a change "
    "of direction, or the sign for an undecodable character; remove it"
)
BLANK = "{} begins or ends with a space, or shows nothing; remove the spaces"
PORT = "{} names a port that does not exist; write a number from 1 to 65535 after the host, or leave it out"
YEAR = "{0} lies before the year 1 or after the year 9999 in UTC; leave {0} out if there is no limit"

PLAIN = ("Renée O'Hara", "小林 さくら", "عليّ", "Ann [/hr] Smith", "a\u200cb", "👩‍🚀")
REFUSED = ("a\0b", "a\nb", "a\x1b[31mb", "a\x7fb", "a\x9bb", "a\u202eb", "a\u2066b", "a\u200fb", "a\u2028b", "a\ufffdb")
WITH_BLANKS = (" ", "\u00a0", "\u200b\u3000", " a", "a ", "a\u2003", "\ufeffa")

Make = Callable[[str], Document]


def plain(kind: str, at: str, field: str, make: Make, taken: tuple[str, ...] = PLAIN) -> Case:
    where = f"{at.replace('[]', '[0]')}.{field}"
    return Case(kind, at, where, UNSHOWABLE.format(field), tuple(map(make, taken)), tuple(map(make, REFUSED)))


def shown(kind: str, at: str, field: str, make: Make, *, optional: bool = True) -> tuple[Case, Case]:
    message = BLANK.format(field) + (f", or leave {field} out" if optional else "")
    taken = (*PLAIN, "") if optional else PLAIN
    trimmed = Case(kind, at, f"{at}.{field}", message, tuple(map(make, taken)), tuple(map(make, WITH_BLANKS)))
    return plain(kind, at, field, make), trimmed


def moment(at: str, field: str, make: Make) -> Case:
    taken = ("9999-12-31T23:59:59Z", "9999-12-31T23:59:59+08:00", "0001-01-01T00:00:00Z", "0001-01-01T08:00:00+08:00")
    refused = ("9999-12-31T23:59:59-08:00", "0001-01-01T00:00:00+08:00")
    return Case("Subject", at, f"{at}.{field}", YEAR.format(field), tuple(map(make, taken)), tuple(map(make, refused)))


def port(kind: str, at: str, make: Make, scheme: str) -> Case:
    taken = ("h", "h:1", "h:65535", "h:", "[2001:db8::1]:554", "h:554/a:99999")
    refused = ("h:0", "h:65536", "h:99999/a", "h:554a", "h:-1", "2001:db8::1")
    return Case(
        kind,
        at,
        f"{at.replace('[]', '[0]')}.url",
        PORT.format("url"),
        tuple(make(f"{scheme}{place}") for place in taken),
        tuple(make(f"{scheme}{place}") for place in refused),
    )


def _in(text: str) -> str:
    """Return a text as a part of an address."""
    return text.replace(" ", "")


def _address(text: str) -> Document:
    return triton(endpoint(f"{_in(text).replace('/', '')}:8001"))


def _selector(key: str) -> Document:
    return camera(scheduling={"nodeSelector": {key: "b"}})


def _camera_url() -> Case:
    row = plain("Camera", "spec.source", "url", lambda text: source("File", f"file:{text}.mp4"))
    others = (source("HTTPMJPEG", "http://h/a\tb"), source("RTSP", "rtsp://h/1\n"), source("USB", "/dev/\0"))
    return dataclasses.replace(row, refused=(*row.refused, *others))


KEY = "nodeSelector has a key that is no name of a label; write it as kubectl shows it, such as kubernetes.io/hostname"
TEXTS: tuple[Case, ...] = (
    *shown("Subject", "spec", "displayName", lambda text: subject(displayName=text), optional=False),
    *shown("Subject", "spec", "externalId", lambda text: subject(externalId=text)),
    *shown(
        "Subject",
        "spec.consent",
        "documentVersion",
        lambda text: subject(consent={"status": "Granted", "documentVersion": text}),
    ),
    plain("Subject", "spec.photos[]", "url", lambda text: photos(url=f"file:{text}.jpg", sha256=SHA)),
    *shown("Site", "spec", "displayName", lambda text: site(displayName=text)),
    *shown(
        "Site",
        "spec.location",
        "address",
        lambda text: site(location={"latitudeMicrodegrees": 0, "longitudeMicrodegrees": 0, "address": text}),
    ),
    plain("Site", "spec.bus", "url", lambda text: site(bus={"url": f"nats://{_in(text)}"}), ("bus", "bus:4222")),
    plain("Site", "spec.inference.endpoints[]", "address", _address, ("triton", "[::1]")),
    _camera_url(),
    moment("spec.consent", "expiresAt", lambda at: subject(consent={"status": "Granted", "expiresAt": at})),
    moment("spec.validity", "notBefore", lambda at: subject(validity={"notBefore": at})),
    moment("spec.validity", "notAfter", lambda at: subject(validity={"notAfter": at})),
    port("Camera", "spec.source", lambda url: source("RTSP", url), "rtsp://"),
    port("Subject", "spec.photos[]", lambda url: photos(url=url, sha256=SHA), "https://"),
    port("Site", "spec.bus", lambda url: site(bus={"url": url}), "nats://"),
    Case(
        "Camera",
        "spec.scheduling",
        "spec.scheduling.nodeSelector",
        KEY,
        tuple(map(_selector, ("kubernetes.io/hostname", "zone", "a/B_c.d"))),
        tuple(map(_selector, ("", "a b", "a\0", "a/b/c", "-a", "a" * 64))),
    ),
)  # fmt: skip
