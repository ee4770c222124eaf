"""By what a database is told from another one, and what an erasure is just deleting from the bus.

Only adds a table and a column with a default: programs of step 0003 notice nothing, and may run on this schema.
"""

from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

STEP = """
CREATE TABLE installation (
    one boolean PRIMARY KEY DEFAULT true CHECK (one),
    id uuid NOT NULL DEFAULT gen_random_uuid()
);
COMMENT ON TABLE installation IS
    'Random, made with the schema: whoever registered something here and finds another one registers it anew.';
INSERT INTO installation DEFAULT VALUES;
ALTER TABLE erasures ADD COLUMN deleting bigint[] NOT NULL DEFAULT '{}';
COMMENT ON COLUMN erasures.deleting IS
    'Events whose messages are counted and being deleted from the bus; after a crash they are not counted again.';
"""


def upgrade() -> None:
    """Take the step."""
    for statement in STEP.split(";\n"):
        if statement.strip():
            op.execute(statement)
