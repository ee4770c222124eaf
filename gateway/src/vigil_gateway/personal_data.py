"""The registry of personal data: every store that can hold it, for how long, what erases it, and how absence is proved.

An erasure goes through this registry, a test compares it with the tables, streams, collections and folders that there
are, and `docs/privacy.md` shows it. A new store therefore needs an entry here before it can be used.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from typing import Final


class Kind(StrEnum):
    """What a store is."""

    TABLE = "Postgres table"
    COLLECTION = "Qdrant collection"
    STREAM = "JetStream stream"
    FILE = "file"
    MEMORY = "memory"
    LOG = "log"


class Step(StrEnum):
    """The steps of an erasure; `services.erasure` has one function for each."""

    SUBJECT = "subject"
    """In the transaction that begins the erasure: nobody is attributed to the Subject from then on."""
    GALLERY = "gallery"
    SIGHTINGS = "sightings"
    MATCHES = "matches"
    EVENTS = "events"
    """Events of the log, and their messages on the bus."""


@dataclass(frozen=True, slots=True)
class Store:
    """One store of personal data.

    Attributes
    ----------
    name
        As its server names it; `{site}` and `{model}` stand for names.
    holds
        Which data of whom.
    retention
        When data leaves it without an erasure.
    step
        The step of an erasure that removes a Subject from it; None: see `eraser`.
    eraser
        What removes a Subject where that is not a step, or why nothing has to.
    proof
        How it is shown that a Subject is not in it.
    personal, other
        The columns of a table, those with data about people and all others.
    """

    kind: Kind
    name: str
    holds: str
    retention: str
    proof: str
    step: Step | None = None
    eraser: str = ""
    personal: tuple[str, ...] = ()
    other: tuple[str, ...] = ()


_DECLARED: Final = "as long as the Subject is declared"
_SIGHTINGS: Final = "`spec.retention.sightings` of the Camera or Site; without either 90 days (`sightingRetention`)"
_EVERY_ROW: Final = "no column of any row holds the Subject's id or name"

STORES: Final = (
    Store(
        Kind.TABLE,
        "subject_embeddings",
        "the templates of enrolled people",
        _DECLARED,
        _EVERY_ROW,
        Step.SUBJECT,
        personal=("subject_id", "photo", "vector"),
        other=("model_id",),
    ),
    Store(
        Kind.TABLE,
        "subject_photos",
        "the assessment of photos; never a photo",
        _DECLARED,
        _EVERY_ROW,
        Step.SUBJECT,
        personal=("subject_id", "name", "sha256", "accepted", "reason", "message", "quality", "assessed_at"),
        other=("model_id",),
    ),
    Store(
        Kind.TABLE,
        "subjects",
        "names, external ids, consent and validity of enrolled people",
        _DECLARED,
        _EVERY_ROW,
        Step.SUBJECT,
        personal=(
            "id",
            "namespace",
            "name",
            "display_name",
            "external_id",
            "category",
            "resource",
            "content_hash",
            "consent",
            "active_from",
            "active_until",
            "granted_at",
            "created_at",
            "updated_at",
        ),
        other=("registrar",),
    ),
    Store(
        Kind.COLLECTION,
        "vigil-{site}-{model}",
        "the templates again, with the Subject's id; an index of `subject_embeddings`",
        _DECLARED,
        "no point of the Subject is found",
        Step.GALLERY,
    ),
    Store(
        Kind.TABLE,
        "sightings",
        "who was seen where and when; strangers without a name and without a vector",
        _SIGHTINGS,
        _EVERY_ROW,
        Step.SIGHTINGS,
        personal=(
            "opened_at",
            "id",
            "camera_namespace",
            "camera_name",
            "last_seen_at",
            "closed_at",
            "received_at",
            "opened_not_before",
            "box",
            "best_shot",
            "identity",
            "subject_id",
            "subject_namespace",
            "subject_name",
            "subject_display_name",
            "similarity",
            "runner_up_similarity",
        ),
        other=(
            "site",
            "session_id",
            "state",
            "revision",
            "close_reason",
            "frames",
            "threshold",
            "margin",
            "model_id",
            "decided_at",
            "last_seq",
            "still",
            "clock_offset_ms",
        ),
    ),
    Store(
        Kind.TABLE,
        "sighting_revisions",
        "when somebody was seen, without a name",
        _SIGHTINGS,
        _EVERY_ROW,
        eraser="nothing: it names nobody; rows go with their sighting",
        personal=("opened_at", "sighting_id", "last_seen_at", "received_at"),
        other=("revision", "state", "frames", "trace", "superseded"),
    ),
    Store(
        Kind.TABLE,
        "matches",
        "the nearest Subjects of a sighting, also below the threshold",
        _SIGHTINGS,
        _EVERY_ROW,
        Step.MATCHES,
        personal=(
            "opened_at",
            "sighting_id",
            "identity",
            "subject_id",
            "runner_up_id",
            "similarity",
            "runner_up_similarity",
        ),
        other=("revision", "threshold", "margin", "model_id", "decided_at"),
    ),
    Store(
        Kind.TABLE,
        "events",
        "every revision of a sighting as it was published, with names",
        _SIGHTINGS,
        _EVERY_ROW,
        Step.EVENTS,
        personal=("sighting_id", "sighting_opened_at", "payload"),
        other=("seq", "revision", "created_at", "published_at", "stream_seq", "type", "subject"),
    ),
    Store(
        Kind.TABLE,
        "rejected_events",
        "events that wait for their camera to be registered or their model to be served, with faces without a name; "
        "of others only digest and reason",
        "30 days, and `spec.retention.sightings` of the Camera or Site where that is shorter",
        _EVERY_ROW,
        eraser="nothing: it names nobody",
        personal=("payload",),
        other=(
            "id",
            "digest",
            "subject",
            "stream_seq",
            "reason",
            "message",
            "waits_for",
            "received_at",
            "bytes",
            "clock_offset_ms",
        ),
    ),
    Store(
        Kind.TABLE,
        "erasures",
        "receipts: the id of an erased Subject and the sha256 of the name",
        "10 years after the erasure",
        "the receipt is what is left on purpose; it holds no name",
        eraser="nothing: it is the proof",
        personal=("subject_id", "key_digest", "started_at", "erased_at", "counts"),
        other=("deleting",),
    ),
    Store(
        Kind.STREAM,
        "VIGIL_{site}_SIGHTINGS",
        "sightings with faces as vectors, without a name",
        "until identity has processed them; at most 1 GiB",
        "no message that is stored holds the Subject's id or name",
        eraser="nothing: it names nobody",
    ),
    Store(
        Kind.STREAM,
        "VIGIL_{site}",
        "matches with names",
        "7 days or 1 GiB, and `spec.retention.sightings` of the Camera or Site where that is shorter",
        "no message that is stored holds the Subject's id or name",
        Step.EVENTS,
    ),
    Store(
        Kind.STREAM,
        "VIGIL_{site}_CAMERAS",
        "the state of cameras; no data about people",
        "1 day, the last message of each camera",
        "no message that is stored holds the Subject's id or name",
        eraser="nothing: it names nobody",
    ),
    Store(
        Kind.STREAM,
        "VIGIL_{site}_ERASURES",
        "the id of an erased Subject and the sha256 of the name, so that a restored backup is erased again",
        "10 years after the erasure",
        "it holds no name",
        eraser="nothing: it is the proof",
    ),
    Store(
        Kind.FILE,
        "journal of a stream process (VIGIL_STATE_DIR)",
        "sightings with faces as vectors, without a name, that the bus has not acknowledged",
        "until the bus acknowledges them; at most `VIGIL_JOURNAL_MAX_BYTES` (256 MiB)",
        "it is written before anybody is identified",
        eraser="nothing: it names nobody",
    ),
    Store(
        Kind.FILE,
        "folder of the embedded gallery (VIGIL_QDRANT_PATH)",
        "the files of the collections",
        _DECLARED,
        "no point of the Subject is found",
        Step.GALLERY,
    ),
    Store(
        Kind.FILE,
        "applied.json, manifests.json and lookalikes.json in the state folder of `vigil up`",
        "names of declared Subjects",
        _DECLARED,
        "the files do not hold the name",
        eraser="`vigil up` writes them anew when a manifest is removed",
    ),
    Store(
        Kind.MEMORY,
        "newest events and rendered payloads in each API",
        "events with names",
        "10 minutes, payloads one minute",
        "a subscription that resumes receives no name",
        eraser="each API, when `event_rewrites` has grown or cannot be read; the receipt waits for it",
    ),
    Store(
        Kind.LOG,
        "logs of the programs",
        "names of Subjects at enrolment and erasure; a receipt's id",
        "that of the cluster's logs; `vigil up` keeps 16 MiB of each program",
        "no file holds the name as a word",
        eraser="`vigil up` overwrites the names; those of a cluster pass with its own retention",
    ),
)
"""In the order in which an erasure removes a Subject from them."""

IMPERSONAL_TABLES: Final = {
    "alembic_version": "the step of the schema",
    "cameras": "sources of video and their settings",
    "event_counter": "a number",
    "event_rewrites": "a number",
    "gallery_version": "a number",
    "installation": "a random id",
    "journal_positions": "numbers of events of cameras",
    "models": "names and thresholds of models",
    "schema_support": "the step of the schema",
    "sites": "places and their settings",
}
"""Tables without data about people, and what they hold."""


def of_kind(kind: Kind) -> tuple[Store, ...]:
    """Return the stores of one kind."""
    return tuple(store for store in STORES if store.kind is kind)


def erased_in(step: Step) -> tuple[Store, ...]:
    """Return the stores from which a step removes a Subject, in order."""
    return tuple(store for store in STORES if store.step is step)


def steps_after_the_subject() -> tuple[Step, ...]:
    """Return the steps that follow the first one, in the order of the registry."""
    found = dict.fromkeys(store.step for store in STORES if store.step not in {None, Step.SUBJECT})
    return tuple(found)


def markdown(stores: Iterable[Store] = STORES) -> str:
    """Return the registry as the table of `docs/privacy.md`."""
    rows = ["| store | holds | kept | erased by | absence |", "| --- | --- | --- | --- | --- |"]
    for store in stores:
        name = f"{store.kind} `{store.name}`" if store.kind in _NAMED else f"{store.kind}: {store.name}"
        eraser = f"an erasure ({store.step})" if store.step else store.eraser
        rows.append(f"| {name} | {store.holds} | {store.retention} | {eraser} | {store.proof} |")
    return "\n".join(rows) + "\n"


_NAMED: Final = {Kind.TABLE, Kind.COLLECTION, Kind.STREAM}


if __name__ == "__main__":
    print(markdown(), end="")  # noqa: T201 - the output of this program
