"""Basic and Digest authentication of HTTP requests (RFC 7617, RFC 7616)."""

import base64
import hashlib
import re
import secrets
from collections.abc import Sequence

from vigil_stream.capture.credentials import Login

_HASHES = {"MD5": hashlib.md5, "SHA-256": hashlib.sha256, "SHA-512-256": lambda data: hashlib.new("sha512_256", data)}
_PARAMETER = re.compile(r'([A-Za-z]+)\s*=\s*(?:"((?:[^"\\]|\\.)*)"|([^\s,]+))')


def basic(login: Login) -> str:
    """Return the header's value for Basic authentication."""
    pair = base64.b64encode(":".join(login).encode()).decode()
    return f"Basic {pair}"


class HttpAuth:
    """Answers the challenges of one server.

    Parameters
    ----------
    login
        None: no challenge can be answered.
    """

    def __init__(self, login: Login | None) -> None:
        self._login = login
        self._digest: dict[str, str] | None = None
        self._is_basic = False
        self._count = 0
        self._sent = 0
        self._was_accepted = False

    def challenge(self, challenges: Sequence[str]) -> bool:
        """Take the values of WWW-Authenticate; return whether another request makes sense.

        A login is sent twice only when its nonce may merely have been too old: cameras lock an account after a few
        wrong logins.
        """
        if self._login is None:
            return False
        digests = [found for value in challenges for found in _digests(value)]
        usable = [one for one in digests if _algorithm(one) in _HASHES]
        renewed = False
        if usable:
            # The strongest one that is known here.
            chosen = max(usable, key=lambda one: list(_HASHES).index(_algorithm(one)))
            renewed = chosen.get("stale", "").lower() == "true" or self._was_accepted
            self._digest, self._count = chosen, 0
        self._is_basic, self._was_accepted = not usable, False
        return self._sent == 0 or (self._sent == 1 and renewed)

    def accepted(self) -> None:
        """Record that the last request was not refused."""
        self._was_accepted, self._sent = self._sent > 0, 0

    def header(self, method: str, target: str) -> str | None:
        """Return the value of Authorization for a request; None before the first challenge."""
        if self._login is None or (self._digest is None and not self._is_basic):
            return None
        self._sent += 1
        if self._digest is not None:
            return self._digest_header(self._login, self._digest, method, target)
        return basic(self._login)

    def _digest_header(self, login: Login, challenge: dict[str, str], method: str, target: str) -> str:
        self._count += 1
        count, client_nonce = f"{self._count:08x}", secrets.token_hex(8)
        name, realm, nonce = _algorithm(challenge), challenge.get("realm", ""), challenge.get("nonce", "")

        def digest(text: str) -> str:
            return str(_HASHES[name](text.encode()).hexdigest())

        secret = digest(f"{login[0]}:{realm}:{login[1]}")
        if challenge.get("algorithm", "").upper().endswith("-SESS"):
            secret = digest(f"{secret}:{nonce}:{client_nonce}")
        has_qop = "auth" in [one.strip().lower() for one in challenge.get("qop", "").split(",")]
        middle = f"{nonce}:{count}:{client_nonce}:auth" if has_qop else nonce
        response = digest(f"{secret}:{middle}:{digest(f'{method}:{target}')}")
        quoted = login[0].replace("\\", "\\\\").replace('"', '\\"')
        fields = [f'username="{quoted}"', f'realm="{realm}"', f'nonce="{nonce}"', f'uri="{target}"']
        fields.append(f'response="{response}"')
        fields += [f"algorithm={challenge['algorithm']}"] if "algorithm" in challenge else []
        fields += [f'opaque="{challenge["opaque"]}"'] if "opaque" in challenge else []
        fields += [f'qop=auth, nc={count}, cnonce="{client_nonce}"'] if has_qop else []
        return "Digest " + ", ".join(fields)


def _digests(value: str) -> list[dict[str, str]]:
    """Return the parameters of each Digest challenge in a header's value."""
    found = []
    for text in re.split(r"(?i)(?:^|,)\s*digest\s+", value)[1:]:
        own = re.split(r"(?i),\s*basic\s", text)[0]
        found.append({name.lower(): quoted or bare for name, quoted, bare in _PARAMETER.findall(own)})
    return found


def _algorithm(challenge: dict[str, str]) -> str:
    return challenge.get("algorithm", "MD5").upper().removesuffix("-SESS")
