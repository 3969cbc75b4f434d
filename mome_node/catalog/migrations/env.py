"""Run by alembic: migrates on the connection that ``catalog.migrate`` passes in."""

from alembic import context

from mome_node.catalog.tables import Base

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=Base.metadata,
    transactional_ddl=True,
    render_as_batch=True,
)
context.run_migrations()
