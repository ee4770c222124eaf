"""Derive the conditions of a Subject from its spec, the time and the results of its photos; pure."""

import datetime as dt
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from vigil_contracts.conditions import SubjectCondition, SubjectReason
from vigil_contracts.registry import EnrolmentReport, Lookalike, PhotoReason, PhotoResult
from vigil_contracts.resources import ConsentStatus, Problem, Subject
from vigil_operator.kube.kinds import Object
from vigil_operator.reconcile.conditions import ConditionUpdate

SOURCE_REASONS = frozenset(
    {PhotoReason.NOT_FOUND, PhotoReason.NOT_READABLE, PhotoReason.CHECKSUM_MISMATCH, PhotoReason.MISSING}
)
"""Reasons of photos that were not assessed."""

CALM = frozenset({SubjectReason.ERASING, SubjectReason.NOT_YET_VALID, SubjectReason.CONSENT_NOT_GRANTED})
"""Reasons for which a Subject is not ready although nothing is wrong."""


@dataclass(frozen=True, slots=True)
class Enrolment:
    """The state of the enrolment of a Subject.

    Attributes
    ----------
    report
        The last report of identity; None: it has nothing, or never responded.
    absent
        Photos that cannot be read now, with the reason, such as a missing Secret or an address that does not answer.
    error
        Why identity did not respond, or refused; empty when it accepted.
    refused
        Identity refused the Subject itself: another attempt does not help.
    lookalikes
        Subjects that look like the same person, most similar first.
    """

    report: EnrolmentReport | None = None
    absent: Mapping[str, PhotoResult] | None = None
    error: str = ""
    refused: bool = False
    lookalikes: Sequence[Lookalike] = ()


def moments(subject: Subject) -> list[dt.datetime]:
    """Return the times at which the conditions of a Subject change by themselves, in order."""
    spec = subject.spec
    found = (spec.validity.not_before, spec.validity.not_after, spec.consent.expires_at)
    return sorted(moment for moment in found if moment is not None)


def barred(subject: Subject, now: dt.datetime) -> bool:
    """Return whether the Subject must not be in the gallery now."""
    return _bar(subject, now) is not None


def _bar(subject: Subject, now: dt.datetime) -> tuple[SubjectReason, str] | None:
    consent, validity = subject.spec.consent, subject.spec.validity
    if consent.status is not ConsentStatus.GRANTED:
        message = f"consent is {consent.status}; set spec.consent.status to Granted when the person has agreed"
        return SubjectReason.CONSENT_NOT_GRANTED, message
    if consent.expires_at is not None and consent.expires_at <= now:
        return (
            SubjectReason.CONSENT_EXPIRED,
            f"consent expired at {consent.expires_at.isoformat()}; ask the person again",
        )
    if validity.not_after is not None and validity.not_after <= now:
        return (
            SubjectReason.EXPIRED,
            f"the validity ended at {validity.not_after.isoformat()}; set spec.validity.notAfter to extend it",
        )
    return None


def condition_updates(subject: Subject, enrolment: Enrolment, now: dt.datetime) -> list[ConditionUpdate]:
    """Return the conditions of a Subject with a valid spec."""
    consent = _consent(subject, now)
    enrolled = _enrolled(subject, enrolment, now)
    ready = ConditionUpdate(SubjectCondition.READY, enrolled.true, enrolled.reason, enrolled.message)
    begins = subject.spec.validity.not_before
    if enrolled.true and begins is not None and begins > now:
        message = f"the validity begins at {begins.isoformat()}; nothing has to be done until then"
        ready = ConditionUpdate(SubjectCondition.READY, False, SubjectReason.NOT_YET_VALID, message)
    elif enrolled.true and enrolment.error:
        reason = SubjectReason.ENROLMENT_REFUSED if enrolment.refused else SubjectReason.GALLERY_UNREACHABLE
        message = f"earlier photos are still recognised, but a change is not enrolled: {enrolment.error}"
        ready = ConditionUpdate(SubjectCondition.READY, False, reason, message)
    elif enrolled.true and enrolment.lookalikes:
        message = _same_person(subject, enrolment.lookalikes)
        ready = ConditionUpdate(SubjectCondition.READY, False, SubjectReason.LOOKS_LIKE_ANOTHER, message)
    return [ready, enrolled, consent, _replicated(enrolled)]


def _same_person(subject: Subject, lookalikes: Sequence[Lookalike]) -> str:
    """Return the message about Subjects that look like the same person.

    Subjects of other namespaces are counted and not named: their names are for those who may read that namespace.
    """
    namespace = subject.metadata.namespace
    named = [f"{one.name} ({one.similarity:.2f})" for one in lookalikes if one.namespace == namespace]
    hidden = len(lookalikes) - len(named)
    if hidden:
        named.append(f"{hidden} {'Subject' if hidden == 1 else 'Subjects'} of another namespace")
    return (
        f"looks like the same person as {', '.join(named)}; neither can be recognised until one of the Subjects, or "
        "the photo of somebody else in it, is removed"
    )


def _consent(subject: Subject, now: dt.datetime) -> ConditionUpdate:
    bar = _bar(subject, now)
    if bar is None or bar[0] is SubjectReason.EXPIRED:
        version = subject.spec.consent.document_version
        message = f"to version {version}" if version else ""
        return ConditionUpdate(SubjectCondition.CONSENT_VALID, True, SubjectReason.CONSENT_GRANTED, message)
    return ConditionUpdate(SubjectCondition.CONSENT_VALID, False, *bar)


def _enrolled(subject: Subject, enrolment: Enrolment, now: dt.datetime) -> ConditionUpdate:
    kind, report = SubjectCondition.ENROLLED, enrolment.report
    bar = _bar(subject, now)
    if bar is not None and not (report and any(photo.accepted for photo in report.photos)):
        # Reported once identity has confirmed that nothing is left; until then its error is reported.
        return ConditionUpdate(kind, False, *bar) if not enrolment.error else _not_enrolled(enrolment)
    if bar is not None:
        message = f"{bar[1]}, but the photos are still in the gallery: {enrolment.error}"
        return ConditionUpdate(kind, True, SubjectReason.GALLERY_UNREACHABLE, message)
    if report is None or not any(photo.accepted for photo in report.photos):
        return _not_enrolled(enrolment) if enrolment.error else _none_usable(subject, enrolment)
    good = sum(photo.accepted for photo in report.photos)
    wanted = len(subject.spec.photos)
    if good < wanted:
        message = f"{good} of {wanted} photos are in the gallery; {_first_bad(subject, enrolment)}"
        return ConditionUpdate(kind, True, SubjectReason.SOME_PHOTOS_REFUSED, message)
    return ConditionUpdate(kind, True, SubjectReason.ENROLLED, f"{good} of {wanted} photos are in the gallery")


def _not_enrolled(enrolment: Enrolment) -> ConditionUpdate:
    if enrolment.refused:
        return ConditionUpdate(SubjectCondition.ENROLLED, False, SubjectReason.ENROLMENT_REFUSED, enrolment.error)
    return ConditionUpdate(SubjectCondition.ENROLLED, None, SubjectReason.GALLERY_UNREACHABLE, enrolment.error)


def _none_usable(subject: Subject, enrolment: Enrolment) -> ConditionUpdate:
    results = list(photo_results(subject, enrolment))
    only_sources = all(result.reason in SOURCE_REASONS for result in results)
    reason = SubjectReason.PHOTO_SOURCE_MISSING if only_sources else SubjectReason.NO_USABLE_PHOTO
    if only_sources and any(result.reason is PhotoReason.NOT_READABLE for result in results):
        reason = SubjectReason.PHOTO_SECRET_NOT_READABLE
    message = f"no photo can be enrolled; {_first_bad(subject, enrolment)}"
    return ConditionUpdate(SubjectCondition.ENROLLED, False, reason, message)


def _first_bad(subject: Subject, enrolment: Enrolment) -> str:
    bad = [result for result in photo_results(subject, enrolment) if not result.accepted]
    if not bad:
        return ""
    more = f" ({len(bad) - 1} more in status.photos)" if len(bad) > 1 else ""
    return f"{bad[0].name}: {bad[0].message or bad[0].reason}{more}"


def _replicated(enrolled: ConditionUpdate) -> ConditionUpdate:
    if enrolled.true:
        message = "the only Site has the templates"
        return ConditionUpdate(SubjectCondition.REPLICATED, True, SubjectReason.ONE_SITE, message)
    return ConditionUpdate(SubjectCondition.REPLICATED, enrolled.true, enrolled.reason, enrolled.message)


def photo_results(subject: Subject, enrolment: Enrolment) -> Iterator[PhotoResult]:
    """Yield the result of each photo in the order of the spec: of those that could not be read, else identity's.

    A photo in the gallery stays there when its Secret is deleted afterwards.
    """
    reported = {photo.name: photo for photo in (enrolment.report.photos if enrolment.report else [])}
    absent = enrolment.absent or {}
    for photo in subject.spec.photos:
        result = reported.get(photo.name)
        if photo.name in absent and not (result and result.accepted):
            yield absent[photo.name]
        elif photo.name in absent and result:
            gone = f"enrolled; its source is no longer there: {absent[photo.name].message}"
            yield result.model_copy(update={"message": gone})
        elif result:
            yield result


def photo_status(results: Sequence[PhotoResult]) -> list[Object]:
    """Return `status.photos`."""
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


def invalid(problems: Sequence[Problem]) -> list[ConditionUpdate]:
    """Return the conditions of a Subject with an invalid spec."""
    message = "; ".join(f"{problem.where}: {problem.message}" for problem in problems)
    reason = SubjectReason.INVALID_SPEC
    return [
        ConditionUpdate(SubjectCondition.READY, False, reason, message),
        *(
            ConditionUpdate(kind, None, reason, "the spec is invalid; the condition Ready says what to correct")
            for kind in (SubjectCondition.ENROLLED, SubjectCondition.CONSENT_VALID, SubjectCondition.REPLICATED)
        ),
    ]


def erasing(waiting_for: str) -> list[ConditionUpdate]:
    """Return the conditions of a deleted Subject.

    Parameters
    ----------
    waiting_for
        Why the erasure cannot be completed yet; empty: it is under way.
    """
    reason = SubjectReason.ERASURE_WAITING if waiting_for else SubjectReason.ERASING
    message = waiting_for or "all data of the person is being erased"
    return [
        ConditionUpdate(kind, False if kind is SubjectCondition.READY else None, reason, message)
        for kind in SubjectCondition
    ]
