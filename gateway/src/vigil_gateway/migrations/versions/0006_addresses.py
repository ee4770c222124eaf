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

TABLES = ("cameras", "sites", "subjects")


def upgrade() -> None:
    """Take the step."""
    connection = op.get_bind()
    for table in TABLES:
        found = connection.execute(
            sa.text(f"SELECT ctid::text, resource::text FROM {table} WHERE resource::text LIKE '%://%' FOR UPDATE")  # noqa: S608 - of TABLES
        )
        for place, stored in found.fetchall():
            hidden = json.dumps(hide_in(json.loads(stored)))
            connection.execute(
                sa.text(f"UPDATE {table} SET resource = CAST(:hidden AS jsonb) WHERE ctid = CAST(:place AS tid)"),  # noqa: S608 - of TABLES
                {"hidden": hidden, "place": place},
            )
