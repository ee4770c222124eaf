"""The first schema: what is declared, what was seen, what subscribers resume from.

Times are timestamptz; similarities are cosines. Sightings, their revisions and matches are partitioned by month of
`opened_at`, the moment inside a sighting's UUIDv7, so that it is the same in every revision; identity makes partitions
when they are needed.
"""

from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

DECLARED = """
CREATE TABLE cameras (
    namespace text NOT NULL,
    name text NOT NULL,
    uid uuid,
    site text NOT NULL,
    resource jsonb NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now(),
    deleted_at timestamptz,
    PRIMARY KEY (namespace, name)
);
CREATE TABLE models (
    id text PRIMARY KEY,
    embedding_size integer NOT NULL CHECK (embedding_size > 0),
    threshold_permille integer NOT NULL,
    margin_permille integer NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    served_at timestamptz NOT NULL DEFAULT now()
);
COMMENT ON COLUMN models.served_at IS 'When Triton was last seen to serve it; the newest is the current model.';
CREATE TABLE subjects (
    id uuid PRIMARY KEY,
    namespace text NOT NULL,
    name text NOT NULL,
    display_name text NOT NULL,
    external_id text,
    category text,
    resource jsonb NOT NULL DEFAULT '{}',
    content_hash text,
    consent text NOT NULL DEFAULT 'Granted',
    active_from timestamptz,
    active_until timestamptz,
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now(),
    UNIQUE (namespace, name)
);
CREATE TABLE subject_photos (
    subject_id uuid NOT NULL REFERENCES subjects ON DELETE CASCADE,
    name text NOT NULL,
    sha256 text,
    model_id text,
    accepted boolean NOT NULL,
    reason text NOT NULL,
    message text NOT NULL DEFAULT '',
    quality jsonb,
    assessed_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (subject_id, name)
);
COMMENT ON TABLE subject_photos IS 'What became of each photo. The photo itself is never kept.';
CREATE TABLE subject_embeddings (
    subject_id uuid NOT NULL REFERENCES subjects ON DELETE CASCADE,
    photo text NOT NULL,
    model_id text NOT NULL REFERENCES models,
    vector bytea NOT NULL,
    PRIMARY KEY (subject_id, photo, model_id)
);
COMMENT ON TABLE subject_embeddings IS 'Little-endian float32, unit length. The truth, of which Qdrant is an index.';
CREATE INDEX subject_embeddings_by_model ON subject_embeddings (model_id);
CREATE TABLE erasures (
    subject_id uuid PRIMARY KEY,
    key_digest bytea NOT NULL,
    started_at timestamptz NOT NULL DEFAULT now(),
    erased_at timestamptz,
    counts jsonb NOT NULL DEFAULT '{}'
);
COMMENT ON TABLE erasures IS
    'Receipts. Of the name only the sha256 of <namespace>/<name> is kept, so that asking twice gives the same.';
CREATE INDEX erasures_by_key ON erasures (key_digest, started_at);
"""

SEEN = """
CREATE TABLE sightings (
    opened_at timestamptz NOT NULL,
    id uuid NOT NULL,
    site text NOT NULL,
    camera_namespace text NOT NULL,
    camera_name text NOT NULL,
    session_id text,
    state text NOT NULL,
    revision integer NOT NULL,
    last_seen_at timestamptz NOT NULL,
    closed_at timestamptz,
    close_reason text,
    frames bigint NOT NULL,
    box jsonb,
    best_shot jsonb,
    identity text NOT NULL CHECK (identity IN ('Known', 'Unknown', 'Undetermined')),
    subject_id uuid,
    subject_namespace text,
    subject_name text,
    subject_display_name text,
    similarity double precision,
    runner_up_similarity double precision,
    threshold double precision,
    margin double precision,
    model_id text,
    decided_at timestamptz,
    last_seq bigint NOT NULL,
    PRIMARY KEY (opened_at, id)
) PARTITION BY RANGE (opened_at);
COMMENT ON COLUMN sightings.best_shot IS 'Without its embedding: vectors of strangers are not kept.';
CREATE INDEX sightings_by_camera ON sightings (camera_namespace, camera_name, opened_at DESC, id DESC);
CREATE INDEX sightings_by_subject ON sightings (subject_id, opened_at DESC, id DESC) WHERE subject_id IS NOT NULL;
CREATE INDEX sightings_by_identity ON sightings (identity, opened_at DESC, id DESC);
CREATE TABLE sighting_revisions (
    opened_at timestamptz NOT NULL,
    sighting_id uuid NOT NULL,
    revision integer NOT NULL,
    state text NOT NULL,
    last_seen_at timestamptz NOT NULL,
    frames bigint NOT NULL,
    trace jsonb,
    superseded boolean NOT NULL,
    received_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (opened_at, sighting_id, revision)
) PARTITION BY RANGE (opened_at);
CREATE TABLE matches (
    opened_at timestamptz NOT NULL,
    sighting_id uuid NOT NULL,
    revision integer NOT NULL,
    identity text NOT NULL,
    subject_id uuid,
    runner_up_id uuid,
    similarity double precision,
    runner_up_similarity double precision,
    threshold double precision,
    margin double precision,
    model_id text,
    decided_at timestamptz NOT NULL,
    PRIMARY KEY (opened_at, sighting_id)
) PARTITION BY RANGE (opened_at);
COMMENT ON TABLE matches IS
    'What the gallery said of the newest revision: the nearest Subject, also when it stayed below the threshold.';
CREATE INDEX matches_by_subject ON matches (subject_id) WHERE subject_id IS NOT NULL;
CREATE INDEX matches_by_runner_up ON matches (runner_up_id) WHERE runner_up_id IS NOT NULL;
"""

EVENTS = """
CREATE TABLE event_counter (
    one boolean PRIMARY KEY DEFAULT true CHECK (one),
    last bigint NOT NULL
);
INSERT INTO event_counter (last) VALUES (0);
CREATE TABLE events (
    seq bigint PRIMARY KEY,
    sighting_id uuid NOT NULL,
    sighting_opened_at timestamptz NOT NULL,
    revision integer NOT NULL,
    payload jsonb NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    published_at timestamptz,
    stream_seq bigint
);
COMMENT ON TABLE events IS 'Outbox and resume log at once; seq is gap-free and in order of commit.';
COMMENT ON COLUMN events.stream_seq IS 'Place in the JetStream stream, for erasure there.';
CREATE INDEX events_unpublished ON events (seq) WHERE published_at IS NULL;
CREATE INDEX events_by_sighting ON events (sighting_id);
CREATE INDEX events_by_subject ON events ((payload #>> '{identity,subject,subjectId}'))
    WHERE payload #>> '{identity,subject,subjectId}' IS NOT NULL;
CREATE TABLE rejected_events (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    digest bytea NOT NULL UNIQUE,
    subject text NOT NULL,
    stream_seq bigint,
    reason text NOT NULL,
    message text NOT NULL,
    waits_for text,
    payload bytea NOT NULL,
    received_at timestamptz NOT NULL DEFAULT now()
);
COMMENT ON COLUMN rejected_events.digest IS 'sha256 of subject and payload: the same message is kept once.';
COMMENT ON COLUMN rejected_events.waits_for IS
    'What has to become known for the event to be taken after all: camera:<namespace>/<name> or model:<id>.';
CREATE INDEX rejected_events_waiting ON rejected_events (waits_for, id) WHERE waits_for IS NOT NULL;
CREATE INDEX rejected_events_by_age ON rejected_events (received_at);
"""


def upgrade() -> None:
    """Take the step."""
    for part in (DECLARED, SEEN, EVENTS):
        for statement in part.split(";\n"):
            if statement.strip():
                op.execute(statement)
