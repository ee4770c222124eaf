"""Put Subjects into the gallery: photos in, embeddings and reasons kept, photos forgotten.

Doing it again changes nothing, and costs nothing either: a photo that was assessed under the served model is known by
its sha256. Postgres is written first and the gallery inside the same transaction, so that neither is ever ahead of what
was committed for longer than a crash takes; after one, the gallery is brought to Postgres at the next start.
"""

import asyncio
import dataclasses
import datetime as dt
import hashlib
import json
import uuid
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Final

import structlog

from vigil_contracts.ids import ResourceKey
from vigil_contracts.registry import EnrolmentReport, PhotoReason, PhotoResult, enrolment_digest
from vigil_contracts.resources import ConsentStatus, Subject, check
from vigil_contracts.resources.subject import Photo
from vigil_gateway.services import photos as photo_rules
from vigil_gateway.services.erasure import Eraser
from vigil_gateway.services.gallery_keeper import GalleryKeeper
from vigil_gateway.services.metrics import ServiceMetrics
from vigil_gateway.services.model import Model
from vigil_gateway.services.models import Models
from vigil_gateway.storage.postgres import register
from vigil_gateway.storage.postgres.erasures import Erasures
from vigil_gateway.storage.postgres.pool import Database
from vigil_gateway.storage.postgres.register import PhotoRow, SubjectRow
from vigil_vision.faces.models import TritonFaceModels
from vigil_vision.triton import InferenceError

log = structlog.get_logger(__name__)

PARALLEL_PHOTOS: Final = 2
"""Photos in work at once, over all requests: each may take 150 MB while it is decoded."""


class EnrolmentUnavailableError(Exception):
    """What enrolment needs is away; trying again later may work."""


@dataclasses.dataclass(frozen=True, slots=True)
class _Given:
    """What came of a Subject's photos: bytes, or the sha256 of what was sent before, by name."""

    uploads: Mapping[str, bytes]
    kept: Mapping[str, str]


class Enrolment:
    """Enrols Subjects."""

    def __init__(
        self,
        database: Database,
        models: Models,
        keeper: GalleryKeeper,
        eraser: Eraser,
        inference: TritonFaceModels,
        metrics: ServiceMetrics,
        *,
        deadline_s: float = 20.0,
    ) -> None:
        self._database = database
        self._models = models
        self._keeper = keeper
        self._eraser = eraser
        self._inference = inference
        self._metrics = metrics
        self._deadline_s = deadline_s
        self._places = asyncio.Semaphore(PARALLEL_PHOTOS)

    async def put(
        self,
        subject: Subject,
        uploads: Mapping[str, bytes],
        kept: Mapping[str, str] = MappingProxyType({}),
        registrar: uuid.UUID | None = None,
    ) -> EnrolmentReport:
        """Bring the gallery to what this Subject and these photos say.

        Parameters
        ----------
        uploads
            Bytes by the photo's name; photos of the Subject that are not among them are reported as missing.
        kept
            sha256 by the name of photos that cannot be sent again. What is known of such a photo stays, if the Subject
            says this sha256, or takes the photo from the same place as when it was put last.
        registrar
            Which installation puts it; None: it does not tell.

        Raises
        ------
        EnrolmentUnavailableError
            No model is known, or no Triton answers.
        DatabaseError, GalleryError
            Nothing was changed.
        """
        key = subject.metadata.key
        subject_id, last_erasure = await self._subject_id(subject)
        barred = _barred(subject, dt.datetime.now(dt.UTC))
        rows: list[PhotoRow] = []
        model = self._models.current
        if not barred:
            if model is None:
                msg = f"no recognition model is known yet ({self._models.reason}); try again when Triton serves one"
                raise EnrolmentUnavailableError(msg)
            rows = await self._assess_all(subject, subject_id, _Given(uploads, kept), model)
        row = _row(subject, subject_id, rows, registrar)
        async with self._keeper.changing(subject_id), self._database.transaction() as connection:
            await register.lock_subject(connection, key)
            there = await register.find_subject(connection, key)
            if there is not None and there["id"] != subject_id:
                msg = f"Subject {key} was put by somebody else at the same time; try again"
                raise EnrolmentUnavailableError(msg)
            if await Erasures.last_begun(connection, register.key_digest(key)) != last_erasure:
                msg = f"Subject {key} was erased while its photos were assessed; put it again if it is still wanted"
                raise EnrolmentUnavailableError(msg)
            await register.put_subject(connection, row, rows, model.model_id if model and not barred else None)
            await self._keeper.follow(connection, subject_id)
        report = _report(subject, subject_id, rows, barred, model.model_id if model else None)
        report = report.model_copy(update={"registrar": registrar})
        log.info("subject put", subject=str(key), enrolled=report.enrolled, reason=report.reason, photos=len(rows))
        return report

    async def stored(self, key: ResourceKey) -> EnrolmentReport | None:
        """Give the report of what was put last, without looking at any photo; None without such a Subject.

        Raises
        ------
        DatabaseError
            It is away.
        """
        async with self._database.connection() as connection:
            found = await register.stored_subject(connection, key)
        if found is None:
            return None
        row, photos = found
        subject = check(json.loads(row["resource"]))
        if not isinstance(subject, Subject):  # put by an earlier version, under other rules
            log.warning("stored Subject breaks today's rules", subject=str(key), problems=[str(one) for one in subject])
            return None
        order = {photo.name: place for place, photo in enumerate(subject.spec.photos)}
        rows = sorted(photos, key=lambda photo: order.get(photo.name, len(order)))
        served = next((photo.model_id for photo in rows if photo.accepted), None) or next(
            (photo.model_id for photo in rows if photo.model_id), None
        )
        report = _report(subject, row["id"], rows, _barred(subject, dt.datetime.now(dt.UTC)), served)
        return report.model_copy(update={"registrar": row["registrar"]})

    async def claim(self, key: ResourceKey, subject_id: uuid.UUID, registrar: uuid.UUID) -> bool:
        """Write down that a Subject is another installation's from now on; gives whether that very one is there.

        Raises
        ------
        DatabaseError
            It is away.
        """
        async with self._database.transaction() as connection:
            return await register.claim_subject(connection, key, subject_id, registrar)

    async def _subject_id(self, subject: Subject) -> tuple[uuid.UUID, dt.datetime | None]:
        """Find the Subject's id, and when one of its name was erased last.

        One that was deleted and made anew under the same name is another Subject.
        """
        key, uid = subject.metadata.key, subject.metadata.uid
        async with self._database.connection() as connection:
            last_erasure = await Erasures.last_begun(connection, register.key_digest(key))
            there = await register.find_subject(connection, key)
        if there is None:
            return uid or uuid.uuid4(), last_erasure
        if uid is not None and there["id"] != uid:
            await self._eraser.erase_subject(key)
            return await self._subject_id(subject)
        return there["id"], last_erasure

    async def _assess_all(self, subject: Subject, subject_id: uuid.UUID, given: _Given, model: Model) -> list[PhotoRow]:
        async with self._database.connection() as connection:
            known = await register.known_photos(connection, subject_id, model.model_id)
            stored = await register.stored_subject(connection, subject.metadata.key) if given.kept else None
        is_stored = stored is not None and stored[0]["id"] == subject_id
        kept = _still_meant(subject, stored[0]["resource"], given.kept) if stored and is_stored else {}
        given = _Given(given.uploads, kept)
        rows = await asyncio.gather(*(self._assess(photo, given, known, model) for photo in subject.spec.photos))
        if {row.model_id for row in rows if row.accepted} - {model.model_id}:
            self._models.ask()
            msg = "Triton changed its recognition model during the enrolment; try again"
            raise EnrolmentUnavailableError(msg)
        judged = photo_rules.same_person(rows, model.threshold - model.margin)
        for row in judged:
            self._metrics.photos.labels(row.reason).inc()
        return judged

    async def _assess(self, photo: Photo, given: _Given, known: Mapping[str, PhotoRow], model: Model) -> PhotoRow:
        data = given.uploads.get(photo.name)
        if data is None:
            return _unsent(photo, given.kept.get(photo.name), known)
        digest = hashlib.sha256(data).hexdigest()
        if photo.sha256 is not None and photo.sha256 != digest:
            told = f"the photo has sha256 {digest}; the Subject says {photo.sha256}"
            return photo_rules.refused(photo.name, PhotoReason.CHECKSUM_MISMATCH, told, digest)
        before = known.get(digest)
        if before is not None and PhotoReason(before.reason) not in photo_rules.RELATIVE:
            return dataclasses.replace(before, name=photo.name)
        async with self._places:
            try:
                return await asyncio.to_thread(
                    photo_rules.assess, self._inference, photo.name, data, model.model_id, self._deadline_s
                )
            except InferenceError as error:
                msg = f"photo {photo.name} cannot be assessed now: {error}"
                raise EnrolmentUnavailableError(msg) from error


def _unsent(photo: Photo, sha256: str | None, known: Mapping[str, PhotoRow]) -> PhotoRow:
    """Give what is known of a photo that cannot be sent again, or say that it is missing."""
    before = known.get(sha256) if sha256 is not None else None
    if before is None:
        return photo_rules.refused(photo.name, PhotoReason.MISSING, "the photo was not sent with the Subject")
    return dataclasses.replace(before, name=photo.name)


def _still_meant(subject: Subject, resource: str, kept: Mapping[str, str]) -> dict[str, str]:
    """Leave of photos that cannot be sent again those that the Subject means as it did when it was put last.

    By the place that it takes them from, or by the sha256 that it says.
    """
    before = check(json.loads(resource))
    places = {photo.name: _place(photo) for photo in before.spec.photos} if isinstance(before, Subject) else {}
    meant = dict[str, str]()
    for photo in subject.spec.photos:
        sha256 = kept.get(photo.name)
        same = places.get(photo.name) == _place(photo) if photo.sha256 is None else photo.sha256 == sha256
        if sha256 is not None and same:
            meant[photo.name] = sha256
    return meant


def _place(photo: Photo) -> tuple[object, ...]:
    return photo.secret_key_ref, photo.config_map_key_ref, photo.url


def _barred(subject: Subject, now: dt.datetime) -> str:
    """Say why the Subject must not be in the gallery at all; empty when it may."""
    if subject.spec.consent.status is not ConsentStatus.GRANTED:
        return "ConsentNotGranted"
    if subject.active_until is not None and subject.active_until <= now:
        return "Expired"
    return ""


def _row(subject: Subject, subject_id: uuid.UUID, rows: Sequence[PhotoRow], registrar: uuid.UUID | None) -> SubjectRow:
    spec = subject.spec
    content = hashlib.sha256(spec.model_dump_json(by_alias=True).encode())
    for row in rows:
        content.update(f"{row.name}/{row.sha256}/{row.model_id}".encode())
    return SubjectRow(
        subject_id=subject_id,
        key=subject.metadata.key,
        display_name=spec.display_name,
        external_id=spec.external_id,
        category=str(spec.category),
        resource=subject.model_dump_json(by_alias=True, exclude_none=True),
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
    told = {
        "ConsentNotGranted": "consent is not granted; nothing of the photos was looked at or kept",
        "Expired": "validity or consent has ended; nothing of the photos was looked at or kept",
        "NoUsablePhoto": "no photo could be used; each says why",
        "Enrolled": f"{accepted} of {len(rows)} photos are in the gallery",
    }
    reason = barred or ("Enrolled" if accepted else "NoUsablePhoto")
    return EnrolmentReport(
        subject_id=subject_id,
        enrolled=reason == "Enrolled",
        reason=reason,
        message=told[reason],
        photos=[_result(row) for row in rows],
        model_id=None if barred else model_id,
        digest=enrolment_digest(subject.spec.model_dump_json(by_alias=True), {row.name: row.sha256 for row in rows}),
    )


def _result(row: PhotoRow) -> PhotoResult:
    quality = json.loads(row.quality)["score"] if row.quality else None
    return PhotoResult(
        name=row.name,
        accepted=row.accepted,
        reason=PhotoReason(row.reason),
        message=row.message,
        quality=quality,
        sha256=row.sha256,
    )
