"""The registry of the identity program, as its client sees it."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType, TracebackType
from typing import Self

import httpx

from vigil_cli.standalone.desired import as_json
from vigil_contracts.ids import ResourceKey
from vigil_contracts.registry import KEPT_FIELD, EnrolmentReport, RegistryStatus
from vigil_contracts.resources import Camera, Site, Subject

TIMEOUT = httpx.Timeout(60, connect=3)
"""Ten photos of 50 megapixels take a while to decode."""


class RegistryError(Exception):
    """The registry did not do it.

    Attributes
    ----------
    lasting
        The same request will be refused again; trying again makes no sense.
    """

    def __init__(self, message: str, *, lasting: bool = False) -> None:
        super().__init__(message)
        self.lasting = lasting


@dataclass(frozen=True, slots=True)
class PhotoUpload:
    """One photo with its bytes."""

    name: str
    data: bytes


class Registry:
    """Sites, Cameras and Subjects are put in and taken out; every call may be repeated."""

    def __init__(self, url: str, token: str) -> None:
        self._http = httpx.AsyncClient(
            base_url=f"{url}/registry/v1",
            headers={"Authorization": f"Bearer {token}"},
            timeout=TIMEOUT,
            trust_env=False,
        )

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._http.aclose()

    async def put_site(self, site: Site) -> None:
        """Register a Site, so that its retention holds; raises RegistryError."""
        key = site.metadata.key
        await self._call("PUT", f"/sites/{key.namespace}/{key.name}", json=as_json(site))

    async def remove_site(self, key: ResourceKey) -> None:
        """Take a Site out; what was seen there is kept no longer than before. Raises RegistryError."""
        await self._call("DELETE", f"/sites/{key.namespace}/{key.name}", may_be_absent=True)

    async def put_camera(self, camera: Camera) -> None:
        """Register a camera; raises RegistryError."""
        key = camera.metadata.key
        await self._call("PUT", f"/cameras/{key.namespace}/{key.name}", json=as_json(camera))

    async def remove_camera(self, key: ResourceKey) -> None:
        """Take a camera out; raises RegistryError."""
        await self._call("DELETE", f"/cameras/{key.namespace}/{key.name}", may_be_absent=True)

    async def put_subject(
        self, subject: Subject, photos: list[PhotoUpload], kept: Mapping[str, str] = MappingProxyType({})
    ) -> EnrolmentReport:
        """Enrol a Subject; raises RegistryError. A photo that is missing here is told of in the report.

        Parameters
        ----------
        kept
            sha256 by the photo's name, of those that are not sent again: one that identity knows by it stays.
        """
        key = subject.metadata.key
        body: list[tuple[str, tuple[str | None, bytes, str]]] = [
            ("subject", (None, json.dumps(as_json(subject)).encode(), "application/json"))
        ]
        if kept:
            body.append((KEPT_FIELD, (None, json.dumps(dict(kept)).encode(), "application/json")))
        body += [(f"photo:{photo.name}", (photo.name, photo.data, "application/octet-stream")) for photo in photos]
        response = await self._call("PUT", f"/subjects/{key.namespace}/{key.name}", files=body)
        return EnrolmentReport.model_validate_json(response.content)

    async def stored_subject(self, key: ResourceKey) -> EnrolmentReport | None:
        """Give the report of what was put last, None without such a Subject; raises RegistryError."""
        response = await self._call("GET", f"/subjects/{key.namespace}/{key.name}", may_be_absent=True)
        is_absent = response.status_code == httpx.codes.NOT_FOUND
        return None if is_absent else EnrolmentReport.model_validate_json(response.content)

    async def remove_subject(self, key: ResourceKey) -> None:
        """Erase a Subject; raises RegistryError."""
        await self._call("DELETE", f"/subjects/{key.namespace}/{key.name}", may_be_absent=True)

    async def status(self) -> RegistryStatus:
        """Ask how identity stands; raises RegistryError."""
        return RegistryStatus.model_validate_json((await self._call("GET", "/status")).content)

    async def _call(self, method: str, path: str, *, may_be_absent: bool = False, **body: object) -> httpx.Response:
        try:
            response = await self._http.request(method, path, **body)  # type: ignore[arg-type]  # json or files
        except httpx.HTTPError as error:
            raise RegistryError(f"identity does not answer ({type(error).__name__})") from None
        if response.status_code == httpx.codes.NOT_FOUND and may_be_absent:
            return response
        if response.is_error:
            passing = response.status_code >= 500 or response.status_code in {404, 408, 409, 425, 429}
            raise RegistryError(f"identity refused it: {_told(response)}", lasting=not passing)
        return response


def _told(response: httpx.Response) -> str:
    try:
        body = response.json()
        return str(body.get("detail") or body.get("message") or body)[:500]
    except (ValueError, AttributeError):
        return f"{response.status_code} {response.reason_phrase}"
