"""Consent has a moment from which it holds, when it was granted after it had been pending or withdrawn.

Only adds a column: programs of step 0009 may run on this schema.
"""

from alembic import op

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Take the step."""
    op.execute("ALTER TABLE subjects ADD COLUMN granted_at timestamptz")
    op.execute(
        "COMMENT ON COLUMN subjects.granted_at IS"
        " 'Consent holds from then on, when it was pending or withdrawn before; NULL: it was granted from the start.'"
    )
