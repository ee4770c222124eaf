"""A rejected event that waits for nothing leaves its digest, size and reason, not its body.

Drops those bodies. Programs of step 0010 may run on this schema; the bodies that they still write go by their age.
"""

from alembic import op

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None

STEP = """
ALTER TABLE rejected_events ADD COLUMN bytes bigint, ALTER COLUMN payload DROP NOT NULL;
UPDATE rejected_events SET bytes = octet_length(payload);
UPDATE rejected_events SET payload = NULL WHERE waits_for IS NULL;
COMMENT ON COLUMN rejected_events.payload IS 'Of an event that waits; NULL: nobody will process it.';
"""


def upgrade() -> None:
    """Take the step."""
    for statement in STEP.split(";\n"):
        if statement.strip():
            op.execute(statement)
