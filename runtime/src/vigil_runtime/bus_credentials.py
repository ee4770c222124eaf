"""Credentials as nats.py takes them, and NATS' credentials files."""

import base64
import re
from pathlib import Path
from typing import Any

from vigil_runtime.bus_address import BusCredentials
from vigil_runtime.nkeys import KeyPair


def connect_options(credentials: BusCredentials) -> dict[str, Any]:
    """Return the options with which nats.py presents these credentials."""
    if (file := credentials.file) is not None:
        # nats.py calls both for each attempt to connect.
        return {"signature_cb": lambda nonce: _signature(file, nonce), "user_jwt_cb": lambda: _jwt(file)}
    if credentials.user is not None:
        return {"user": credentials.user, "password": credentials.password or ""}
    return {"token": credentials.token}


def credentials_text(jwt: str, seed: str) -> str:
    """Return the content of a credentials file."""
    parts = (("NATS USER JWT", jwt), ("USER NKEY SEED", seed))
    return "\n".join(f"-----BEGIN {name}-----\n{content}\n------END {name}------\n" for name, content in parts)


def _signature(file: Path, nonce: str) -> bytes:
    return base64.b64encode(KeyPair.from_seed(_part(file, "USER NKEY SEED")).sign(nonce.encode()))


def _jwt(file: Path) -> bytearray:
    return bytearray(_part(file, "NATS USER JWT").encode())


def _part(file: Path, name: str) -> str:
    """Return a part of a credentials file; raise OSError when the file cannot be read or lacks it."""
    found = re.search(rf"-+BEGIN {name}-+\s+(\S+)\s+-+END {name}-+", file.read_text())
    if found is None:
        msg = f"{file} is no credentials file of NATS: it has no {name}"
        raise OSError(msg)
    return found[1]
