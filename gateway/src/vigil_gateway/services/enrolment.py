"""Enrol Subjects: embeddings and reasons of their photos are stored, the photos themselves never.

Enrolling again changes nothing and costs nothing: a photo that was assessed under the served model is recognised by its
sha256. The gallery is changed inside the transaction of Postgres, so that a crash alone can make them differ; the next
start brings the gallery to what Postgres holds.
"""

import asyncio
import dataclasses
import datetime as dt
import hashlib
import uuid
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any, Final

import structlog

from vigil_contracts.addresses import hide_in
from vigil_contracts.ids import ResourceKey
from vigil_contracts.registry import EnrolmentReport, Lookalike, PhotoReason, PhotoResult, enrolment_digest
from vigil_contracts.resources import ConsentStatus, Subject, check
from vigil_contracts.resources.subject import Photo
from vigil_gateway.principal import Permission, Principal
from vigil_gateway.services import photos as photo_rules
from vigil_gateway.services.erasure import Eraser
from vigil_gateway.services.gallery_sync import GallerySync
from vigil_gateway.services.lookalikes import Lookalikes
from vigil_gateway.services.metrics import ServiceMetrics
from vigil_gateway.services.model import Model
from vigil_gateway.services.models import Models
from vigil_gateway.storage.postgres import erasures, subjects
from vigil_gateway.storage.postgres.pool import Database
from vigil_gateway.storage.postgres.resource_rows import NewSubjectRow, PhotoRow
from vigil_vision.faces.models import TritonFaceModels
from vigil_vision.triton import InferenceError

log = structlog.get_logger(__name__)

PARALLEL_PHOTOS: Final = 2
"""Photos assessed at once, over all requests: each may take 150 MB while it is decoded."""


class EnrolmentUnavailableError(Exception):
    """A server that enrolment needs is away; another attempt later may succeed."""


@dataclasses.dataclass(frozen=True, slots=True)
class _SentPhotos:
    """The photos of a request by name: their bytes, or the sha256 of those that were sent before."""

    uploads: Mapping[str, bytes]
    kept: Mapping[str, str]


class Enroller:
    """Enrols Subjects."""

    def __init__(
        self,
        database: Database,
        models: Models,
        gallery: GallerySync,
        eraser: Eraser,
        inference: TritonFaceModels,
        metrics: ServiceMetrics,
        *,
        deadline_s: float = 20.0,
    ) -> None:
        self._database = database
        self._models = models
        self._gallery = gallery
        self._eraser = eraser
        self._inference = inference
        self._metrics = metrics
        self._lookalikes = Lookalikes(database, gallery)
        self._deadline_s = deadline_s
        self._slots = asyncio.Semaphore(PARALLEL_PHOTOS)

    async def put(
        self,
        principal: Principal,
        subject: Subject,
        uploads: Mapping[str, bytes],
        kept: Mapping[str, str] = MappingProxyType({}),
        registrar: uuid.UUID | None = None,
    ) -> EnrolmentReport:
        """Register a Subject with these photos and return the report.

        Parameters
        ----------
        uploads
            Bytes by the name of the photo; the Subject's photos that are not among them are reported as missing.
        kept
            sha256 by the name of photos that cannot be sent again. The assessment of such a photo stays if the Subject
            declares this sha256, or still takes the photo from the same source.
        registrar
            The installation that registers it; None: not known.

        Raises
        ------
        EnrolmentUnavailableError
            No model is known, or no Triton answers.
        DatabaseError, GalleryError
            Nothing was changed.
        """
        principal.require(Permission.ENROLL_SUBJECTS)
        subject_id, last_erasure = await self._subject_id(principal, subject)
        barred = _barred(subject, dt.datetime.now(dt.UTC))
        model = self._models.current if barred else self._served_model()
        sent = _SentPhotos(uploads, kept)
        rows = [] if barred or model is None else await self._assess_all(subject, subject_id, sent, model)
        row = _row(subject, subject_id, rows, registrar)
        await self._store(principal, row, rows, model.model_id if model and not barred else None, last_erasure)
        report = _report(subject, subject_id, rows, barred, model.model_id if model else None)
        lookalikes = [] if barred else await self._lookalikes.find(principal, subject_id, model)
        _log_registered(principal, subject, report, rows, lookalikes)
        return report.model_copy(update={"registrar": registrar, "lookalikes": lookalikes})

    def _served_model(self) -> Model:
        if (model := self._models.current) is None:
            msg = f"no recognition model is known yet ({self._models.reason}); try again when Triton serves one"
            raise EnrolmentUnavailableError(msg)
        return model

    async def _store(
        self,
        principal: Principal,
        row: NewSubjectRow,
        rows: Sequence[PhotoRow],
        model_id: str | None,
        last_erasure: dt.datetime | None,
    ) -> None:
        """Store a Subject and bring the gallery to it, unless another request changed the Subject meanwhile.

        Parameters
        ----------
        last_erasure
            When a Subject of this name was erased last, before the photos were assessed.
        """
        key = row.key
        async with self._gallery.changing(row.id), self._database.transaction() as connection:
            await subjects.lock_subject(connection, key)
            if await subjects.find_subject(connection, key) not in {None, row.id}:
                msg = f"Subject {key} was registered by another request at the same time; try again"
                raise EnrolmentUnavailableError(msg)
            if await erasures.last_begun(connection, key) != last_erasure:
                msg = (
                    f"Subject {key} was erased while its photos were assessed; register it again if it is still wanted"
                )
                raise EnrolmentUnavailableError(msg)
            await subjects.put_subject(connection, row, rows, model_id)
            await self._gallery.follow(principal, connection, row.id)

    async def stored(self, principal: Principal, key: ResourceKey) -> EnrolmentReport | None:
        """Return the report of the Subject as it is registered, without assessing a photo; None when it is not.

        Raises
        ------
        DatabaseError
            Postgres is away.
        """
        principal.require(Permission.READ_SUBJECTS)
        async with self._database.connection() as connection:
            found = await subjects.stored_subject(connection, key)
        if found is None:
            return None
        row, photos = found
        subject = check(row.resource)
        if not isinstance(subject, Subject):  # registered by an earlier version, under other rules
            log.warning("stored Subject is not valid", subject=str(key), problems=[str(one) for one in subject])
            return None
        order = {photo.name: place for place, photo in enumerate(subject.spec.photos)}
        rows = sorted(photos, key=lambda photo: order.get(photo.name, len(order)))
        served = next((photo.model_id for photo in rows if photo.accepted), None) or next(
            (photo.model_id for photo in rows if photo.model_id), None
        )
        report = _report(subject, row.id, rows, _barred(subject, dt.datetime.now(dt.UTC)), served)
        lookalikes = await self._lookalikes.find(principal, row.id, self._models.current) if report.enrolled else []
        return report.model_copy(update={"registrar": row.registrar, "lookalikes": lookalikes})

    async def claim(self, principal: Principal, key: ResourceKey, subject_id: uuid.UUID, registrar: uuid.UUID) -> bool:
        """Transfer a Subject to another installation and return whether the Subject with this id is registered.

        Raises
        ------
        DatabaseError
            Postgres is away.
        """
        principal.require(Permission.ENROLL_SUBJECTS)
        async with self._database.transaction() as connection:
            return await subjects.claim_subject(connection, key, subject_id, registrar)

    async def _subject_id(self, principal: Principal, subject: Subject) -> tuple[uuid.UUID, dt.datetime | None]:
        """Return the Subject's id, and when a Subject of its name was erased last.

        A Subject that was deleted and created again under the same name is another one; the earlier one is erased.
        """
        key, uid = subject.metadata.key, subject.metadata.uid
        async with self._database.connection() as connection:
            last_erasure = await erasures.last_begun(connection, key)
            registered = await subjects.find_subject(connection, key)
        if registered is None:
            return uid or uuid.uuid4(), last_erasure
        if uid is not None and registered != uid:
            await self._eraser.erase_subject(principal, key)
            return await self._subject_id(principal, subject)
        return registered, last_erasure

    async def _assess_all(
        self, subject: Subject, subject_id: uuid.UUID, sent: _SentPhotos, model: Model
    ) -> list[PhotoRow]:
        async with self._database.connection() as connection:
            known = await subjects.known_photos(connection, subject_id, model.model_id)
            stored = await subjects.stored_subject(connection, subject.metadata.key) if sent.kept else None
        is_stored = stored is not None and stored[0].id == subject_id
        kept = _unchanged(subject, stored[0].resource, sent.kept) if stored and is_stored else {}
        sent = _SentPhotos(sent.uploads, kept)
        rows = await asyncio.gather(*(self._assess(photo, sent, known, model) for photo in subject.spec.photos))
        if {row.model_id for row in rows if row.accepted} - {model.model_id}:
            self._models.refresh_soon()
            msg = "Triton changed its recognition model during the enrolment; try again"
            raise EnrolmentUnavailableError(msg)
        assessed = photo_rules.same_person(rows, model.one_person)
        for row in assessed:
            self._metrics.photos.labels(row.reason).inc()
        return assessed

    async def _assess(self, photo: Photo, sent: _SentPhotos, known: Mapping[str, PhotoRow], model: Model) -> PhotoRow:
        data = sent.uploads.get(photo.name)
        if data is None:
            return _not_sent(photo, sent.kept.get(photo.name), known)
        digest = hashlib.sha256(data).hexdigest()
        if photo.sha256 is not None and photo.sha256 != digest:
            message = f"the photo has sha256 {digest}; the Subject declares {photo.sha256}"
            return photo_rules.refused(photo.name, PhotoReason.CHECKSUM_MISMATCH, message, digest)
        before = known.get(digest)
        if before is not None and PhotoReason(before.reason) not in photo_rules.RELATIVE:
            return dataclasses.replace(before, name=photo.name)
        async with self._slots:
            try:
                return await asyncio.to_thread(
                    photo_rules.assess, self._inference, photo.name, data, model.model_id, self._deadline_s
                )
            except InferenceError as error:
                msg = f"photo {photo.name} cannot be assessed now: {error}"
                raise EnrolmentUnavailableError(msg) from error


def _not_sent(photo: Photo, sha256: str | None, known: Mapping[str, PhotoRow]) -> PhotoRow:
    """Return the earlier assessment of a photo that cannot be sent again, or that it is missing."""
    before = known.get(sha256) if sha256 is not None else None
    if before is None:
        return photo_rules.refused(photo.name, PhotoReason.MISSING, "the photo was not sent with the Subject")
    return dataclasses.replace(before, name=photo.name)


def _unchanged(subject: Subject, resource: dict[str, Any], kept: Mapping[str, str]) -> dict[str, str]:
    """Return those of the photos that cannot be sent again whose source, or declared sha256, is that of `resource`."""
    before = check(resource)
    sources = {photo.name: _source(photo) for photo in before.spec.photos} if isinstance(before, Subject) else {}
    unchanged = dict[str, str]()
    for photo in subject.spec.photos:
        sha256 = kept.get(photo.name)
        same = sources.get(photo.name) == _source(photo) if photo.sha256 is None else photo.sha256 == sha256
        if sha256 is not None and same:
            unchanged[photo.name] = sha256
    return unchanged


def _source(photo: Photo) -> tuple[object, ...]:
    return photo.secret_key_ref, photo.config_map_key_ref, photo.url


def _barred(subject: Subject, now: dt.datetime) -> str:
    """Return why the Subject must not be in the gallery; empty when it may."""
    if subject.spec.consent.status is not ConsentStatus.GRANTED:
        return "ConsentNotGranted"
    if subject.active_until is not None and subject.active_until <= now:
        return "Expired"
    return ""


def _row(
    subject: Subject, subject_id: uuid.UUID, rows: Sequence[PhotoRow], registrar: uuid.UUID | None
) -> NewSubjectRow:
    spec = subject.spec
    content = hashlib.sha256(spec.model_dump_json(by_alias=True).encode())
    for row in rows:
        content.update(f"{row.name}/{row.sha256}/{row.model_id}".encode())
    return NewSubjectRow(
        id=subject_id,
        namespace=subject.metadata.key.namespace,
        name=subject.metadata.key.name,
        display_name=spec.display_name,
        external_id=spec.external_id,
        category=str(spec.category),
        resource=hide_in(subject.model_dump(mode="json", by_alias=True, exclude_none=True)),
        content_hash=content.hexdigest(),
        consent=str(spec.consent.status),
        active_from=subject.active_from,
        active_until=subject.active_until,
        registrar=registrar,
    )


def _report(
    subject: Subject, subject_id: uuid.UUID, rows: Sequence[PhotoRow], barred: str, model_id: str | None
) -> EnrolmentReport:
    accepted = sum(row.accepted for row in rows)
    messages = {
        "ConsentNotGranted": "consent is not granted; no photo was assessed or kept",
        "Expired": "validity or consent has ended; no photo was assessed or kept",
        "NoUsablePhoto": "no photo could be used; see the reason of each",
        "Enrolled": f"{accepted} of {len(rows)} photos are in the gallery",
    }
    reason = barred or ("Enrolled" if accepted else "NoUsablePhoto")
    return EnrolmentReport(
        subject_id=subject_id,
        enrolled=reason == "Enrolled",
        reason=reason,
        message=messages[reason],
        photos=[_result(row) for row in rows],
        model_id=None if barred else model_id,
        digest=enrolment_digest(subject.spec.model_dump_json(by_alias=True), {row.name: row.sha256 for row in rows}),
    )


def _result(row: PhotoRow) -> PhotoResult:
    return PhotoResult(
        name=row.name,
        accepted=row.accepted,
        reason=PhotoReason(row.reason),
        message=row.message,
        quality=row.score,
        sha256=row.sha256,
    )


def _log_registered(
    principal: Principal,
    subject: Subject,
    report: EnrolmentReport,
    rows: Sequence[PhotoRow],
    lookalikes: Sequence[Lookalike],
) -> None:
    log.info(
        "subject registered",
        subject=str(subject.metadata.key),
        enrolled=report.enrolled,
        reason=report.reason,
        photos=len(rows),
        lookalikes=len(lookalikes),
        principal=principal.id,
    )
