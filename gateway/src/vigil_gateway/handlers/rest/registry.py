"""The registry over HTTP: the operator, or `vigil up`, registers and removes Sites, Cameras and Subjects.

Every request may be repeated. An invalid request is answered with 4xx and `detail` (and `problems`, one per field);
503 means that the same request may succeed later.
"""

import hmac
import re
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Final, TypeVar

from fastapi import APIRouter, Depends, HTTPException, Path, Query, Request, Response
from fastapi.responses import JSONResponse
from starlette.datastructures import FormData, UploadFile
from starlette.formparsers import MultiPartException, MultiPartParser

from vigil_contracts.ids import DNS_LABEL, ResourceKey
from vigil_contracts.registry import KEPT_FIELD, EnrolmentReport, ErasureReceipt, RegisteredPage, RegistryStatus
from vigil_contracts.resources import Camera, Problem, Resource, Site, Subject, check
from vigil_gateway.http import json_text
from vigil_gateway.principal import TOKEN_HOLDER, PermissionDeniedError, Principal
from vigil_gateway.services.cameras import Cameras
from vigil_gateway.services.enrolment import Enroller, EnrolmentUnavailableError
from vigil_gateway.services.erasure import Eraser, ErasureUnfinishedError
from vigil_gateway.services.inventory import Inventory
from vigil_gateway.services.sites import Sites
from vigil_gateway.services.status import StatusReader
from vigil_gateway.storage.errors import DatabaseError, GalleryError
from vigil_gateway.storage.postgres.pool import UNSTORABLE
from vigil_gateway.storage.postgres.resources import KINDS, RegisteredKind

MAX_RESOURCE_BYTES: Final = 1 << 20
MAX_PHOTOS: Final = 10
PHOTO_FIELD: Final = "photo:"
_SHA256: Final = re.compile("[0-9a-f]{64}")

Kind = TypeVar("Kind", bound=Resource)
Segment = Annotated[str, Path(pattern=f"^{DNS_LABEL.pattern}$")]


def _caller(request: Request) -> Principal:
    """Return the principal that `_authenticate` found."""
    found: Principal = request.state.principal
    return found


Caller = Annotated[Principal, Depends(_caller)]
After = Annotated[str, Query(pattern=f"^{DNS_LABEL.pattern}/{DNS_LABEL.pattern}$")]


@dataclass(frozen=True, slots=True)
class RegistryParts:
    """The services that the routes call.

    Attributes
    ----------
    max_photo_bytes
        Of one photo.
    """

    sites: Sites
    cameras: Cameras
    enroller: Enroller
    eraser: Eraser
    inventory: Inventory
    status: StatusReader
    token: str
    max_photo_bytes: int


class _InMemoryParser(MultiPartParser):
    """Keeps photos in memory, so that they are never written to a disk."""

    spool_max_size = 1 << 30  # the body's size is limited before

    def on_part_end(self) -> None:
        """Refuse a field that is not UTF-8, which starlette would read as Latin-1."""
        part = self._current_part
        try:
            part.data.decode()
        except UnicodeDecodeError:
            message = f"the field {json_text.shown(part.field_name)} is not UTF-8"
            raise MultiPartException(message) from None
        super().on_part_end()


def registry_router(parts: RegistryParts) -> APIRouter:
    """Return the routes under /registry/v1."""
    router = APIRouter(prefix="/registry/v1", dependencies=[Depends(_authenticate(parts.token))])

    @router.put("/cameras/{namespace}/{name}", status_code=204)
    async def put_camera(
        namespace: Segment, name: Segment, request: Request, registrar: uuid.UUID | None = None
    ) -> Response:
        body = await request.body()
        camera = _resource(body, Camera, ResourceKey(namespace, name))
        await parts.cameras.put(camera, registrar)
        return Response(status_code=204)

    @router.delete("/cameras/{namespace}/{name}")
    async def delete_camera(namespace: Segment, name: Segment, uid: uuid.UUID | None = None) -> Response:
        return _json(await parts.cameras.remove(ResourceKey(namespace, name), uid))

    @router.put("/sites/{namespace}/{name}", status_code=204)
    async def put_site(
        namespace: Segment, name: Segment, request: Request, registrar: uuid.UUID | None = None
    ) -> Response:
        await parts.sites.put(_resource(await request.body(), Site, ResourceKey(namespace, name)), registrar)
        return Response(status_code=204)

    @router.delete("/sites/{namespace}/{name}")
    async def delete_site(namespace: Segment, name: Segment, uid: uuid.UUID | None = None) -> Response:
        return _json(await parts.sites.remove(ResourceKey(namespace, name), uid))

    _add_lists(router, parts)
    _add_subjects(router, parts)

    @router.get("/status")
    async def status() -> Response:
        return _json(await parts.status.read())

    return router


def _add_lists(router: APIRouter, parts: RegistryParts) -> None:
    def add(kind: RegisteredKind) -> None:
        @router.get(f"/{kind}")
        async def registered(caller: Caller, after: After | None = None) -> Response:
            namespace, _, name = (after or "").partition("/")
            return _json(await parts.inventory.page(caller, kind, ResourceKey(namespace, name) if after else None))

    for kind in KINDS:
        add(kind)


def _add_subjects(router: APIRouter, parts: RegistryParts) -> None:
    @router.put("/subjects/{namespace}/{name}")
    async def put_subject(
        caller: Caller, namespace: Segment, name: Segment, request: Request, registrar: uuid.UUID | None = None
    ) -> Response:
        form = await _form(request)
        try:
            subject = _resource(await _subject_field(form), Subject, ResourceKey(namespace, name))
            named = {photo.name for photo in subject.spec.photos}
            photos, kept = await _photos(form, named, parts.max_photo_bytes), _kept(form, named)
        finally:
            await form.close()
        return _json(await parts.enroller.put(caller, subject, photos, kept, registrar))

    @router.put("/subjects/{namespace}/{name}/registrar", status_code=204)
    async def claim_subject(
        caller: Caller, namespace: Segment, name: Segment, uid: uuid.UUID, registrar: uuid.UUID
    ) -> Response:
        key = ResourceKey(namespace, name)
        if not await parts.enroller.claim(caller, key, uid, registrar):
            raise HTTPException(404, f"no Subject {key} with uid {uid} is registered")
        return Response(status_code=204)

    @router.get("/subjects/{namespace}/{name}")
    async def get_subject(caller: Caller, namespace: Segment, name: Segment) -> Response:
        key = ResourceKey(namespace, name)
        found = await parts.enroller.stored(caller, key)
        if found is None:
            raise HTTPException(404, f"no Subject {key} is registered")
        return _json(found)

    @router.delete("/subjects/{namespace}/{name}")
    async def delete_subject(
        caller: Caller, namespace: Segment, name: Segment, uid: uuid.UUID | None = None
    ) -> Response:
        return _json(await parts.eraser.erase_subject(caller, ResourceKey(namespace, name), uid))

    @router.get("/erasures/{subject_id}")
    async def get_erasure(caller: Caller, subject_id: uuid.UUID) -> Response:
        found = await parts.eraser.receipt(caller, subject_id)
        if found is None:
            raise HTTPException(404, f"no erasure of a Subject with id {subject_id} is known")
        return _json(found)


def _authenticate(token: str) -> Any:  # noqa: ANN401 - what FastAPI's Depends takes
    """Return a dependency that refuses requests without the token and names the caller of the others."""
    expected = token.encode()

    async def authenticate(request: Request) -> None:
        scheme, _, given = request.headers.get("authorization", "").partition(" ")
        if scheme.lower() != "bearer" or not hmac.compare_digest(given.strip().encode(), expected):
            message = "the token is missing or wrong: send the header `Authorization: Bearer TOKEN`"
            raise HTTPException(401, message, {"WWW-Authenticate": "Bearer"})
        request.state.principal = TOKEN_HOLDER

    return authenticate


def _json(model: EnrolmentReport | ErasureReceipt | RegisteredPage | RegistryStatus) -> Response:
    return Response(model.model_dump_json(by_alias=True), media_type="application/json")


class ProblemsError(Exception):
    """A manifest is invalid; `problems` lists each fault."""

    def __init__(self, problems: list[Problem]) -> None:
        super().__init__("; ".join(f"{problem.where}: {problem.message}" for problem in problems))
        self.problems = problems


def _resource(body: bytes, kind: type[Kind], key: ResourceKey) -> Kind:
    if len(body) > MAX_RESOURCE_BYTES:
        raise HTTPException(413, f"the resource has {len(body)} bytes; at most {MAX_RESOURCE_BYTES} are read")
    try:
        document = json_text.decode(body)
    except json_text.JsonError as error:
        raise HTTPException(400, f"the resource cannot be read: {error}") from None
    if not isinstance(document, dict):
        raise HTTPException(400, "the resource is not a JSON object")
    found = check(document)
    if isinstance(found, list):
        raise ProblemsError(found)
    if not isinstance(found, kind):
        raise HTTPException(422, f"the resource is a {document['kind']}; a {kind.__name__} is expected here")
    if found.metadata.key != key:
        raise HTTPException(422, f"the resource is {found.metadata.key}; the address says {key}")
    return found


async def _form(request: Request) -> FormData:
    if not request.headers.get("content-type", "").lower().startswith("multipart/form-data"):
        raise HTTPException(415, "a Subject is sent as multipart/form-data: field `subject`, files `photo:<name>`")
    if "charset" in request.headers["content-type"].lower():
        raise HTTPException(415, "the form names a charset; leave it out, and send the fields in UTF-8")
    parser = _InMemoryParser(
        request.headers,
        request.stream(),
        max_files=MAX_PHOTOS + 1,
        max_fields=2,
        max_part_size=MAX_RESOURCE_BYTES,
    )
    try:
        return await parser.parse()
    except (MultiPartException, KeyError) as error:
        raise HTTPException(400, f"the form cannot be read: {getattr(error, 'message', error)}") from None


async def _subject_field(form: FormData) -> bytes:
    given = form.get("subject")
    if len(form.getlist("subject")) > 1:
        raise HTTPException(400, "the form has the field `subject` twice")
    if given is None:
        raise HTTPException(400, "the form has no field `subject` with the Subject as JSON")
    return await given.read() if isinstance(given, UploadFile) else given.encode()


async def _photos(form: FormData, named: set[str], max_bytes: int) -> Mapping[str, bytes]:
    photos: dict[str, bytes] = {}
    for field, part in form.multi_items():
        if field in {"subject", KEPT_FIELD}:
            continue
        name = field.removeprefix(PHOTO_FIELD)
        if not field.startswith(PHOTO_FIELD) or not isinstance(part, UploadFile) or name not in named:
            known = ", ".join(sorted(f"{PHOTO_FIELD}{one}" for one in named))
            raise HTTPException(422, f"the form's part {field[:80]!r} is none of the Subject's photos ({known})")
        if name in photos:
            raise HTTPException(422, f"photo {name} was sent twice")
        if (part.size or 0) > max_bytes:
            raise HTTPException(413, f"photo {name} has {part.size} bytes; at most {max_bytes} are read")
        photos[name] = await part.read()
    return photos


def _kept(form: FormData, named: set[str]) -> Mapping[str, str]:
    """Return the sha256 of photos that are not sent again, by name; raises HTTPException."""
    text = form.get(KEPT_FIELD)
    if text is None:
        return {}
    try:
        found = json_text.decode(text) if isinstance(text, str) else None
    except json_text.JsonError:
        found = None
    invalid = not isinstance(found, dict) or any(
        name not in named or not isinstance(sha256, str) or not _SHA256.fullmatch(sha256)
        for name, sha256 in found.items()
    )
    if invalid or not isinstance(found, dict):
        known = ", ".join(sorted(named))
        message = f"the form's field `{KEPT_FIELD}` is no JSON object of sha256 (64 of 0-9a-f) by photo ({known})"
        raise HTTPException(422, message)
    return found


def error_response(_request: Request, error: Exception) -> JSONResponse:
    """Return the response to an error that a service raised."""
    if isinstance(error, PermissionDeniedError):
        return JSONResponse({"detail": str(error)}, status_code=403)
    if isinstance(error, ProblemsError):
        problems = [{"path": problem.where, "message": problem.message} for problem in error.problems]
        return JSONResponse({"detail": str(error), "problems": problems}, status_code=422)
    if isinstance(error, UNSTORABLE):
        # It is refused for good: the same request would fail in the same way, and be sent again for ever.
        return JSONResponse({"detail": f"the resource holds a value that cannot be stored: {error}"}, status_code=422)
    return JSONResponse({"detail": f"{error}"}, status_code=503, headers={"Retry-After": "2"})


HANDLED: Final = (
    ProblemsError,
    PermissionDeniedError,
    EnrolmentUnavailableError,
    ErasureUnfinishedError,
    DatabaseError,
    GalleryError,
    *UNSTORABLE,
)
