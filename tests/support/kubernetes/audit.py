"""Who asked what of an API server: its audit log, one JSON line per request that was answered."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

WRITES = frozenset({"create", "update", "patch", "delete", "deletecollection"})
POLICY = {
    "apiVersion": "audit.k8s.io/v1",
    "kind": "Policy",
    "omitStages": ["RequestReceived"],  # one line per request (a watch: one at its begin, one at its end)
    "rules": [{"level": "Metadata"}],
}


@dataclass(frozen=True)
class Request:
    """One answered request.

    Attributes
    ----------
    verb
        As RBAC names it: `get`, `list`, `watch`, `create`, `update`, `patch`, `delete`, …
    user
        The authenticated user, `system:serviceaccount:…` for a pod.
    agent
        The User-Agent header.
    resource
        Plural, with the subresource: `cameras/status`; empty for a path that is no resource.
    name
        Of the object; empty for a list and a `create`.
    code
        HTTP status of the answer.
    moment
        When it arrived: RFC 3339 in UTC, microseconds.
    """

    verb: str
    user: str
    agent: str
    group: str
    resource: str
    namespace: str
    name: str
    code: int
    moment: str
    uri: str

    @property
    def is_write(self) -> bool:
        """Whether it changes what is stored."""
        return self.verb in WRITES


def requests(log: Path, offset: int = 0) -> Iterator[Request]:
    """Read the requests after an offset in bytes (the size of the log when the counting began)."""
    with log.open("rb") as file:
        file.seek(offset)
        for line in file:
            if line.endswith(b"\n"):  # the last one may still be written
                yield _request(json.loads(line))


def _request(event: dict[str, object]) -> Request:
    def part(name: str) -> dict[str, object]:
        found = event.get(name)
        return found if isinstance(found, dict) else {}

    where = part("objectRef")
    resource = "/".join(str(where[key]) for key in ("resource", "subresource") if key in where)
    return Request(
        verb=str(event["verb"]),
        user=str(part("user").get("username", "")),
        agent=str(event.get("userAgent", "")),
        group=str(where.get("apiGroup", "")),
        resource=resource,
        namespace=str(where.get("namespace", "")),
        name=str(where.get("name", "")),
        code=int(str(part("responseStatus").get("code", 0))),
        moment=str(event["requestReceivedTimestamp"]),
        uri=str(event["requestURI"]),
    )
