"""The database: one engine, short transactions, foreign errors translated.

SQLite runs in WAL mode, so that other processes read while this one writes, and syncs every
commit, so that what was answered survives a power cut.
"""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path
from typing import Any, Final

from sqlalchemy import Connection, Dialect, Engine, create_engine, event, make_url
from sqlalchemy.dialects import sqlite
from sqlalchemy.exc import ArgumentError, IntegrityError, SQLAlchemyError
from sqlalchemy.orm import Session
from sqlalchemy.pool import PoolProxiedConnection

from mome_node.errors import CatalogError, CatalogFullError

_BUSY_TIMEOUT_MS: Final = 30_000
_BEGIN_WRITE: Final = "BEGIN IMMEDIATE"
_WRITES: Final = "mome_writes"


class Database:
    """An engine and the two ways to use it. Safe for several threads and processes."""

    def __init__(self, url: str) -> None:
        try:
            self.engine = _create_engine(url)
        except (ArgumentError, ImportError, OSError) as error:
            raise CatalogError(
                "the database URL cannot be used; an example is sqlite:///catalog.db"
            ) from error
        self._writing: Engine = self.engine.execution_options(**{_WRITES: True})
        # SQLite has one writer at a time: queue here, where waiting is fair and costs nothing.
        self._turn: AbstractContextManager[Any] = (
            threading.Lock() if self.engine.dialect.name == "sqlite" else nullcontext()
        )

    @contextmanager
    def read(self) -> Iterator[Session]:
        """Open a transaction that only reads; CatalogError if the database fails."""
        with _translated(self.engine.dialect), Session(self.engine) as session:
            yield session

    @contextmanager
    def write(self) -> Iterator[Session]:
        """Open a transaction that commits at the end and rolls back on any error."""
        with (
            _translated(self.engine.dialect),
            self._turn,
            Session(self._writing) as session,
            session.begin(),
        ):
            yield session

    @contextmanager
    def turn(self) -> Iterator[None]:
        """Wait until this process may write, without a transaction; CatalogError for errors."""
        with _translated(self.engine.dialect), self._turn:
            yield

    def raw_connection(self) -> PoolProxiedConnection:
        """Return a connection of the driver's own, for statements that are compiled already."""
        return self.engine.raw_connection()

    def begin_write(self, connection: PoolProxiedConnection) -> None:
        """Begin a transaction that writes on a connection of the driver's own."""
        if self.engine.dialect.name == "sqlite":
            connection.cursor().execute(_BEGIN_WRITE)

    @property
    def named_dialect(self) -> Dialect:
        """The dialect, with parameters by name."""
        if self.engine.dialect.name != "sqlite":
            return self.engine.dialect
        named: Dialect = sqlite.dialect(paramstyle="named")
        return named

    def close(self) -> None:
        """Close all connections."""
        self.engine.dispose()


@contextmanager
def _translated(dialect: Dialect) -> Iterator[None]:
    driver = dialect.loaded_dbapi
    try:
        yield
    except (IntegrityError, driver.IntegrityError) as error:
        raise ContradictionError("the database holds something that contradicts this") from error
    except (SQLAlchemyError, driver.Error) as error:
        if _is_full(error):
            raise CatalogFullError("the catalogue's disk is full: make room") from error
        # The message of the driver may quote values.
        raise CatalogError(f"the database failed: {type(error).__name__}") from error


def _is_full(error: Exception) -> bool:
    """Tell whether SQLite found no room; an error of SQLAlchemy's holds the driver's."""
    return getattr(getattr(error, "orig", error), "sqlite_errorcode", None) == sqlite3.SQLITE_FULL


class ContradictionError(CatalogError):
    """A constraint of the database refused the change."""


def _create_engine(url: str) -> Engine:
    parsed = make_url(url)
    engine = create_engine(parsed, hide_parameters=True)
    if engine.dialect.name == "sqlite":
        if not parsed.database or parsed.database == ":memory:":
            raise CatalogError("the catalogue needs a file: sqlite:///catalog.db")
        Path(parsed.database).parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        event.listen(engine, "connect", _prepare_sqlite)
        event.listen(engine, "begin", _begin_sqlite)
    return engine


def _prepare_sqlite(connection: Any, _record: object) -> None:
    connection.isolation_level = None  # the driver begins nothing by itself: see _begin_sqlite
    cursor = connection.cursor()
    for pragma in (
        f"busy_timeout={_BUSY_TIMEOUT_MS}",
        "journal_mode=WAL",
        "synchronous=FULL",
        "foreign_keys=ON",
    ):
        cursor.execute(f"PRAGMA {pragma}")
    cursor.close()


def _begin_sqlite(connection: Connection) -> None:
    # A writer takes the lock at once: raising a reader's lock later can fail without waiting.
    writes = connection.get_execution_options().get(_WRITES, False)
    # Sent by the driver itself: this is for every look at the catalogue, and SQLAlchemy's own way
    # costs as much as the query does.
    driver: Any = connection.connection.driver_connection
    driver.execute(_BEGIN_WRITE if writes else "BEGIN")
