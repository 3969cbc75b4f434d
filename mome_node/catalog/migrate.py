"""Migrations: bring the tables of any earlier version up to date (alembic)."""

from __future__ import annotations

from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from alembic.util import CommandError

from mome_node.catalog.database import Database
from mome_node.errors import CatalogError


def migrate(database: Database) -> None:
    """Make the tables what this version needs; CatalogError if they are a later version's."""
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations"))
    with database.read() as session:
        found = MigrationContext.configure(session.connection()).get_current_heads()
    if found == tuple(ScriptDirectory.from_config(config).get_heads()):
        return
    try:
        # The writer's lock holds off a second process that starts at the same time.
        with database.write() as session:
            config.attributes["connection"] = session.connection()
            command.upgrade(config, "head")
    except CommandError as error:
        raise CatalogError(
            f"the catalogue is at {', '.join(found) or 'no version'}, which this version does "
            "not know: use the version that wrote it, or a later one"
        ) from error
