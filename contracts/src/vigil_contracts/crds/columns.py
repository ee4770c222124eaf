"""The columns that `kubectl get` prints of each kind, and the fields by which it selects."""

from typing import NamedTuple

from vigil_contracts.conditions import CameraCondition, SiteCondition, SubjectCondition

Condition = CameraCondition | SubjectCondition | SiteCondition


class Column(NamedTuple):
    """One column of `kubectl get`; the wide ones are printed with `-o wide` only.

    The path leads to one value: of a list kubectl prints the first entry, as if there were no other.
    """

    name: str
    path: str
    description: str
    type: str = "string"
    wide: bool = False


def _of(condition: Condition, field: str) -> str:
    return f'.status.conditions[?(@.type=="{condition}")].{field}'


AGE = Column("Age", ".metadata.creationTimestamp", "Since when it is there.", "date")


def _ready(condition: Condition) -> tuple[Column, Column]:
    return (
        Column("Ready", _of(condition, "status"), "Whether all is well."),
        Column("Reason", _of(condition, "reason"), "Why it is ready, or not."),
    )


def _message(condition: Condition) -> Column:
    return Column("Message", _of(condition, "message"), "Why, and what to do.", wide=True)


FIT = CameraCondition.FIT_FOR_RECOGNITION
COLUMNS: dict[str, tuple[Column, ...]] = {
    "Camera": (
        *_ready(CameraCondition.READY),
        Column("Site", ".status.site", "The Site that it belongs to."),
        Column("Source", ".spec.source.type", "How it delivers its video."),
        Column("Fit", _of(FIT, "status"), "Whether faces are good enough here to be recognised."),
        AGE,
        Column("Fitness", _of(FIT, "reason"), "Whether faces are fit for recognition.", wide=True),
        Column(
            "Priority",
            ".spec.scheduling.priority",
            "The order of admission when inference is short.",
            "integer",
            wide=True,
        ),
        _message(CameraCondition.READY),
    ),
    "Subject": (
        *_ready(SubjectCondition.READY),
        Column("Enrolled", _of(SubjectCondition.ENROLLED, "status"), "Whether a photo is in the gallery."),
        Column("Consent", ".spec.consent.status", "Whether the person agreed."),
        Column("Category", ".spec.category", "The relation of the person to the site."),
        AGE,
        Column("Name", ".spec.displayName", "The name that viewers read.", wide=True),
        Column("Expires", ".spec.consent.expiresAt", "When the consent ends.", wide=True),
        _message(SubjectCondition.READY),
    ),
    "Site": (
        *_ready(SiteCondition.READY),
        Column("Role", ".spec.role", "Central or Edge."),
        Column("Connected", _of(SiteCondition.CONNECTED, "status"), "Whether its bus answers."),
        Column("Cameras", ".status.cameras", "How many belong to it.", "integer"),
        AGE,
        Column("Backlog", ".status.backlog", "Events not yet consumed.", "integer", wide=True),
        Column("Gallery", ".status.galleryVersion", "What it compares with.", wide=True),
        Column("Bus", ".spec.bus.url", "Its NATS.", wide=True),
        Column("Timezone", ".spec.timezone", "Where its days begin and end.", wide=True),
        _message(SiteCondition.READY),
    ),
}

SELECTABLE: dict[str, tuple[str, ...]] = {
    "Camera": (
        ".spec.siteRef.name",
        ".spec.source.type",
        ".spec.recognition.mode",
        ".spec.suspend",
        ".status.site",
    ),
    "Subject": (".spec.category", ".spec.consent.status", ".spec.externalId"),
    "Site": (".spec.role",),
}
"""For `kubectl get --field-selector`."""
