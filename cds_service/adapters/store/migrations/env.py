"""What Alembic runs around migrations: they go through the connection, and in the transaction, of whoever calls."""

from __future__ import annotations

from alembic import context

from cds_service.adapters.store.tables import metadata

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata,
    transactional_ddl=True,  # SQLite has it too: a migration that is cut short leaves nothing behind
)
context.run_migrations()
