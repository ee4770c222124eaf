"""Cursors name the database that they are of, and the sightings of a Subject are found by its name.

Up to the newest event of now, cursors that name none may be of this database. Only adds a column with a default and an
index: programs of step 0008 may run on this schema.
"""

from alembic import op

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None

STEP = """
ALTER TABLE installation ADD COLUMN unnamed_until bigint NOT NULL DEFAULT 0;
UPDATE installation SET unnamed_until = coalesce((SELECT last FROM event_counter), 0);
COMMENT ON COLUMN installation.unnamed_until IS
    'Up to this event cursors may come back that name no installation: they were made before step 0009.';
CREATE INDEX sightings_by_subject_name ON sightings (subject_namespace, subject_name, opened_at DESC, id DESC)
    WHERE subject_name IS NOT NULL;
"""


def upgrade() -> None:
    """Take the step."""
    for statement in STEP.split(";\n"):
        if statement.strip():
            op.execute(statement)
