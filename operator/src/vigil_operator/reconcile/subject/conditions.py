"""What is to be said of a Subject, from its spec, the clock and what became of its photos; pure."""

import datetime as dt
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from vigil_contracts.conditions import SubjectCondition, SubjectReason
from vigil_contracts.registry import EnrolmentReport, PhotoReason, PhotoResult
from vigil_contracts.resources import ConsentStatus, Problem, Subject
from vigil_operator.kube.kinds import Object
from vigil_operator.reconcile.conditions import Verdict

SOURCE_REASONS = frozenset({PhotoReason.NOT_FOUND, PhotoReason.CHECKSUM_MISMATCH, PhotoReason.MISSING})
"""Of photos that were not even looked at."""

CALM = frozenset({SubjectReason.ERASING, SubjectReason.NOT_YET_VALID, SubjectReason.CONSENT_NOT_GRANTED})
"""Reasons for which a Subject is not ready although nothing is wrong."""


@dataclass(frozen=True, slots=True)
class Enrolment:
    """How far the enrolment of a Subject is.

    Attributes
    ----------
    report
        What identity said last of what it has; None: it has nothing, or never answered.
    absent
        Photos that cannot be had now, with the reason: a Secret that is missing, an address that does not answer.
    trouble
        Why identity could not be asked, or refused; empty when all went well.
    refused
        Identity refused the Subject itself: trying again does not help.
    """

    report: EnrolmentReport | None = None
    absent: Mapping[str, PhotoResult] | None = None
    trouble: str = ""
    refused: bool = False


def moments(subject: Subject) -> list[dt.datetime]:
    """Give the moments at which what is to be said of a Subject changes by itself."""
    spec = subject.spec
    found = (spec.validity.not_before, spec.validity.not_after, spec.consent.expires_at)
    return sorted(moment for moment in found if moment is not None)


def barred(subject: Subject, now: dt.datetime) -> bool:
    """Whether nothing of the Subject may be in the gallery now."""
    return _bar(subject, now) is not None


def _bar(subject: Subject, now: dt.datetime) -> tuple[SubjectReason, str] | None:
    consent, validity = subject.spec.consent, subject.spec.validity
    if consent.status is not ConsentStatus.GRANTED:
        told = f"consent is {consent.status}; set spec.consent.status to Granted when the person has agreed"
        return SubjectReason.CONSENT_NOT_GRANTED, told
    if consent.expires_at is not None and consent.expires_at <= now:
        return SubjectReason.CONSENT_EXPIRED, f"consent expired at {consent.expires_at.isoformat()}; ask again"
    if validity.not_after is not None and validity.not_after <= now:
        return SubjectReason.EXPIRED, f"the validity ended at {validity.not_after.isoformat()}"
    return None


def verdicts(subject: Subject, enrolment: Enrolment, now: dt.datetime) -> list[Verdict]:
    """Judge a Subject whose spec is sound."""
    consent = _consent(subject, now)
    enrolled = _enrolled(subject, enrolment, now)
    ready = Verdict(SubjectCondition.READY, enrolled.true, enrolled.reason, enrolled.message)
    begins = subject.spec.validity.not_before
    if enrolled.true and begins is not None and begins > now:
        told = f"the validity begins at {begins.isoformat()}"
        ready = Verdict(SubjectCondition.READY, False, SubjectReason.NOT_YET_VALID, told)
    elif enrolled.true and enrolment.trouble:
        reason = SubjectReason.ENROLMENT_REFUSED if enrolment.refused else SubjectReason.GALLERY_UNREACHABLE
        told = f"what was enrolled before is still recognised, but a change is not: {enrolment.trouble}"
        ready = Verdict(SubjectCondition.READY, False, reason, told)
    return [ready, enrolled, consent, _replicated(enrolled)]


def _consent(subject: Subject, now: dt.datetime) -> Verdict:
    bar = _bar(subject, now)
    if bar is None or bar[0] is SubjectReason.EXPIRED:
        version = subject.spec.consent.document_version
        told = f"to version {version}" if version else ""
        return Verdict(SubjectCondition.CONSENT_VALID, True, SubjectReason.CONSENT_GRANTED, told)
    return Verdict(SubjectCondition.CONSENT_VALID, False, *bar)


def _enrolled(subject: Subject, enrolment: Enrolment, now: dt.datetime) -> Verdict:
    kind, report = SubjectCondition.ENROLLED, enrolment.report
    bar = _bar(subject, now)
    if bar is not None and not (report and any(photo.accepted for photo in report.photos)):
        # Said once identity has confirmed that nothing is left; until then the trouble is the news.
        return Verdict(kind, False, *bar) if not enrolment.trouble else _troubled(enrolment)
    if bar is not None:
        told = f"{bar[1]}, but the photos are still in the gallery: {enrolment.trouble}"
        return Verdict(kind, True, SubjectReason.GALLERY_UNREACHABLE, told)
    if report is None or not any(photo.accepted for photo in report.photos):
        return _troubled(enrolment) if enrolment.trouble else _none_usable(subject, enrolment)
    good = sum(photo.accepted for photo in report.photos)
    wanted = len(subject.spec.photos)
    if good < wanted:
        told = f"{good} of {wanted} photos are in the gallery; {_first_bad(subject, enrolment)}"
        return Verdict(kind, True, SubjectReason.SOME_PHOTOS_REFUSED, told)
    return Verdict(kind, True, SubjectReason.ENROLLED, f"{good} of {wanted} photos are in the gallery")


def _troubled(enrolment: Enrolment) -> Verdict:
    if enrolment.refused:
        return Verdict(SubjectCondition.ENROLLED, False, SubjectReason.ENROLMENT_REFUSED, enrolment.trouble)
    return Verdict(SubjectCondition.ENROLLED, None, SubjectReason.GALLERY_UNREACHABLE, enrolment.trouble)


def _none_usable(subject: Subject, enrolment: Enrolment) -> Verdict:
    results = photo_results(subject, enrolment)
    only_sources = all(result.reason in SOURCE_REASONS for result in results)
    reason = SubjectReason.PHOTO_SOURCE_MISSING if only_sources else SubjectReason.NO_USABLE_PHOTO
    told = f"no photo could be used; {_first_bad(subject, enrolment)}"
    return Verdict(SubjectCondition.ENROLLED, False, reason, told)


def _first_bad(subject: Subject, enrolment: Enrolment) -> str:
    bad = [result for result in photo_results(subject, enrolment) if not result.accepted]
    if not bad:
        return ""
    more = f" ({len(bad) - 1} more in status.photos)" if len(bad) > 1 else ""
    return f"{bad[0].name}: {bad[0].message or bad[0].reason}{more}"


def _replicated(enrolled: Verdict) -> Verdict:
    if enrolled.true:
        told = "the only Site has it"
        return Verdict(SubjectCondition.REPLICATED, True, SubjectReason.ONE_SITE, told)
    return Verdict(SubjectCondition.REPLICATED, enrolled.true, enrolled.reason, enrolled.message)


def photo_results(subject: Subject, enrolment: Enrolment) -> Iterator[PhotoResult]:
    """Give what became of each photo, in the order of the spec: what the operator could not get, else identity's word.

    A photo that is in the gallery stays so when its Secret is deleted afterwards.
    """
    told = {photo.name: photo for photo in (enrolment.report.photos if enrolment.report else [])}
    absent = enrolment.absent or {}
    for photo in subject.spec.photos:
        result = told.get(photo.name)
        if photo.name in absent and not (result and result.accepted):
            yield absent[photo.name]
        elif photo.name in absent and result:
            gone = f"enrolled; its source is no longer there: {absent[photo.name].message}"
            yield result.model_copy(update={"message": gone})
        elif result:
            yield result


def photo_status(results: Sequence[PhotoResult]) -> list[Object]:
    """Write what became of the photos as `status.photos`."""
    return [
        {
            "name": result.name,
            "accepted": result.accepted,
            "reason": str(result.reason),
            "message": result.message,
            **({} if result.quality is None else {"qualityPermille": round(1000 * result.quality)}),
        }
        for result in results
    ]


def invalid(problems: Sequence[Problem]) -> list[Verdict]:
    """Judge a Subject whose stored spec breaks a rule."""
    told = "; ".join(f"{problem.where}: {problem.message}" for problem in problems)
    reason = SubjectReason.INVALID_SPEC
    return [
        Verdict(SubjectCondition.READY, False, reason, told),
        *(
            Verdict(kind, None, reason, "the spec cannot be read")
            for kind in (SubjectCondition.ENROLLED, SubjectCondition.CONSENT_VALID, SubjectCondition.REPLICATED)
        ),
    ]


def erasing(waiting_for: str) -> list[Verdict]:
    """Judge a Subject that was deleted.

    Parameters
    ----------
    waiting_for
        Why the erasure cannot be completed yet; empty: it is under way.
    """
    reason = SubjectReason.ERASURE_WAITING if waiting_for else SubjectReason.ERASING
    told = waiting_for or "everything known of the person is being erased"
    return [Verdict(kind, False if kind is SubjectCondition.READY else None, reason, told) for kind in SubjectCondition]
