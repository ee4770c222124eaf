import io
import struct
import zlib

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from vigil_contracts.registry import MAX_PHOTO_BYTES
from vigil_vision import letterbox, photos

RED_LEFT = np.zeros((40, 60, 3), np.uint8)
RED_LEFT[:, :30, 0] = 255


def encoded(image: Image.Image, kind: str, **options: object) -> bytes:
    stream = io.BytesIO()
    image.save(stream, kind, **options)
    return stream.getvalue()


def bomb() -> bytes:
    """Make a PNG with 2.5 gigapixels in its header."""

    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    header = struct.pack(">IIBBBBB", 50_000, 50_000, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(bytes(1000)))


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "AVIF"])
def test_every_allowed_format_becomes_rgb(kind: str) -> None:
    pixels = photos.decode_photo(encoded(Image.fromarray(RED_LEFT), kind))
    assert pixels.shape == (40, 60, 3)
    assert pixels.dtype == np.uint8
    assert pixels[20, 10, 0] > 200
    assert pixels[20, 50, 0] < 50


@pytest.mark.parametrize("mode", ["L", "LA", "P", "RGBA", "1", "CMYK", "I;16"])
def test_every_colour_mode_becomes_rgb(mode: str) -> None:
    image = Image.new(mode, (30, 20), 60_000 if mode == "I;16" else 0)
    kind = "JPEG" if mode == "CMYK" else "PNG"
    pixels = photos.decode_photo(encoded(image, kind))
    assert pixels.shape == (20, 30, 3)
    if mode == "I;16":
        assert pixels.min() == 60_000 >> 8


def test_transparent_parts_are_white() -> None:
    assert (photos.decode_photo(encoded(Image.new("RGBA", (8, 8), (255, 0, 0, 0)), "PNG")) == 255).all()


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "AVIF"])
@pytest.mark.parametrize(
    ("orientation", "red_corner"),
    [
        (1, (0, 0)),
        (2, (0, -1)),
        (3, (-1, -1)),
        (4, (-1, 0)),
        (5, (0, 0)),
        (6, (0, -1)),
        (7, (-1, -1)),
        (8, (-1, 0)),
        (9, (0, 0)),
    ],
)
def test_a_photo_is_turned_upright(orientation: int, red_corner: tuple[int, int], kind: str) -> None:
    """By all orientations of EXIF, the mirrored ones too; a value that EXIF does not know changes nothing."""
    image = Image.new("RGB", (60, 40))
    image.paste((255, 0, 0), (0, 0, 20, 20))
    exif = Image.Exif()
    exif[0x0112] = orientation
    pixels = photos.decode_photo(encoded(image, kind, exif=exif, quality=95))
    assert pixels.shape[:2] == ((60, 40) if orientation in {5, 6, 7, 8} else (40, 60))
    corners = {corner: int(pixels[corner][0]) for corner in [(0, 0), (0, -1), (-1, 0), (-1, -1)]}
    assert max(corners, key=lambda corner: corners[corner]) == red_corner


@pytest.mark.filterwarnings("ignore:Corrupt EXIF data")  # Pillow warns, and goes on
def test_a_broken_exif_block_does_not_cost_the_photo() -> None:
    data = encoded(Image.fromarray(RED_LEFT), "JPEG", exif=b"Exif\x00\x00II*\x00\xff\xff\xff\xff")
    assert photos.decode_photo(data).shape == (40, 60, 3)


def test_a_large_photo_comes_smaller() -> None:
    data = encoded(Image.new("RGB", (3000, 1500)), "JPEG")
    assert photos.decode_photo(data, max_side=1000).shape == (500, 1000, 3)


def gif() -> bytes:
    return encoded(Image.new("L", (8, 8)), "GIF")


def half(kind: str) -> bytes:
    noise = np.random.default_rng(1).integers(0, 256, (200, 200, 3), dtype=np.uint8)
    data = encoded(Image.fromarray(noise), kind)
    return data[: len(data) // 2]


@pytest.mark.parametrize(
    ("data", "error", "words"),
    [
        (b"", photos.PhotoFormatError, "the file is empty; send the photo again"),
        (b"hello, world", photos.PhotoFormatError, "a text, not a photo"),
        (gif(), photos.PhotoFormatError, "a GIF image; save it as JPEG"),
        (half("JPEG"), photos.PhotoDamaged, "JPEG file is damaged or cut short"),
        (half("PNG"), photos.PhotoDamaged, "PNG file is damaged or cut short"),
        (half("WEBP"), photos.PhotoError, "."),
        (bomb(), photos.PhotoTooLarge, "megapixels"),
        (b"\xff" * (MAX_PHOTO_BYTES + 1), photos.PhotoTooLarge, r"21\.0 MB; at most 21 MB"),
    ],
    ids=["empty", "text", "gif", "half jpeg", "half png", "half webp", "bomb", "huge file"],
)
def test_what_is_no_photo_is_refused_with_a_sentence(data: bytes, error: type[Exception], words: str) -> None:
    with pytest.raises(error, match=words):
        photos.decode_photo(data)


def test_pixels_are_counted_before_they_are_decoded() -> None:
    with pytest.raises(photos.PhotoTooLarge, match=r"60x40 pixels"):
        photos.decode_photo(encoded(Image.fromarray(RED_LEFT), "PNG"), max_pixels=2000)


@pytest.mark.filterwarnings("ignore::UserWarning")  # as above
@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "AVIF"])
def test_random_damage_ends_in_pixels_or_a_photo_error(kind: str) -> None:
    generator = np.random.default_rng(11)
    good = np.frombuffer(encoded(Image.fromarray(RED_LEFT), kind), np.uint8)
    for _ in range(150):
        bad = good.copy()
        bad[generator.integers(0, len(bad), 4)] = generator.integers(0, 256, 4)
        try:
            pixels: NDArray[np.uint8] = photos.decode_photo(bad.tobytes())
        except photos.PhotoError as error:
            assert str(error)  # noqa: PT017 - either outcome is fine, but never another exception
        else:
            assert pixels.ndim == 3


def test_a_photo_is_scaled_to_the_top_left_of_the_input() -> None:
    box = letterbox.fit(60, 40, 64, 64, enlarge=True)
    canvas = photos.scale_into(np.full((40, 60, 3), 200, np.uint8), box)
    assert canvas.shape == (box.height, box.width, 3)
    assert (canvas[: box.scaled_height, : box.scaled_width] == 200).all()
    assert not canvas[box.scaled_height :].any()
