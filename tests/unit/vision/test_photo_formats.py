"""Files that are no readable photo are named for what they are, with the remedy."""

import io
import struct

import pytest
from PIL import Image
from tests.support.shared import shared

from vigil_vision import photos
from vigil_vision.photo_formats import name_format


def saved(kind: str) -> bytes:
    stream = io.BytesIO()
    Image.new("RGB", (16, 16), "red").save(stream, kind)
    return stream.getvalue()


def container(major: bytes, *others: bytes) -> bytes:
    """Make the beginning of a file of ISO base media with these brands."""
    body = b"ftyp" + major + bytes(4) + b"".join(others)
    return struct.pack(">I", len(body) + 4) + body + bytes(64)


FORMATS = [
    ("empty", b"", "empty", "send the photo again"),
    ("zeros", bytes(5000), "filled with zeros", "copy the photo again"),
    ("heic", container(b"heic", b"mif1", b"heic"), "HEIC", "save it as JPEG"),
    ("heic by its other brand", container(b"mif1", b"heic"), "HEIC", "save it as JPEG"),
    ("avif", container(b"avif", b"mif1"), "AVIF", "save it as JPEG"),
    ("avif by its other brand", container(b"mif1", b"miaf", b"avif"), "AVIF", "save it as JPEG"),
    ("mp4", container(b"isom", b"iso2", b"avc1"), "a video", "save one frame"),
    ("quicktime", container(b"qt  "), "a video", "save one frame"),
    ("matroska", b"\x1a\x45\xdf\xa3" + bytes(40), "a video", "save one frame"),
    ("avi", b"RIFF\x00\x10\x00\x00AVI LIST", "a video", "save one frame"),
    ("mpeg-ts", (b"\x47" + b"\xff" * 187) * 3, "a video", "save one frame"),
    ("gif", saved("GIF"), "a GIF image", "save it as JPEG"),
    ("tiff", saved("TIFF"), "a TIFF image", "save it as JPEG"),
    ("bmp", saved("BMP"), "a BMP image", "save it as JPEG"),
    ("icon", saved("ICO"), "an icon", "save it as JPEG"),
    ("jpeg 2000", saved("JPEG2000"), "a JPEG 2000 image", "save it as JPEG"),
    ("jpeg xl", b"\xff\x0a\x00\x10", "a JPEG XL image", "save it as JPEG"),
    ("photoshop", b"8BPS\x00\x01" + bytes(20), "Photoshop", "save it as JPEG"),
    ("pdf", b"%PDF-1.7\n%\xe2\xe3", "a PDF document", "save the photo in it"),
    ("postscript", b"%!PS-Adobe-3.0", "PostScript", "save the photo in it"),
    ("zip", b"PK\x03\x04" + bytes(30), "an archive", "take the photo out"),
    ("gzip", b"\x1f\x8b\x08" + bytes(30), "an archive", "take the photo out"),
    ("apple double", b"\x00\x05\x16\x07\x00\x02", "of macOS", "take the photo itself"),
    ("svg", b"<svg xmlns='http://www.w3.org/2000/svg'/>", "an SVG drawing", "use a photo"),
    ("svg with a declaration", b"<?xml version='1.0'?>\n<!-- x --><svg/>", "an SVG drawing", "use a photo"),
    ("html", b"\n  <!DOCTYPE HTML><html><body>404</body></html>", "a web page", "correct the address"),
    ("html with a bom", b"\xef\xbb\xbf<html lang=en>", "a web page", "correct the address"),
    ("html after a comment", b"<!-- cached --><html>", "a web page", "correct the address"),
    ("html in utf-16", "<html><p>Größe</p></html>".encode("utf-16"), "a web page", "correct the address"),
    ("xml of a store", b"<?xml version='1.0'?><Error><Code>AccessDenied</Code></Error>", "XML", "correct the address"),
    ("json", b'{"error": "token expired", "secret": "hunter2"}', "a JSON text", "correct it"),
    ("json list", b"[1, 2]", "a JSON text", "correct it"),
    ("text", "Größe: hello".encode(), "a text, not a photo", "the file's name"),
    ("base64", b"/9j/4AAQSkZJRgABAQ", "base64", "decode the text"),
    ("data url", b"data:image/jpeg;base64,/9j/4AA", "base64", "decode the text"),
    ("git lfs", b"version https://git-lfs.github.com/spec/v1\noid sha256:00\n", "Git LFS", "git lfs pull"),
    ("noise", bytes(range(128, 256)) * 4, "of no known format", "send it as JPEG"),
]


@pytest.mark.parametrize(("data", "name", "remedy"), [row[1:] for row in FORMATS], ids=[row[0] for row in FORMATS])
def test_a_file_is_named_with_its_remedy(data: bytes, name: str, remedy: str) -> None:
    found = name_format(data)
    assert name in found.name
    assert remedy in found.remedy
    assert "hunter2" not in found.name + found.remedy


def test_case_photo_formats() -> None:
    """Case photo-formats: AVIF is read, and a web page is named."""
    folder = shared("cases/photo-formats")
    assert photos.decode_photo((folder / "a.avif").read_bytes()).ndim == 3
    with pytest.raises(photos.PhotoFormatError, match="the file is a web page, not a photo; save the image"):
        photos.decode_photo((folder / "page.jpg").read_bytes())
    with pytest.raises(photos.PhotoFormatError, match=r"HEIC image, the default of many phones.*save it as JPEG"):
        photos.decode_photo(container(b"heic", b"mif1"))
