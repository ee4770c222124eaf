"""Keys of NATS (nkeys): Ed25519 keys, written in base 32 with the kind of their owner and a checksum.

NATS' own package for them has no wheel, and the images install nothing else.
Source of the format: https://github.com/nats-io/nkeys.
"""

import base64
import binascii
import os
from contextlib import suppress
from enum import IntEnum
from typing import Final, Self

from nacl.signing import SigningKey

_SEED: Final = 18 << 3
_CHECKSUM_BYTES: Final = 2


class Owner(IntEnum):
    """The kinds of owners of a key."""

    ACCOUNT = 0
    OPERATOR = 14 << 3
    USER = 20 << 3


class KeyPair:
    """A private key and its public key.

    Parameters
    ----------
    secret
        32 random bytes.
    """

    def __init__(self, owner: Owner, secret: bytes) -> None:
        self._owner = owner
        self._secret = secret
        self._key = SigningKey(secret)

    @classmethod
    def new(cls, owner: Owner) -> Self:
        """Make a key pair."""
        return cls(owner, os.urandom(32))

    @classmethod
    def from_seed(cls, seed: str) -> Self:
        """Return the key pair of a seed (`S…`); raise ValueError, without the seed, when it is none."""
        with suppress(ValueError, IndexError):
            raw = base64.b32decode(seed + "=" * (-len(seed) % 8))
            content, checksum = raw[:-_CHECKSUM_BYTES], raw[-_CHECKSUM_BYTES:]
            if checksum == _checksum(content) and content[0] & 0xF8 == _SEED:
                return cls(Owner((content[0] & 0x07) << 5 | content[1] >> 3), content[2:])
        msg = "not a seed of a NATS key"
        raise ValueError(msg)

    @property
    def seed(self) -> str:
        """The private key as text."""
        return _encode(bytes([_SEED | self._owner >> 5, (self._owner & 0x1F) << 3]) + self._secret)

    @property
    def public(self) -> str:
        """The public key as text; begins with the letter of its owner's kind (`A`, `O`, `U`)."""
        return _encode(bytes([self._owner]) + bytes(self._key.verify_key))

    def sign(self, content: bytes) -> bytes:
        """Return the signature of a content."""
        return self._key.sign(content).signature


def _encode(content: bytes) -> str:
    return base64.b32encode(content + _checksum(content)).decode().rstrip("=")


def _checksum(content: bytes) -> bytes:
    return binascii.crc_hqx(content, 0).to_bytes(_CHECKSUM_BYTES, "little")
