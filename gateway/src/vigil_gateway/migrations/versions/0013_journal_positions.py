"""Notice sighting events that never came: the positions of each journal that were processed.

Programs of step 0012 may run on this schema; events that they process count as missing.
"""

from alembic import op

revision = "0013"
down_revision = "0012"
branch_labels = None
depends_on = None

STEP = """
CREATE TABLE journal_positions (
    camera_namespace text NOT NULL,
    camera_name text NOT NULL,
    epoch text NOT NULL,
    last bigint NOT NULL,
    missing int8multirange NOT NULL,
    suspected int8multirange NOT NULL DEFAULT '{}',
    reported int8multirange NOT NULL DEFAULT '{}',
    checked_at timestamptz NOT NULL DEFAULT now(),
    noted_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (camera_namespace, camera_name, epoch)
);
COMMENT ON COLUMN journal_positions.missing IS 'Positions up to the last that were not processed.';
COMMENT ON COLUMN journal_positions.suspected IS 'Those that were missing at the last check.';
COMMENT ON COLUMN journal_positions.reported IS 'Those that were missing at two checks in succession.';
"""


def upgrade() -> None:
    """Take the step."""
    for statement in STEP.split(";\n"):
        if statement.strip():
            op.execute(statement)
