"""Issue identities on a bus: NATS' decentralised JWT with one scoped signing key for each role.

The server knows the operator's and the accounts' public keys only. An account names the signing key of its role with
the role's permissions as a template; a user signed with that key has these permissions and no others. So users are made
without the server, and the key of one role cannot make users of another.

JetStream and identity have one account, and every other role has one of its own, into which its subjects are imported.
JetStream answers a message to whichever subject its sender names, with permissions of its own; in an account
of the sender's that reaches nobody, while in the same account it would reach the requests and subjects of others.

Source of the format: https://docs.nats.io/running-a-nats-service/configuration/securing_nats/auth_intro/jwt.
"""

import base64
import json
import time
import uuid
from dataclasses import dataclass
from typing import Any, Final, Literal, NamedTuple, Self

from vigil_contracts.bus import covers
from vigil_contracts.bus_permissions import API_PREFIX, USER_NAME, BusRole, inbox_prefix, permissions
from vigil_runtime.bus_credentials import credentials_text
from vigil_runtime.nkeys import KeyPair, Owner

_LIMITS: Final = ("subs", "data", "payload", "imports", "exports", "conn", "leaf", "streams", "consumer")
_STORAGE: Final = ("mem_storage", "disk_storage")
"""Limits of an account: -1 is none, and an account without storage has no JetStream. The streams have their own."""

_HEADER: Final = {"typ": "JWT", "alg": "ed25519-nkey"}


@dataclass(frozen=True, slots=True)
class RoleKeys:
    """The keys of a role's account.

    Attributes
    ----------
    signing
        Makes users with the permissions of the role.
    """

    account: KeyPair
    signing: KeyPair


@dataclass(frozen=True, slots=True)
class BusAuthority:
    """The keys that issue the identities of one bus."""

    operator: KeyPair
    roles: dict[BusRole, RoleKeys]

    @classmethod
    def new(cls) -> Self:
        """Make all keys."""
        return cls(
            KeyPair.new(Owner.OPERATOR),
            {role: RoleKeys(KeyPair.new(Owner.ACCOUNT), KeyPair.new(Owner.ACCOUNT)) for role in BusRole},
        )

    @classmethod
    def from_json(cls, text: str) -> Self:
        """Read the keys that `to_json` wrote; raise ValueError when they are not these."""
        try:
            found = json.loads(text)
            keys = {role: [KeyPair.from_seed(seed) for seed in found["roles"][role]] for role in BusRole}
            return cls(KeyPair.from_seed(found["operator"]), {role: RoleKeys(*pair) for role, pair in keys.items()})
        except (KeyError, TypeError) as error:
            msg = f"not the keys of a bus: {error!r}"
            raise ValueError(msg) from None

    def to_json(self) -> str:
        """Return the private keys as text."""
        seeds = {role: [keys.account.seed, keys.signing.seed] for role, keys in self.roles.items()}
        return json.dumps({"operator": self.operator.seed, "roles": seeds})

    @property
    def jetstream_account(self) -> str:
        """The name of the account that has JetStream, and of its folder on the server's disk."""
        return self.roles[BusRole.IDENTITY].account.public

    def server_config(self, site: str) -> str:
        """Return the lines of a server's configuration that let in the users of this authority and nobody else."""
        # JetStream wants a system account. Its key is not kept, so that nobody can make a user of it.
        system = KeyPair.new(Owner.ACCOUNT)
        claims = {"type": "operator", "version": 2, "system_account": system.public}
        accounts = {system.public: self._account(system, "system", jetstream=False)}
        for role, keys in self.roles.items():
            accounts[keys.account.public] = self._account(
                keys.account,
                f"{site} {role}",
                jetstream=role is BusRole.IDENTITY,
                signing_keys=[self._scope(role, site)],
                imports=[self._import(one) for one in _imports(role, site)],
                exports=_exports(role, site),
            )
        known = "\n".join(f"  {name}: {token}" for name, token in accounts.items())
        return f"""operator: {encode_jwt(self.operator, self.operator.public, "vigil", claims)}
system_account: {system.public}
resolver: MEMORY
resolver_preload {{
{known}
}}
"""

    def _account(self, account: KeyPair, name: str, *, jetstream: bool, **claims: list[dict[str, Any]]) -> str:
        limits = dict.fromkeys(_LIMITS, -1) | dict.fromkeys(_STORAGE, -1 if jetstream else 0) | {"wildcards": True}
        return encode_jwt(
            self.operator, account.public, name, {"type": "account", "version": 2, "limits": limits, **claims}
        )

    def _import(self, one: "_Import") -> dict[str, Any]:
        account = self.roles[one.origin].account.public
        return {"name": one.subject, "subject": one.subject, "account": account, "type": one.kind}

    def _scope(self, role: BusRole, site: str) -> dict[str, Any]:
        allowed = permissions(role, site)
        template = {
            "pub": {"allow": allowed.publish},
            "sub": {"allow": allowed.subscribe},
            "payload": allowed.max_payload,
            "subs": -1,
            "data": -1,
        }
        return {"kind": "user_scope", "key": self.roles[role].signing.public, "role": role, "template": template}

    def credentials(self, role: BusRole, name: str) -> str:
        """Make a user of a role, and return the content of its credentials file."""
        user, keys = KeyPair.new(Owner.USER), self.roles[role]
        claims = {"type": "user", "version": 2, "issuer_account": keys.account.public}
        return credentials_text(encode_jwt(keys.signing, user.public, name, claims), user.seed)


class _Import(NamedTuple):
    """A subject of another role's account; a service carries messages to it, a stream from it."""

    origin: BusRole
    subject: str
    kind: Literal["service", "stream"]


def _imports(role: BusRole, site: str) -> list[_Import]:
    """Return what a role needs of other accounts.

    What it publishes is a service of JetStream's account to NATS, which returns the reply to the sender's account. What
    it listens to comes from the account of its publisher: NATS passes no message on that came to it as a service.
    """
    if role is BusRole.IDENTITY:
        return []
    # Every account has requests to a JetStream of its own, unless it imports all of them from another account.
    services = [f"{API_PREFIX}.>" if one.startswith(API_PREFIX) else one for one in _published(role, site)]
    heard = [one for one in permissions(role, site).subscribe if not one.startswith(inbox_prefix(role))]
    return [_Import(BusRole.IDENTITY, subject, "service") for subject in dict.fromkeys(services)] + [
        _Import(origin, subject, "stream")
        for subject in heard
        for origin in (BusRole.STREAM, BusRole.IDENTITY)
        if any(covers(subject, one) for one in _published(origin, site))
    ]


def _exports(role: BusRole, site: str) -> list[dict[str, Any]]:
    """Return what other roles import of a role's account."""
    wanted = dict.fromkeys(one for other in BusRole for one in _imports(other, site) if one.origin is role)
    return [{"name": one.subject, "subject": one.subject, "type": one.kind} for one in wanted]


def _published(role: BusRole, site: str) -> list[str]:
    return [subject.replace(USER_NAME, "*") for subject in permissions(role, site).publish]


def encode_jwt(issuer: KeyPair, subject: str, name: str, claims: dict[str, Any]) -> str:
    """Return a token of NATS: claims about a subject (a public key), signed by their issuer."""
    content = {
        "jti": uuid.uuid4().hex,
        "iat": int(time.time()),
        "iss": issuer.public,
        "sub": subject,
        "name": name,
        "nats": claims,
    }
    text = f"{_base64(json.dumps(_HEADER).encode())}.{_base64(json.dumps(content).encode())}"
    return f"{text}.{_base64(issuer.sign(text.encode()))}"


def _base64(content: bytes) -> str:
    return base64.urlsafe_b64encode(content).decode().rstrip("=")
