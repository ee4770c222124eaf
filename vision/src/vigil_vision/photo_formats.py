"""The name of a file that is no readable photo, and what to do about it; pure.

People send what they have: a phone's HEIC, a page that a link led to, a video. The first bytes show which of them.
"""

import json
from typing import Final, NamedTuple

READ: Final = "JPEG, PNG, WebP or AVIF"
"""The formats that are decoded, in words."""

_TEXT_BYTES: Final = 4096
"""Bytes of the beginning of a text that are read."""

_SAVE: Final = "save it as JPEG"
_FRAME: Final = "save one frame of it as JPEG"
_PACKED: Final = "take the photo out of it"


class NamedFormat(NamedTuple):
    """The kind of a file, as "a GIF image", and how to make a photo of it."""

    name: str
    remedy: str


_HEIC = NamedFormat("a HEIC image, the default of many phones, which is not read", _SAVE)
_AVIF = NamedFormat("an AVIF image, which this installation of Pillow does not read", _SAVE)
_TIFF = NamedFormat("a TIFF image or a camera's raw file", _SAVE)
_VIDEO = NamedFormat("a video", _FRAME)
_ARCHIVE = NamedFormat("an archive or an office document", _PACKED)

_BEGINNINGS: Final[tuple[tuple[bytes, NamedFormat], ...]] = (
    (b"GIF87a", NamedFormat("a GIF image", _SAVE)),
    (b"GIF89a", NamedFormat("a GIF image", _SAVE)),
    (b"II*\x00", _TIFF),
    (b"MM\x00*", _TIFF),
    (b"II+\x00", _TIFF),
    (b"MM\x00+", _TIFF),
    (b"BM", NamedFormat("a BMP image", _SAVE)),
    (b"\xff\x0a", NamedFormat("a JPEG XL image", _SAVE)),
    (b"\x00\x00\x00\x0cJXL ", NamedFormat("a JPEG XL image", _SAVE)),
    (b"\x00\x00\x00\x0cjP  ", NamedFormat("a JPEG 2000 image", _SAVE)),
    (b"\xff\x4f\xff\x51", NamedFormat("a JPEG 2000 image", _SAVE)),
    (b"\x00\x00\x01\x00", NamedFormat("an icon", _SAVE)),
    (b"8BPS", NamedFormat("a Photoshop document", _SAVE)),
    (b"%PDF", NamedFormat("a PDF document", "save the photo in it as JPEG")),
    (b"%!PS", NamedFormat("a PostScript document", "save the photo in it as JPEG")),
    (b"\x1a\x45\xdf\xa3", _VIDEO),
    (b"FLV\x01", _VIDEO),
    (b"OggS", _VIDEO),
    (b"\x00\x00\x01\xba", _VIDEO),
    (b"\x00\x00\x01\xb3", _VIDEO),
    (b"PK\x03\x04", _ARCHIVE),
    (b"\x1f\x8b", _ARCHIVE),
    (b"7z\xbc\xaf\x27\x1c", _ARCHIVE),
    (b"Rar!", _ARCHIVE),
    (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", _ARCHIVE),
    (
        b"\x00\x05\x16\x07",
        NamedFormat("a file of macOS beside the photo (its name begins with ._)", "take the photo itself"),
    ),
)

_TEXTS: Final[tuple[tuple[tuple[str, ...], NamedFormat], ...]] = (
    (
        ("version https://git-lfs.github.com/",),
        NamedFormat("a pointer of Git LFS, not the photo itself", "fetch the photo with `git lfs pull`"),
    ),
    (("/9j/", "ivborw0kggo", "uklgr", "data:image/"), NamedFormat("a photo as base64 text", "decode the text first")),
    (("<svg", "<!doctype svg"), NamedFormat("an SVG drawing", "use a photo, as JPEG")),
    (
        ("<!doctype html", "<html", "<head", "<body", "<script", "<title", "<meta"),
        NamedFormat("a web page, not a photo", "save the image of the page itself, or correct the address"),
    ),
    (("<?xml", "<"), NamedFormat("an XML text, not a photo", "correct the address, or save the photo as JPEG")),
)

_JSON = NamedFormat("a JSON text, most often the error of a server", "open the address to see it, and correct it")
_PLAIN = NamedFormat("a text, not a photo", "correct the address or the file's name")
_HEIC_BRANDS: Final = frozenset(
    {b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"hevm", b"hevs", b"mif1", b"msf1"}
)
_AVIF_BRANDS: Final = frozenset({b"avif", b"avis"})


def name_format(data: bytes) -> NamedFormat:
    """Return the name of a file that was not recognised as a readable photo."""
    if not data:
        return NamedFormat("empty", "send the photo again")
    if not data[:_TEXT_BYTES].strip(b"\x00"):
        return NamedFormat("filled with zeros", "copy the photo again")
    return _binary(data) or _text(data) or NamedFormat("of no known format", f"send it as {READ}")


def _binary(data: bytes) -> NamedFormat | None:
    """Name a file by its first bytes; None when they are not known."""
    if data[4:8] == b"ftyp":
        return _isobmff(data)
    if data[:4] == b"RIFF":
        return _VIDEO if data[8:12] == b"AVI " else NamedFormat("a RIFF file that is no WebP", _SAVE)
    if data[:1] == b"\x47" and data[188:189] == b"\x47":
        return _VIDEO
    return next((found for beginning, found in _BEGINNINGS if data.startswith(beginning)), None)


def _isobmff(data: bytes) -> NamedFormat:
    """Name a file of ISO base media by its brands: HEIC, AVIF and MP4 share one container."""
    size = min(int.from_bytes(data[:4], "big"), 256)
    brands = {data[8:12], *(data[place : place + 4] for place in range(16, size, 4))}
    if brands & _AVIF_BRANDS:
        return _AVIF
    return _HEIC if brands & _HEIC_BRANDS else _VIDEO


def _text(data: bytes) -> NamedFormat | None:
    """Name a text; None when the bytes are none."""
    begin = data[:_TEXT_BYTES]
    encoding = "utf-16" if begin[:2] in {b"\xff\xfe", b"\xfe\xff"} else "utf-8-sig"
    # The last character may be cut; a byte of zero never is text here.
    text = begin.decode(encoding, "ignore")
    if "\x00" in text or len(text) < 0.5 * len(begin) * (0.5 if encoding == "utf-16" else 1):
        return None
    stripped = text.strip()
    lowered = stripped.lower()
    if stripped[:1] in {"{", "["} and _is_json(data):
        return _JSON
    if lowered.startswith(("<?xml", "<!--")):
        # The text after the declaration shows which language it is.
        lowered = next((lowered[place:] for tag in ("<svg", "<html") if (place := lowered.find(tag)) >= 0), lowered)
    for beginnings, found in _TEXTS:
        if lowered.startswith(beginnings):
            return found
    return _PLAIN if stripped.isprintable() or all(one.isprintable() or one.isspace() for one in stripped) else None


def _is_json(data: bytes) -> bool:
    try:
        json.loads(data)
    except (ValueError, RecursionError):
        return False
    return True
