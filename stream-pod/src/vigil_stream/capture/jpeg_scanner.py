"""Finding JPEGs in a stream of bytes by their own structure.

Webcam boards leave out boundaries, headers or lengths of multipart/x-mixed-replace, or send wrong ones, and browsers
show them all the same. So everything around a JPEG is ignored. Inside it, segments are skipped by their length, so that
the thumbnail of an EXIF segment is no image of its own (ITU T.81, B.1.1).
"""

import re
from collections.abc import Iterator

MAX_JPEG_BYTES = 16 << 20
"""A JPEG of 8K at the best quality has about 12 MiB."""

_START = b"\xff\xd8\xff"
_END = 0xD9
_SCAN = 0xDA
_NO_LENGTH = frozenset({0x01, *range(0xD0, 0xD8)})
_AFTER_A_SCAN = frozenset({0xC4, 0xDA, 0xDB, 0xDC, 0xDD})
"""Segments between the scans of a progressive JPEG: DHT, SOS, DQT, DNL, DRI. Any other marker there is damage."""
_MARKER = re.compile(rb"\xff[^\x00\xff\xd0-\xd7]")
"""In entropy-coded data: neither a stuffed byte, nor fill, nor a restart."""


class JpegScanner:
    """Cuts JPEGs out of bytes that come in pieces.

    A JPEG without its end is cut where the next one starts; whether it can be decoded is for the decoder to find.
    """

    def __init__(self) -> None:
        self._data = bytearray()
        self._started = False
        self._in_scan = False
        self._at = 0
        self.ignored = 0
        """Bytes since the last JPEG that belong to none."""

    @property
    def has_started(self) -> bool:
        """Whether a JPEG has begun and not ended."""
        return self._started

    def rest(self) -> bytes:
        """Return what has come of a JPEG that has not ended."""
        return bytes(self._data) if self._started else b""

    def feed(self, data: bytes) -> Iterator[bytes]:
        """Add bytes; yield each JPEG that they complete."""
        self._data += data
        while True:
            if not self._started and not self._find_start():
                return
            end = self._end_of_scan() if self._in_scan else self._end_of_segments()
            if end is None:
                return
            if end:
                yield self._take(end)

    def _find_start(self) -> bool:
        at = self._data.find(_START)
        # The last two bytes may be the beginning of a start.
        useless = at if at >= 0 else max(len(self._data) - 2, 0)
        self.ignored += useless
        del self._data[:useless]
        if at < 0:
            return False
        self._started, self._in_scan, self._at = True, False, 2
        return True

    def _end_of_segments(self) -> int | None:
        """Skip segments; return the end of the JPEG, 0 when the search goes on, None when more bytes are needed."""
        data = self._data
        while self._at + 4 <= len(data):
            marker = data[self._at + 1]
            if data[self._at] != 0xFF or marker in {0x00, 0xD8}:
                return self._give_up(self._at)
            if marker == 0xFF:
                self._at += 1
            elif marker in _NO_LENGTH:
                self._at += 2
            elif marker == _END:
                return self._at + 2
            else:
                self._at += 2 + int.from_bytes(data[self._at + 2 : self._at + 4], "big")
                if marker == _SCAN:
                    self._in_scan = True
                    return 0
        return self._more()

    def _end_of_scan(self) -> int | None:
        data = self._data
        while found := _MARKER.search(data, self._at):
            at, marker = found.start(), data[found.start() + 1]
            if marker == _END:
                return at + 2
            if data[at : at + 3] == _START:
                return at
            if marker in _AFTER_A_SCAN:
                self._in_scan, self._at = False, at
                return 0
            if marker == 0xD8 and at + 3 > len(data):
                self._at = at
                return self._more()
            self._at = at + 2
        # The last byte may be the first of a marker.
        self._at = max(self._at, len(data) - 1)
        return self._more()

    def _more(self) -> int | None:
        return self._give_up(len(self._data)) if len(self._data) > MAX_JPEG_BYTES else None

    def _give_up(self, at: int) -> int:
        """Drop what cannot be a JPEG, and search on behind it."""
        at = max(at, 2)
        self.ignored += at
        del self._data[:at]
        self._started = False
        return 0

    def _take(self, end: int) -> bytes:
        taken = bytes(self._data[:end])
        del self._data[:end]
        self._started, self.ignored = False, 0
        return taken
