"""JPEGs are found in whatever webcam boards send around them."""

import random
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.unit.stream.test_capture_parts import frame_of
from tests.unit.stream.test_frozen import jpeg

from vigil_stream.capture import jpeg_scanner
from vigil_stream.capture.jpeg_scanner import JpegScanner

ONE, TWO, THREE = (jpeg(frame_of(width, 96, "yuvj420p")) for width in (160, 176, 192))
JPEGS = [ONE, TWO, THREE]
START = b"\xff\xd8"


def segment(marker: int, content: bytes) -> bytes:
    return bytes([0xFF, marker]) + (len(content) + 2).to_bytes(2, "big") + content


def with_segment(image: bytes, added: bytes) -> bytes:
    return START + added + image[2:]


def part(image: bytes, before: str, headers: str, end: str = "\r\n") -> bytes:
    return before.encode() + headers.replace("LENGTH", str(len(image))).encode() + image + end.encode()


def parts(before: str, headers: str, *, first: str | None = None, end: str = "\r\n") -> bytes:
    return b"".join(
        part(image, first if first is not None and n == 0 else before, headers, end) for n, image in enumerate(JPEGS)
    )


TYPE, LENGTH = "Content-Type: image/jpeg\r\n", "Content-Length: LENGTH\r\n"
STREAMS = {
    "as it should be": parts("--frame\r\n", f"{TYPE}{LENGTH}\r\n"),
    "the first part without a boundary": parts("--frame\r\n", f"{TYPE}{LENGTH}\r\n", first=""),
    "without dashes": parts("frame\r\n", f"{TYPE}{LENGTH}\r\n"),
    "with four dashes": parts("----frame\r\n", f"{TYPE}{LENGTH}\r\n"),
    "quotes": parts('--"frame"\r\n', f"{TYPE}{LENGTH}\r\n"),
    "no length": parts("--frame\r\n", f"{TYPE}\r\n"),
    "length too long": parts("--frame\r\n", f"{TYPE}Content-Length: 9LENGTH\r\n\r\n"),
    "length too short": parts("--frame\r\n", f"{TYPE}Content-Length: 7\r\n\r\n"),
    "length zero": parts("--frame\r\n", f"{TYPE}Content-Length: 0\r\n\r\n"),
    "length no number": parts("--frame\r\n", f"{TYPE}Content-Length: -LENGTHx\r\n\r\n"),
    "parts without headers": parts("--frame\r\n", "\r\n"),
    "line feeds only": parts("--frame\n", "Content-Type: image/jpeg\n\n", end="\n"),
    "no line ends": parts("--frame", "", end=""),
    "preamble": b"This is a multi-part message in MIME format.\r\n" * 50 + parts("--frame\r\n", f"{TYPE}\r\n"),
    "nothing but JPEGs": b"".join(JPEGS),
    "zeros between": parts("\0" * 999, ""),
    "audio between": parts(
        "--frame\r\nContent-Type: audio/basic\r\n\r\n" + "\x7f" * 800 + "\r\n--frame\r\n", f"{TYPE}\r\n"
    ),
    "an empty part between": parts("--frame\r\n\r\n\r\n--frame\r\n", f"{TYPE}\r\n"),
}


def found(stream: bytes, size: int) -> list[bytes]:
    scanner = JpegScanner()
    return [one for at in range(0, len(stream), size) for one in scanner.feed(stream[at : at + size])]


@pytest.mark.parametrize("size", [1, 7, 1000, 10**6])
@pytest.mark.parametrize("name", STREAMS)
def test_mjpeg_first_part_and_its_kin(name: str, size: int) -> None:
    """mjpeg-first-part: whatever is around them, the same JPEGs are found, in pieces of any size."""
    assert found(STREAMS[name], size) == JPEGS


THUMBNAIL = segment(0xE1, b"Exif\0\0" + TWO)
INSIDE = {
    "a thumbnail in its EXIF": with_segment(ONE, THUMBNAIL),
    "two thumbnails": with_segment(with_segment(ONE, THUMBNAIL), segment(0xE2, THREE)),
    "a boundary in a comment": with_segment(ONE, segment(0xFE, b"\r\n--frame\r\nContent-Type: image/jpeg\r\n\r\n")),
    "a start and an end in a comment": with_segment(ONE, segment(0xFE, b"\xff\xd9\xff\xd8\xff\xdb")),
    "fill bytes before a marker": START + b"\xff\xff\xff" + ONE[2:],
    "a boundary in its data": ONE[:-2] + b"\r\n--frame\r\n\r\n" + ONE[-2:],
    "stuffed bytes and restarts in its data": ONE[:-2] + b"\xff\x00\xff\xd0\xff\x00\xff\xd7" + ONE[-2:],
    "a second scan": ONE[:-2] + ONE[ONE.index(b"\xff\xda") :],
    "tables before a second scan": ONE[:-2] + segment(0xC4, b"\xff\xd8\xff" * 9) + ONE[ONE.index(b"\xff\xda") :],
}


@pytest.mark.parametrize("size", [1, 10**6])
@pytest.mark.parametrize("name", INSIDE)
def test_what_is_inside_a_jpeg_belongs_to_it(name: str, size: int) -> None:
    assert found(b"--frame\r\n\r\n" + INSIDE[name] + b"\r\n" + TWO, size) == [INSIDE[name], TWO]


@pytest.mark.parametrize("size", [1, 100, 10**6])
@pytest.mark.parametrize("share", [0.05, 0.4, 0.8, 0.99])
def test_the_jpeg_after_a_cut_one_is_found(share: float, size: int) -> None:
    """Without its end, or in the middle of its tables."""
    cut = ONE[: int(len(ONE) * share)]
    images = found(b"--frame\r\n\r\n" + cut + b"\r\n--frame\r\nContent-Type: image/jpeg\r\n\r\n" + TWO + THREE, size)
    assert images[-1] == THREE
    assert TWO in images or ONE.index(b"\xff\xda") > len(cut)


def test_a_jpeg_that_never_ends_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(jpeg_scanner, "MAX_JPEG_BYTES", 100_000)
    scanner, held = JpegScanner(), 0
    for _ in range(1000):
        assert list(scanner.feed(ONE[:-2] if not held else b"\x55" * 1000)) == []
        held = max(held, len(scanner._data))
    assert held < 110_000
    assert scanner.ignored > 800_000
    assert list(scanner.feed(TWO)) == [TWO]


@given(st.lists(st.binary(max_size=300), max_size=8), st.integers(1, 500))
def test_any_bytes_can_be_scanned(pieces: list[bytes], size: int) -> None:
    scanner = JpegScanner()

    def stream() -> Iterator[bytes]:
        for piece in pieces:
            yield from (piece, START + piece, b"\xff\xd8\xff" + piece)

    data = b"".join(stream())
    for at in range(0, len(data), size):
        for image in scanner.feed(data[at : at + size]):
            assert image.startswith(b"\xff\xd8\xff")


def test_damaged_bytes_do_not_stop_the_stream() -> None:
    """One byte in 2000 is wrong; the JPEGs that are whole are found."""
    dice, stream, whole = random.Random(5), bytearray(), 0  # noqa: S311 - the same damage every time
    for n in range(300):
        image = bytearray(JPEGS[n % 3])
        hits = [at for at in range(len(image)) if dice.random() < 1 / 2000]
        for at in hits:
            image[at] = dice.randrange(256)
        whole += not hits
        stream += b"--frame\r\n\r\n" + image + b"\r\n"
    assert sum(one in JPEGS for one in found(bytes(stream), 1400)) >= 0.9 * whole
