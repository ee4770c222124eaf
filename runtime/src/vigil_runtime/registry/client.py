"""Requests to identity's registry. Every request may be repeated; the caller decides when."""

import json
import uuid
from collections.abc import Callable, Mapping
from typing import Any, Final, TypeVar

import httpx
from pydantic import BaseModel

from vigil_contracts.addresses import shown_address
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
from vigil_runtime.registry.errors import RegistryAwayError, RegistryDeniedError, RegistryRefusedError

CONNECT_S: Final = 3.0
RESPONSE_S: Final = 15.0
ENROLL_S: Final = 100.0
"""Ten photos, each of which may wait behind live frames."""

ERASE_S: Final = 60.0
"""The registry waits until the Subject's events are published."""

CHECK_ADDRESS: Final = "check that identity runs and that VIGIL_REGISTRY_URL is its address"

MAX_DETAIL: Final = 500
"""Characters of a response that an error message quotes."""

MAY_PASS: Final = frozenset({408, 409, 425, 429})
"""Client errors (RFC 9110, RFC 8470, RFC 6585) that another attempt may cure; all of 5xx may pass as well."""

Object = Mapping[str, Any] | BaseModel
"""A resource: as the API server keeps it, or as the contracts model it."""

Model = TypeVar("Model", bound=Tolerant)


def registered(kind: str, obj: Object) -> dict[str, Any]:
    """Return the part of a resource that the registry takes: as declared, without what the API server adds."""
    plain = obj.model_dump(mode="json", by_alias=True, exclude_none=True) if isinstance(obj, BaseModel) else obj
    metadata = plain["metadata"]
    kept = {name: metadata[name] for name in ("name", "namespace", "uid", "generation", "labels") if name in metadata}
    return {"apiVersion": API_VERSION, "kind": kind, "metadata": kept, "spec": plain.get("spec") or {}}


class RegistryClient:
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
        """This installation, as in `RegisteredKey.registrar`; sent with every PUT."""
        self.on_refused: Callable[[str, str], None] = lambda *_: None
        """Called with the method and the kind (cameras, sites, subjects) of each request that was refused for good."""
        self._http = httpx.AsyncClient(
            base_url=f"{self.url}/registry/v1",
            headers={"Authorization": f"Bearer {token}"},
            timeout=httpx.Timeout(RESPONSE_S, connect=CONNECT_S, pool=RESPONSE_S),
            limits=httpx.Limits(max_connections=16),
            trust_env=False,
        )

    async def put_camera(self, camera: Object) -> None:
        """Register a Camera, so that its sightings are accepted."""
        await self._put("Camera", camera)

    async def put_site(self, site: Object) -> None:
        """Register a Site, so that its retention applies."""
        await self._put("Site", site)

    async def _put(self, kind: str, obj: Object) -> None:
        manifest = registered(kind, obj)
        await self._request("PUT", _path(kind, manifest["metadata"]), json=manifest, params=self._origin())

    def _origin(self) -> dict[str, str]:
        return {"registrar": str(self.registrar)} if self.registrar is not None else {}

    async def delete_camera(self, key: ResourceKey, uid: uuid.UUID | None = None) -> ErasureReceipt:
        """Remove a Camera, with a uid only that very one; its sightings stay."""
        return await self._delete(f"/cameras/{key}", uid)

    async def delete_site(self, key: ResourceKey, uid: uuid.UUID | None = None) -> ErasureReceipt:
        """Remove a Site, with a uid only that very one; its retention goes on applying to earlier sightings."""
        return await self._delete(f"/sites/{key}", uid)

    async def _delete(self, path: str, uid: uuid.UUID | None, response_s: float = RESPONSE_S) -> ErasureReceipt:
        params = {"uid": str(uid)} if uid else {}
        return _read(ErasureReceipt, await self._request("DELETE", path, params=params, response_s=response_s))

    async def registered_keys(self, kind: str) -> list[RegisteredKey]:
        """Return all that is registered of a kind: Camera, Site or Subject."""
        found: list[RegisteredKey] = []
        while True:
            params = {"after": f"{found[-1].namespace}/{found[-1].name}"} if found else {}
            page = _read(RegisteredPage, await self._request("GET", f"/{kind.lower()}s", params=params))
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
            Bytes by the photo's name; the report names those of the Subject that are missing here.
        kept
            sha256 by the photo's name, of those that are not sent again because identity knows them.
        """
        manifest = registered("Subject", subject)
        files: list[tuple[str, tuple[str | None, bytes, str]]] = [
            ("subject", (None, json.dumps(manifest).encode(), "application/json"))
        ]
        if kept:
            files.append((KEPT_FIELD, (None, json.dumps(dict(kept)).encode(), "application/json")))
        files += [(f"photo:{name}", (name, data, "application/octet-stream")) for name, data in photos.items()]
        path, params = _path("Subject", manifest["metadata"]), self._origin()
        return _read(EnrolmentReport, await self._request("PUT", path, files=files, params=params, response_s=ENROLL_S))

    async def claim_subject(self, key: ResourceKey, uid: uuid.UUID) -> None:
        """Record that a registered Subject belongs to this installation; do nothing when it is not registered."""
        if self.registrar is not None:
            params = {"uid": str(uid), **self._origin()}
            await self._request("PUT", f"/subjects/{key}/registrar", params=params, absent=True)

    async def stored_subject(self, key: ResourceKey) -> EnrolmentReport | None:
        """Return the report of the last enrolment; None when no such Subject is registered."""
        response = await self._request("GET", f"/subjects/{key}", absent=True)
        return None if response.status_code == 404 else _read(EnrolmentReport, response)

    async def erase_subject(self, key: ResourceKey, uid: uuid.UUID | None = None) -> ErasureReceipt:
        """Erase everything known of a Subject; RegistryAwayError names what the erasure waits for.

        Parameters
        ----------
        uid
            Its uid, so that no receipt of an earlier one under the same name is mistaken for this one's.
        """
        return await self._delete(f"/subjects/{key}", uid, ERASE_S)

    async def receipt(self, subject_id: uuid.UUID) -> ErasureReceipt | None:
        """Return the receipt of an earlier erasure; None when none is known."""
        response = await self._request("GET", f"/erasures/{subject_id}", absent=True)
        return None if response.status_code == 404 else _read(ErasureReceipt, response)

    async def status(self) -> RegistryStatus:
        """Return the status of identity."""
        return _read(RegistryStatus, await self._request("GET", "/status"))

    async def close(self) -> None:
        """Close all connections."""
        await self._http.aclose()

    async def _request(
        self,
        method: str,
        path: str,
        *,
        response_s: float = RESPONSE_S,
        absent: bool = False,
        **request: Any,  # noqa: ANN401 - passed on to httpx
    ) -> httpx.Response:
        """Make one request.

        Parameters
        ----------
        absent
            404 is a response too, and no error.
        """
        timeout = httpx.Timeout(response_s, connect=CONNECT_S, pool=response_s)
        try:
            response = await self._http.request(method, path, timeout=timeout, **request)
        except (httpx.HTTPError, httpx.InvalidURL, OSError) as error:
            cause = f"{type(error).__name__}: {error}".rstrip(": ")
            msg = f"identity's registry at {shown_address(self.url)} does not respond ({cause}); {CHECK_ADDRESS}"
            raise RegistryAwayError(msg) from error
        if response.is_success or (absent and response.status_code == 404):
            return response
        refusal = _error(response, shown_address(self.url))
        if isinstance(refusal, RegistryRefusedError):
            self.on_refused(method, path.split("/")[1])
        raise refusal


def _path(kind: str, metadata: Mapping[str, Any]) -> str:
    return f"/{kind.lower()}s/{metadata.get('namespace', 'default')}/{metadata['name']}"


def _read(model: type[Model], response: httpx.Response) -> Model:
    try:
        return model.model_validate_json(response.content)
    except ValueError as error:
        msg = (
            f"identity's registry sent no {model.__name__} ({str(error)[:MAX_DETAIL]}); {CHECK_ADDRESS} "
            "and has the same version as this program"
        )
        raise RegistryAwayError(msg) from error


def _error(response: httpx.Response, url: str) -> RegistryAwayError | RegistryDeniedError | RegistryRefusedError:
    code, detail = response.status_code, _detail(response)
    if code in {401, 403}:
        return RegistryDeniedError(
            f"identity's registry at {url} refuses the token; set VIGIL_REGISTRY_TOKEN and identity's VIGIL_TOKEN to "
            "the same value"
        )
    if code in MAY_PASS or code >= 500:
        after = response.headers.get("retry-after", "")
        msg = f"identity's registry at {url}: {detail} ({code}); tried again"
        return RegistryAwayError(msg, float(after) if after.isdecimal() else None)
    return RegistryRefusedError(f"identity's registry refuses the request: {detail} ({code})")


def _detail(response: httpx.Response) -> str:
    try:
        body = response.json()
    except ValueError:
        return response.text[:MAX_DETAIL] or "the response has no text; see the log of identity"
    detail = body.get("detail") if isinstance(body, dict) else None
    return (detail if isinstance(detail, str) else response.text)[:MAX_DETAIL]
