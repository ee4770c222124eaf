"""A counter of changes to the event log's past: what the API holds in memory is dropped when an erasure changes it.

Only adds a table: programs of step 0007 may run on this schema.
"""

from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None

STEP = """
CREATE TABLE event_rewrites (
    one boolean PRIMARY KEY DEFAULT true CHECK (one),
    last bigint NOT NULL
);
INSERT INTO event_rewrites (last) VALUES (0);
COMMENT ON TABLE event_rewrites IS
    'Counts transactions that erase somebody from events or delete events, after which readers drop what they hold.';
"""


def upgrade() -> None:
    """Take the step."""
    for statement in STEP.split(";"):
        if statement.strip():
            op.execute(statement)
