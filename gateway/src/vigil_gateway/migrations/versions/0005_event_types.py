"""What kind of event a row of the outbox is, and under which subject it is published.

Only adds columns that may be empty or have a default, and lets events be of something else than a sighting: programs of
step 0004 may run on this schema. The events that they write, and those of before, are matches without a subject; the
statements that read events derive it (`storage.postgres.rows`).
"""

from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

STEP = """
ALTER TABLE events
    ADD COLUMN type text NOT NULL DEFAULT 'dev.vigil.match.v1',
    ADD COLUMN subject text,
    ALTER COLUMN sighting_id DROP NOT NULL,
    ALTER COLUMN sighting_opened_at DROP NOT NULL,
    ALTER COLUMN revision DROP NOT NULL;
COMMENT ON COLUMN events.type IS 'Of the CloudEvent.';
COMMENT ON COLUMN events.subject IS
    'On the bus; empty: a match that a program before step 0005 wrote, of which the payload names the subject.';
"""


def upgrade() -> None:
    """Take the step."""
    for statement in STEP.split(";\n"):
        if statement.strip():
            op.execute(statement)
