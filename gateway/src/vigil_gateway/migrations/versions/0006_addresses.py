"""Addresses in stored resources without logins, tokens and signatures.

Only changes values that are shown, and no column: programs of step 0005 may run on this schema.
"""

import json

import sqlalchemy as sa
from alembic import op

from vigil_contracts.addresses import hide_in

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None

READ = "SELECT ctid::text, resource::text FROM {} WHERE resource::text LIKE '%://%' FOR UPDATE"
WRITE = "UPDATE {} SET resource = CAST(:hidden AS jsonb) WHERE ctid = CAST(CAST(:place AS text) AS tid)"


def upgrade() -> None:
    """Take the step."""
    connection = op.get_bind()
    for table in ("cameras", "sites", "subjects"):
        for place, stored in connection.execute(sa.text(READ.format(table))).fetchall():
            hidden = json.dumps(hide_in(json.loads(stored)))
            connection.execute(sa.text(WRITE.format(table)), {"hidden": hidden, "place": place})
