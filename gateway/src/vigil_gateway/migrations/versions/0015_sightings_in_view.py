"""Indexes of the few sightings that are not closed, and of the few that are marked as still.

Only adds indexes: programs of step 0014 may run on this schema. New sightings wait while the indexes are made, some
seconds for a million sightings.
"""

from alembic import op

revision = "0015"
down_revision = "0014"
branch_labels = None
depends_on = None

STEP = """
CREATE INDEX sightings_in_view ON sightings (opened_at DESC, id DESC) WHERE state <> 'Closed';
CREATE INDEX sightings_still ON sightings (opened_at DESC, id DESC) WHERE still;
"""


def upgrade() -> None:
    """Take the step."""
    for statement in STEP.split(";\n"):
        if statement.strip():
            op.execute(statement)
