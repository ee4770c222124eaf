-- All tables of the gateway, as the migrations make them. Generated; to write it anew: make schema

CREATE TABLE public.alembic_version (
    version_num character varying(32) NOT NULL
);

CREATE TABLE public.cameras (
    namespace text NOT NULL,
    name text NOT NULL,
    uid uuid,
    site text NOT NULL,
    resource jsonb NOT NULL,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    updated_at timestamp with time zone DEFAULT now() NOT NULL,
    deleted_at timestamp with time zone,
    registrar uuid
);

COMMENT ON COLUMN public.cameras.registrar IS 'The uid of its operator''s Lease; empty: it was not told, or registered before this was written down.';

CREATE TABLE public.erasures (
    subject_id uuid NOT NULL,
    key_digest bytea NOT NULL,
    started_at timestamp with time zone DEFAULT now() NOT NULL,
    erased_at timestamp with time zone,
    counts jsonb DEFAULT '{}'::jsonb NOT NULL,
    deleting bigint[] DEFAULT '{}'::bigint[] NOT NULL
);

COMMENT ON TABLE public.erasures IS 'Receipts. Of the name only the sha256 of <namespace>/<name> is kept, so that asking twice gives the same.';

COMMENT ON COLUMN public.erasures.deleting IS 'Events whose messages are counted and being deleted from the bus; after a crash they are not counted again.';

CREATE TABLE public.event_counter (
    one boolean DEFAULT true NOT NULL,
    last bigint NOT NULL,
    CONSTRAINT event_counter_one_check CHECK (one)
);

CREATE TABLE public.event_rewrites (
    one boolean DEFAULT true NOT NULL,
    last bigint NOT NULL,
    CONSTRAINT event_rewrites_one_check CHECK (one)
);

COMMENT ON TABLE public.event_rewrites IS 'Counts transactions that erase somebody from events or delete events, after which readers drop what they hold.';

CREATE TABLE public.events (
    seq bigint NOT NULL,
    sighting_id uuid,
    sighting_opened_at timestamp with time zone,
    revision integer,
    payload jsonb NOT NULL,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    published_at timestamp with time zone,
    stream_seq bigint,
    type text DEFAULT 'dev.vigil.match.v1'::text NOT NULL,
    subject text
);

COMMENT ON TABLE public.events IS 'Outbox and resume log at once; seq is gap-free and in order of commit.';

COMMENT ON COLUMN public.events.stream_seq IS 'Place in the JetStream stream, for erasure there.';

COMMENT ON COLUMN public.events.type IS 'Of the CloudEvent.';

COMMENT ON COLUMN public.events.subject IS 'On the bus; empty: a match that a program before step 0005 wrote, of which the payload names the subject.';

CREATE TABLE public.gallery_version (
    one boolean DEFAULT true NOT NULL,
    last bigint NOT NULL,
    changed_at timestamp with time zone DEFAULT now() NOT NULL,
    CONSTRAINT gallery_version_one_check CHECK (one)
);

CREATE TABLE public.installation (
    one boolean DEFAULT true NOT NULL,
    id uuid DEFAULT gen_random_uuid() NOT NULL,
    unnamed_until bigint DEFAULT 0 NOT NULL,
    CONSTRAINT installation_one_check CHECK (one)
);

COMMENT ON TABLE public.installation IS 'Random, made with the schema: whoever registered something here and finds another one registers it anew.';

COMMENT ON COLUMN public.installation.unnamed_until IS 'Up to this event cursors may come back that name no installation: they were made before step 0009.';

CREATE TABLE public.journal_positions (
    camera_namespace text NOT NULL,
    camera_name text NOT NULL,
    epoch text NOT NULL,
    last bigint NOT NULL,
    missing int8multirange NOT NULL,
    suspected int8multirange DEFAULT '{}'::int8multirange NOT NULL,
    reported int8multirange DEFAULT '{}'::int8multirange NOT NULL,
    checked_at timestamp with time zone DEFAULT now() NOT NULL,
    noted_at timestamp with time zone DEFAULT now() NOT NULL
);

COMMENT ON COLUMN public.journal_positions.missing IS 'Positions up to the last that were not processed.';

COMMENT ON COLUMN public.journal_positions.suspected IS 'Those that were missing at the last check.';

COMMENT ON COLUMN public.journal_positions.reported IS 'Those that were missing at two checks in succession.';

CREATE TABLE public.matches (
    opened_at timestamp with time zone NOT NULL,
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
    decided_at timestamp with time zone NOT NULL
)
PARTITION BY RANGE (opened_at);

COMMENT ON TABLE public.matches IS 'What the gallery said of the newest revision: the nearest Subject, also when it stayed below the threshold.';

CREATE TABLE public.models (
    id text NOT NULL,
    embedding_size integer NOT NULL,
    threshold_permille integer NOT NULL,
    margin_permille integer NOT NULL,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    served_at timestamp with time zone DEFAULT now() NOT NULL,
    CONSTRAINT models_embedding_size_check CHECK ((embedding_size > 0))
);

COMMENT ON COLUMN public.models.served_at IS 'When Triton was last seen to serve it; the newest is the current model.';

CREATE TABLE public.rejected_events (
    id bigint NOT NULL,
    digest bytea NOT NULL,
    subject text NOT NULL,
    stream_seq bigint,
    reason text NOT NULL,
    message text NOT NULL,
    waits_for text,
    payload bytea,
    received_at timestamp with time zone DEFAULT now() NOT NULL,
    bytes bigint,
    clock_offset_ms double precision
);

COMMENT ON COLUMN public.rejected_events.digest IS 'sha256 of subject and payload: the same message is kept once.';

COMMENT ON COLUMN public.rejected_events.waits_for IS 'What has to become known for the event to be taken after all: camera:<namespace>/<name> or model:<id>.';

COMMENT ON COLUMN public.rejected_events.payload IS 'Of an event that waits; NULL: nobody will process it.';

ALTER TABLE public.rejected_events ALTER COLUMN id ADD GENERATED ALWAYS AS IDENTITY (
    SEQUENCE NAME public.rejected_events_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);

CREATE TABLE public.schema_support (
    one boolean DEFAULT true NOT NULL,
    oldest text NOT NULL,
    CONSTRAINT schema_support_one_check CHECK (one)
);

COMMENT ON COLUMN public.schema_support.oldest IS 'The oldest step whose programs may run on this schema. A step that only adds leaves it; one that takes away or changes sets it to itself.';

CREATE TABLE public.sighting_revisions (
    opened_at timestamp with time zone NOT NULL,
    sighting_id uuid NOT NULL,
    revision integer NOT NULL,
    state text NOT NULL,
    last_seen_at timestamp with time zone NOT NULL,
    frames bigint NOT NULL,
    trace jsonb,
    superseded boolean NOT NULL,
    received_at timestamp with time zone DEFAULT now() NOT NULL
)
PARTITION BY RANGE (opened_at);

COMMENT ON COLUMN public.sighting_revisions.received_at IS 'By the clock of the bus; before step 0014 when the revision was recorded, by that of Postgres.';

CREATE TABLE public.sightings (
    opened_at timestamp with time zone NOT NULL,
    id uuid NOT NULL,
    site text NOT NULL,
    camera_namespace text NOT NULL,
    camera_name text NOT NULL,
    session_id text,
    state text NOT NULL,
    revision integer NOT NULL,
    last_seen_at timestamp with time zone NOT NULL,
    closed_at timestamp with time zone,
    close_reason text,
    frames bigint NOT NULL,
    box jsonb,
    best_shot jsonb,
    identity text NOT NULL,
    subject_id uuid,
    subject_namespace text,
    subject_name text,
    subject_display_name text,
    similarity double precision,
    runner_up_similarity double precision,
    threshold double precision,
    margin double precision,
    model_id text,
    decided_at timestamp with time zone,
    last_seq bigint NOT NULL,
    still boolean DEFAULT false NOT NULL,
    received_at timestamp with time zone,
    clock_offset_ms double precision,
    opened_not_before timestamp with time zone,
    CONSTRAINT sightings_identity_check CHECK ((identity = ANY (ARRAY['Known'::text, 'Unknown'::text, 'Undetermined'::text])))
)
PARTITION BY RANGE (opened_at);

COMMENT ON COLUMN public.sightings.best_shot IS 'Without its embedding: vectors of strangers are not kept.';

COMMENT ON COLUMN public.sightings.still IS 'The face does not live: a photo or a poster.';

COMMENT ON COLUMN public.sightings.received_at IS 'When the bus received the newest revision, by its clock; NULL: recorded before step 0014.';

COMMENT ON COLUMN public.sightings.clock_offset_ms IS 'How far the clock of the camera was ahead of that of the bus then; NULL: not measured.';

COMMENT ON COLUMN public.sightings.opened_not_before IS 'NULL: opened_at is the moment inside the id. Else that was implausible; it cannot have opened earlier than this.';

CREATE TABLE public.sites (
    namespace text NOT NULL,
    name text NOT NULL,
    uid uuid,
    resource jsonb NOT NULL,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    updated_at timestamp with time zone DEFAULT now() NOT NULL,
    deleted_at timestamp with time zone,
    registrar uuid
);

COMMENT ON COLUMN public.sites.deleted_at IS 'A Site that is gone still bounds how long what was seen there is kept.';

COMMENT ON COLUMN public.sites.registrar IS 'The uid of its operator''s Lease; empty: it was not told, or registered before this was written down.';

CREATE TABLE public.subject_embeddings (
    subject_id uuid NOT NULL,
    photo text NOT NULL,
    model_id text NOT NULL,
    vector bytea NOT NULL
);

COMMENT ON TABLE public.subject_embeddings IS 'Little-endian float32, unit length. The truth, of which Qdrant is an index.';

CREATE TABLE public.subject_photos (
    subject_id uuid NOT NULL,
    name text NOT NULL,
    sha256 text,
    model_id text,
    accepted boolean NOT NULL,
    reason text NOT NULL,
    message text DEFAULT ''::text NOT NULL,
    quality jsonb,
    assessed_at timestamp with time zone DEFAULT now() NOT NULL
);

COMMENT ON TABLE public.subject_photos IS 'What became of each photo. The photo itself is never kept.';

CREATE TABLE public.subjects (
    id uuid NOT NULL,
    namespace text NOT NULL,
    name text NOT NULL,
    display_name text NOT NULL,
    external_id text,
    category text,
    resource jsonb DEFAULT '{}'::jsonb NOT NULL,
    content_hash text,
    consent text DEFAULT 'Granted'::text NOT NULL,
    active_from timestamp with time zone,
    active_until timestamp with time zone,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    updated_at timestamp with time zone DEFAULT now() NOT NULL,
    registrar uuid,
    granted_at timestamp with time zone
);

COMMENT ON COLUMN public.subjects.registrar IS 'The uid of its operator''s Lease; empty: it was not told, or registered before this was written down.';

COMMENT ON COLUMN public.subjects.granted_at IS 'Consent holds from then on, when it was pending or withdrawn before; NULL: it was granted from the start.';

ALTER TABLE ONLY public.alembic_version
    ADD CONSTRAINT alembic_version_pkc PRIMARY KEY (version_num);

ALTER TABLE ONLY public.cameras
    ADD CONSTRAINT cameras_pkey PRIMARY KEY (namespace, name);

ALTER TABLE ONLY public.erasures
    ADD CONSTRAINT erasures_pkey PRIMARY KEY (subject_id);

ALTER TABLE ONLY public.event_counter
    ADD CONSTRAINT event_counter_pkey PRIMARY KEY (one);

ALTER TABLE ONLY public.event_rewrites
    ADD CONSTRAINT event_rewrites_pkey PRIMARY KEY (one);

ALTER TABLE ONLY public.events
    ADD CONSTRAINT events_pkey PRIMARY KEY (seq);

ALTER TABLE ONLY public.gallery_version
    ADD CONSTRAINT gallery_version_pkey PRIMARY KEY (one);

ALTER TABLE ONLY public.installation
    ADD CONSTRAINT installation_pkey PRIMARY KEY (one);

ALTER TABLE ONLY public.journal_positions
    ADD CONSTRAINT journal_positions_pkey PRIMARY KEY (camera_namespace, camera_name, epoch);

ALTER TABLE ONLY public.matches
    ADD CONSTRAINT matches_pkey PRIMARY KEY (opened_at, sighting_id);

ALTER TABLE ONLY public.models
    ADD CONSTRAINT models_pkey PRIMARY KEY (id);

ALTER TABLE ONLY public.rejected_events
    ADD CONSTRAINT rejected_events_digest_key UNIQUE (digest);

ALTER TABLE ONLY public.rejected_events
    ADD CONSTRAINT rejected_events_pkey PRIMARY KEY (id);

ALTER TABLE ONLY public.schema_support
    ADD CONSTRAINT schema_support_pkey PRIMARY KEY (one);

ALTER TABLE ONLY public.sighting_revisions
    ADD CONSTRAINT sighting_revisions_pkey PRIMARY KEY (opened_at, sighting_id, revision);

ALTER TABLE ONLY public.sightings
    ADD CONSTRAINT sightings_pkey PRIMARY KEY (opened_at, id);

ALTER TABLE ONLY public.sites
    ADD CONSTRAINT sites_pkey PRIMARY KEY (namespace, name);

ALTER TABLE ONLY public.subject_embeddings
    ADD CONSTRAINT subject_embeddings_pkey PRIMARY KEY (subject_id, photo, model_id);

ALTER TABLE ONLY public.subject_photos
    ADD CONSTRAINT subject_photos_pkey PRIMARY KEY (subject_id, name);

ALTER TABLE ONLY public.subjects
    ADD CONSTRAINT subjects_namespace_name_key UNIQUE (namespace, name);

ALTER TABLE ONLY public.subjects
    ADD CONSTRAINT subjects_pkey PRIMARY KEY (id);

CREATE INDEX erasures_by_key ON public.erasures USING btree (key_digest, started_at);

CREATE INDEX events_by_previous_subject ON public.events USING btree (((payload #>> '{previous,subjectId}'::text[]))) WHERE ((payload #>> '{previous,subjectId}'::text[]) IS NOT NULL);

CREATE INDEX events_by_sighting ON public.events USING btree (sighting_id);

CREATE INDEX events_by_subject ON public.events USING btree (((payload #>> '{identity,subject,subjectId}'::text[]))) WHERE ((payload #>> '{identity,subject,subjectId}'::text[]) IS NOT NULL);

CREATE INDEX events_unpublished ON public.events USING btree (seq) WHERE (published_at IS NULL);

CREATE INDEX matches_by_runner_up ON ONLY public.matches USING btree (runner_up_id) WHERE (runner_up_id IS NOT NULL);

CREATE INDEX matches_by_subject ON ONLY public.matches USING btree (subject_id) WHERE (subject_id IS NOT NULL);

CREATE INDEX rejected_events_by_age ON public.rejected_events USING btree (received_at);

CREATE INDEX rejected_events_waiting ON public.rejected_events USING btree (waits_for, id) WHERE (waits_for IS NOT NULL);

CREATE INDEX sightings_by_camera ON ONLY public.sightings USING btree (camera_namespace, camera_name, opened_at DESC, id DESC);

CREATE INDEX sightings_by_identity ON ONLY public.sightings USING btree (identity, opened_at DESC, id DESC);

CREATE INDEX sightings_by_subject ON ONLY public.sightings USING btree (subject_id, opened_at DESC, id DESC) WHERE (subject_id IS NOT NULL);

CREATE INDEX sightings_by_subject_name ON ONLY public.sightings USING btree (subject_namespace, subject_name, opened_at DESC, id DESC) WHERE (subject_name IS NOT NULL);

CREATE INDEX sightings_in_view ON ONLY public.sightings USING btree (opened_at DESC, id DESC) WHERE (state <> 'Closed'::text);

CREATE INDEX sightings_of_wrong_clocks ON ONLY public.sightings USING btree (id) WHERE (opened_not_before IS NOT NULL);

CREATE INDEX sightings_still ON ONLY public.sightings USING btree (opened_at DESC, id DESC) WHERE still;

CREATE INDEX subject_embeddings_by_model ON public.subject_embeddings USING btree (model_id);

ALTER TABLE ONLY public.subject_embeddings
    ADD CONSTRAINT subject_embeddings_model_id_fkey FOREIGN KEY (model_id) REFERENCES public.models(id);

ALTER TABLE ONLY public.subject_embeddings
    ADD CONSTRAINT subject_embeddings_subject_id_fkey FOREIGN KEY (subject_id) REFERENCES public.subjects(id) ON DELETE CASCADE;

ALTER TABLE ONLY public.subject_photos
    ADD CONSTRAINT subject_photos_subject_id_fkey FOREIGN KEY (subject_id) REFERENCES public.subjects(id) ON DELETE CASCADE;
