"""Parts of a small RTSP server, for cameras of measurements and tests."""

import socket
from collections.abc import Iterator

PAYLOAD_BYTES = 1_300
"""Largest payload of a packet: it fits into an Ethernet frame with all headers."""


def fragments(unit: bytes, most: int = PAYLOAD_BYTES) -> Iterator[bytes]:
    """Split a NAL unit of H.264 into fragmentation units (FU-A, RFC 6184) when it is too large for one packet."""
    if len(unit) <= most:
        yield unit
        return
    indicator, kind = (unit[0] & 0xE0) | 28, unit[0] & 0x1F
    parts = [unit[at : at + most] for at in range(1, len(unit), most)]
    for n, part in enumerate(parts):
        flags = (0x80 if n == 0 else 0) | (0x40 if n == len(parts) - 1 else 0)
        yield bytes([indicator, flags | kind]) + part


def read_head(connection: socket.socket) -> str:
    """Return the head of a request; empty when the client has gone."""
    data = b""
    while not data.endswith(b"\r\n\r\n"):
        byte = connection.recv(1)
        if not byte:
            return ""
        data += byte
    return data.decode("latin-1")
