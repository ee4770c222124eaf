"""The script that alembic runs; the connection comes from `vigil_gateway.migrations.upgrade`, which holds the lock."""

from alembic import context

context.configure(connection=context.config.attributes["connection"], transaction_per_migration=False)
with context.begin_transaction():
    context.run_migrations()
