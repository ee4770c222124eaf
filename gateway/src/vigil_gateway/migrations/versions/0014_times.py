"""Sightings have the time at which the bus received them, and the offset of their camera's clock.

Only adds columns and an index: programs of step 0013 may run on this schema. The index reads every sighting once; new
ones wait for it meanwhile, a second for a million.
"""

from alembic import op

revision = "0014"
down_revision = "0013"
branch_labels = None
depends_on = None

STEP = """
ALTER TABLE sightings ADD COLUMN received_at timestamptz;
ALTER TABLE sightings ADD COLUMN clock_offset_ms double precision;
ALTER TABLE sightings ADD COLUMN opened_not_before timestamptz;
ALTER TABLE rejected_events ADD COLUMN clock_offset_ms double precision;
COMMENT ON COLUMN sightings.received_at IS
    'When the bus received the newest revision, by its clock; NULL: recorded before step 0014.';
COMMENT ON COLUMN sightings.clock_offset_ms IS
    'How far the clock of the camera was ahead of that of the bus then; NULL: not measured.';
COMMENT ON COLUMN sightings.opened_not_before IS
    'NULL: opened_at is the moment inside the id. Else that was implausible; it cannot have opened earlier than this.';
COMMENT ON COLUMN sighting_revisions.received_at IS
    'By the clock of the bus; before step 0014 when the revision was recorded, by that of Postgres.';
CREATE INDEX sightings_of_wrong_clocks ON sightings (id) WHERE opened_not_before IS NOT NULL
"""


def upgrade() -> None:
    """Take the step."""
    for statement in STEP.split(";\n"):
        if statement.strip():
            op.execute(statement)
