"""Which installation registered a Camera, a Site or a Subject, so that no other takes it for deleted.

Only adds columns that may be empty: programs of step 0002 notice nothing, and may run on this schema.
"""

from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

COMMENT = "The uid of its operator''s Lease; empty: it was not told, or registered before this was written down."


def upgrade() -> None:
    """Take the step."""
    for table in ("cameras", "sites", "subjects"):
        op.execute(f"ALTER TABLE {table} ADD COLUMN registrar uuid")
        op.execute(f"COMMENT ON COLUMN {table}.registrar IS '{COMMENT}'")
