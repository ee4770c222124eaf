"""Sites with their retention, the gallery's version, and which programs may run on a schema.

Only adds tables: programs of step 0001 that run meanwhile notice nothing. From this step on a database also says which
programs may still use it, so that those of the step before may be started again during an upgrade, or after going back.
"""

from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

STEP = """
CREATE TABLE sites (
    namespace text NOT NULL,
    name text NOT NULL,
    uid uuid,
    resource jsonb NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now(),
    deleted_at timestamptz,
    PRIMARY KEY (namespace, name)
);
COMMENT ON COLUMN sites.deleted_at IS 'A Site that is gone still bounds how long what was seen there is kept.';
CREATE TABLE gallery_version (
    one boolean PRIMARY KEY DEFAULT true CHECK (one),
    last bigint NOT NULL,
    changed_at timestamptz NOT NULL DEFAULT now()
);
INSERT INTO gallery_version (last) VALUES (0);
CREATE TABLE schema_support (
    one boolean PRIMARY KEY DEFAULT true CHECK (one),
    oldest text NOT NULL
);
COMMENT ON COLUMN schema_support.oldest IS
    'The oldest step whose programs may run on this schema. A step that only adds leaves it; one that takes away or '
    'changes sets it to itself.';
INSERT INTO schema_support (oldest) VALUES ('0002');
"""


def upgrade() -> None:
    """Take the step."""
    for statement in STEP.split(";\n"):
        if statement.strip():
            op.execute(statement)
