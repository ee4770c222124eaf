"""Sightings of photos and posters are marked.

Only adds a column with a default: programs of step 0011 may run on this schema. It waits for open transactions that use
`sightings`, and new ones wait for it, for a moment.
"""

from alembic import op

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None

STEP = """
ALTER TABLE sightings ADD COLUMN still boolean NOT NULL DEFAULT false;
COMMENT ON COLUMN sightings.still IS 'The face does not live: a photo or a poster.';
"""


def upgrade() -> None:
    """Take the step."""
    for statement in STEP.split(";\n"):
        if statement.strip():
            op.execute(statement)
