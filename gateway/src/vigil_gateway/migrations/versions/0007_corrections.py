"""Events that correct an earlier one name the Subject whom they take back; an erasure finds them by an index.

Only adds an index: programs of step 0006 may run on this schema.
"""

from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None

STEP = """
CREATE INDEX events_by_previous_subject ON events ((payload #>> '{previous,subjectId}'))
    WHERE payload #>> '{previous,subjectId}' IS NOT NULL
"""


def upgrade() -> None:
    """Take the step."""
    op.execute(STEP)
