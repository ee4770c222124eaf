"""Requests to identity's registry. Every one may be repeated; nothing is tried again here, the work queue does that."""

import json
import uuid
from collections.abc import Callable, Mapping
from typing import Any, Final, TypeVar

import httpx

from vigil_contracts.base import Tolerant
from vigil_contracts.ids import ResourceKey
from vigil_contracts.registry import (
    KEPT_FIELD,
    EnrolmentReport,
    ErasureReceipt,
    RegisteredKey,
    RegisteredPage,
    RegistryStatus,
)
from vigil_contracts.resources.common import API_VERSION
from vigil_operator.registry.errors import RegistryAwayError, RegistryDeniedError, RegistryRefusedError

CONNECT_S: Final = 3.0
ANSWER_S: Final = 15.0
ENROL_S: Final = 100.0
"""Ten photos, each of which may wait behind live frames."""

ERASE_S: Final = 60.0
"""Its events are waited for until they are published."""

MAX_TOLD: Final = 500
"""Characters of an answer that are shown."""

Object = Mapping[str, Any]
Answer = TypeVar("Answer", bound=Tolerant)


def registered(kind: str, obj: Object) -> dict[str, Any]:
    """Give what the registry is told of a resource: what a person declared, without what the API server adds."""
    metadata = obj["metadata"]
    kept = {name: metadata[name] for name in ("name", "namespace", "uid", "generation", "labels") if name in metadata}
    return {"apiVersion": API_VERSION, "kind": kind, "metadata": kept, "spec": obj.get("spec") or {}}


class Registry:
    """Identity's registry over HTTP.

    Every method raises RegistryError and nothing else.

    Parameters
    ----------
    url
        `http://host:port`, without a path.
    token
        Bearer token.
    """

    def __init__(self, url: str, token: str) -> None:
        self.url = url.rstrip("/")
        self.registrar: uuid.UUID | None = None
        """Which installation this is, as `RegisteredKey.registrar` tells it; told with all that is put."""
        self.on_refused: Callable[[str, str], None] = lambda *_: None
        """Called with the method and the kind (cameras, sites, subjects) of each request that was refused for good."""
        self._http = httpx.AsyncClient(
            base_url=f"{self.url}/registry/v1",
            headers={"Authorization": f"Bearer {token}"},
            timeout=httpx.Timeout(ANSWER_S, connect=CONNECT_S, pool=ANSWER_S),
            limits=httpx.Limits(max_connections=16),
            trust_env=False,
        )

    async def put_camera(self, camera: Object) -> None:
        """Register a Camera, so that its sightings are taken."""
        await self._put("Camera", camera)

    async def put_site(self, site: Object) -> None:
        """Register a Site, so that its retention holds."""
        await self._put("Site", site)

    async def _put(self, kind: str, obj: Object) -> None:
        manifest = registered(kind, obj)
        await self._ask("PUT", _path(kind, manifest["metadata"]), json=manifest, params=self._origin())

    def _origin(self) -> dict[str, str]:
        return {"registrar": str(self.registrar)} if self.registrar is not None else {}

    async def delete_camera(self, key: ResourceKey, uid: uuid.UUID | None = None) -> ErasureReceipt:
        """Take a Camera out, with a uid only that very one; what it saw stays."""
        return await self._delete(f"/cameras/{key}", uid)

    async def delete_site(self, key: ResourceKey, uid: uuid.UUID | None = None) -> ErasureReceipt:
        """Take a Site out, with a uid only that very one; its retention goes on bounding what was seen there."""
        return await self._delete(f"/sites/{key}", uid)

    async def _delete(self, path: str, uid: uuid.UUID | None, answer_s: float = ANSWER_S) -> ErasureReceipt:
        params = {"uid": str(uid)} if uid else {}
        return _read(ErasureReceipt, await self._ask("DELETE", path, params=params, answer_s=answer_s))

    async def registered_keys(self, kind: str) -> list[RegisteredKey]:
        """Ask what is registered of a kind: Camera, Site or Subject."""
        found: list[RegisteredKey] = []
        while True:
            params = {"after": f"{found[-1].namespace}/{found[-1].name}"} if found else {}
            page = _read(RegisteredPage, await self._ask("GET", f"/{kind.lower()}s", params=params))
            found += page.items
            if not page.more or not page.items:
                return found

    async def put_subject(
        self, subject: Object, photos: Mapping[str, bytes], kept: Mapping[str, str] | None = None
    ) -> EnrolmentReport:
        """Enrol a Subject.

        Parameters
        ----------
        photos
            Bytes by the photo's name; those of the Subject that are not among them are reported as missing.
        kept
            sha256 by the photo's name, of those that cannot be sent again and that identity knows already.
        """
        manifest = registered("Subject", subject)
        files: list[tuple[str, tuple[str | None, bytes, str]]] = [
            ("subject", (None, json.dumps(manifest).encode(), "application/json"))
        ]
        if kept:
            files.append((KEPT_FIELD, (None, json.dumps(dict(kept)).encode(), "application/json")))
        files += [(f"photo:{name}", (name, data, "application/octet-stream")) for name, data in photos.items()]
        path, params = _path("Subject", manifest["metadata"]), self._origin()
        return _read(EnrolmentReport, await self._ask("PUT", path, files=files, params=params, answer_s=ENROL_S))

    async def claim_subject(self, key: ResourceKey, uid: uuid.UUID) -> None:
        """Write down that a registered Subject is this installation's; nothing when that very one is not there."""
        if self.registrar is not None:
            params = {"uid": str(uid), **self._origin()}
            await self._ask("PUT", f"/subjects/{key}/registrar", params=params, absent=True)

    async def stored_subject(self, key: ResourceKey) -> EnrolmentReport | None:
        """Give the report of what was put last; None when no such Subject is registered."""
        answer = await self._ask("GET", f"/subjects/{key}", absent=True)
        return None if answer.status_code == 404 else _read(EnrolmentReport, answer)

    async def erase_subject(self, key: ResourceKey, uid: uuid.UUID | None) -> ErasureReceipt:
        """Erase everything known of a Subject; RegistryAwayError says what is waited for.

        Parameters
        ----------
        uid
            Of the resource, so that no receipt of an earlier one under the same name is taken for this one's.
        """
        return await self._delete(f"/subjects/{key}", uid, ERASE_S)

    async def receipt(self, subject_id: uuid.UUID) -> ErasureReceipt | None:
        """Give the receipt of an erasure again; None when none is known."""
        answer = await self._ask("GET", f"/erasures/{subject_id}", absent=True)
        return None if answer.status_code == 404 else _read(ErasureReceipt, answer)

    async def status(self) -> RegistryStatus:
        """Ask how identity stands."""
        return _read(RegistryStatus, await self._ask("GET", "/status"))

    async def close(self) -> None:
        """Close all connections."""
        await self._http.aclose()

    async def _ask(
        self,
        method: str,
        path: str,
        *,
        answer_s: float = ANSWER_S,
        absent: bool = False,
        **request: Any,  # noqa: ANN401 - handed on to httpx
    ) -> httpx.Response:
        """Make one request.

        Parameters
        ----------
        absent
            404 is an answer too.
        """
        timeout = httpx.Timeout(answer_s, connect=CONNECT_S, pool=answer_s)
        try:
            answer = await self._http.request(method, path, timeout=timeout, **request)
        except (httpx.HTTPError, httpx.InvalidURL, OSError) as error:
            msg = f"identity's registry at {self.url} does not answer: {type(error).__name__}: {error}".rstrip(": ")
            raise RegistryAwayError(msg) from error
        if answer.is_success or (absent and answer.status_code == 404):
            return answer
        told = _error(answer, self.url)
        if isinstance(told, RegistryRefusedError):
            self.on_refused(method, path.split("/")[1])
        raise told


def _path(kind: str, metadata: Object) -> str:
    return f"/{kind.lower()}s/{metadata.get('namespace', 'default')}/{metadata['name']}"


def _read(model: type[Answer], answer: httpx.Response) -> Answer:
    try:
        return model.model_validate_json(answer.content)
    except ValueError as error:
        msg = f"identity's registry answered something else than a {model.__name__}: {str(error)[:MAX_TOLD]}"
        raise RegistryAwayError(msg) from error


def _error(answer: httpx.Response, url: str) -> RegistryAwayError | RegistryDeniedError | RegistryRefusedError:
    code, told = answer.status_code, _detail(answer)
    if code in {401, 403}:
        return RegistryDeniedError(
            f"identity's registry at {url} refuses the operator's token; give VIGIL_REGISTRY_TOKEN and identity's "
            "VIGIL_TOKEN the same value"
        )
    if code == 429 or code >= 500:
        after = answer.headers.get("retry-after", "")
        return RegistryAwayError(f"identity's registry: {told} ({code})", float(after) if after.isdecimal() else None)
    return RegistryRefusedError(f"identity's registry: {told} ({code})")


def _detail(answer: httpx.Response) -> str:
    try:
        body = answer.json()
    except ValueError:
        return answer.text[:MAX_TOLD] or "no message"
    detail = body.get("detail") if isinstance(body, dict) else None
    return (detail if isinstance(detail, str) else answer.text)[:MAX_TOLD]
