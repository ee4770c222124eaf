SCHEMA = """
CREATE TABLE cameras (namespace text, name text, uid uuid, site text NOT NULL, resource jsonb NOT NULL,
  created_at timestamptz NOT NULL DEFAULT now(), updated_at timestamptz NOT NULL DEFAULT now(), deleted_at timestamptz,
  PRIMARY KEY (namespace, name));
CREATE TABLE subjects (id uuid PRIMARY KEY, namespace text NOT NULL, name text NOT NULL, display_name text NOT NULL,
  external_id text, category text, resource jsonb NOT NULL DEFAULT '{}', content_hash text, active_from timestamptz,
  active_until timestamptz, created_at timestamptz NOT NULL DEFAULT now(),
  updated_at timestamptz NOT NULL DEFAULT now(), UNIQUE (namespace, name));
CREATE TABLE subject_photos (subject_id uuid REFERENCES subjects ON DELETE CASCADE, name text, sha256 text,
  accepted boolean NOT NULL, reason text NOT NULL, message text NOT NULL, quality jsonb,
  PRIMARY KEY (subject_id, name));
CREATE TABLE sightings (id uuid, opened_at timestamptz, site text NOT NULL, camera_namespace text, camera_name text,
  state text NOT NULL, revision integer NOT NULL, last_seen_at timestamptz NOT NULL, closed_at timestamptz,
  close_reason text, frames integer NOT NULL, best_shot jsonb, identity text NOT NULL, subject_id uuid,
  subject_namespace text, subject_name text, subject_display_name text, similarity real, runner_up_similarity real,
  threshold real, margin real, model_id text, decided_at timestamptz, last_seq bigint NOT NULL,
  PRIMARY KEY (opened_at, id)) PARTITION BY RANGE (opened_at);
CREATE TABLE sightings_default PARTITION OF sightings DEFAULT;
CREATE TABLE events (seq bigint PRIMARY KEY, sighting_id uuid NOT NULL, sighting_opened_at timestamptz,
  revision integer NOT NULL,
  payload jsonb NOT NULL, created_at timestamptz NOT NULL DEFAULT now(), published_at timestamptz);
CREATE TABLE event_counter (last bigint NOT NULL);
INSERT INTO event_counter VALUES (0);
"""
