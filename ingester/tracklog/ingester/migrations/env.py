"""Run migrations on the connection, and in the transaction, that the caller has opened."""

from alembic import context

from tracklog.ingester.schema import metadata

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata,
    version_table_schema=context.config.attributes.get("version_schema"),
)
context.run_migrations()
