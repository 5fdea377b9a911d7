"""Run migrations on the connection, and in the transaction, that the caller has opened."""

from alembic import context

from tracklog.ingester.schema import metadata

context.configure(connection=context.config.attributes["connection"], target_metadata=metadata)
context.run_migrations()
