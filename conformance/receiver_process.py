"""The receiving half of a node as processes of their own: no models, no timers.

    python -m conformance.receiver_process

Everything is imported once; then each line on standard input, the path of a data directory, forks
one receiver. It says its process number and, once its door is open, its port; when it has ended,
``ended``. A receiver ends by `kill -9`, or by itself at the next line or the end of the input.
"""

from __future__ import annotations

import os
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

from mome_node.catalog.catalog import Catalog
from mome_node.ingest.availability import NoticeReception
from mome_node.ingest.orphans import remove_unindexed
from mome_node.ingest.peers import Admission
from mome_node.ingest.receipt import Reception
from mome_node.ingest.scp import ScpSettings, StorageScp
from mome_node.logs import configure_logging
from mome_node.storage.local import LocalStore

AE_TITLE = "MOME"
LOOPBACK = "127.0.0.1"
CATALOG = "catalog.db"
AT_ONCE = timedelta(0)
"""Nobody else writes to the directory, so that no age protects a file that no row names."""


def take_up(data_dir: Path) -> tuple[Catalog, LocalStore]:
    """Open a data directory as a node does that starts, and clear what a crash left."""
    catalog = Catalog.open(f"sqlite:///{data_dir / CATALOG}")
    store = LocalStore(data_dir)
    remove_unindexed(store, catalog, utc_now(), AT_ONCE)
    return catalog, store


def utc_now() -> datetime:
    return datetime.now(UTC)


def serve(data_dir: Path) -> None:
    """Receive until a line comes on standard input, or its end."""
    catalog, store = take_up(data_dir)
    with (
        catalog,
        StorageScp(
            ScpSettings(AE_TITLE, LOOPBACK, port=0),
            Reception(store, catalog, utc_now),
            Admission(),
            notices=NoticeReception(catalog, utc_now),
        ) as scp,
    ):
        say(scp.port)
        os.read(sys.stdin.fileno(), 1)


def say(what: object) -> None:
    os.write(sys.stdout.fileno(), f"{what}\n".encode())


def next_line() -> str:
    """One line of the input and no byte more: what follows may be for a receiver."""
    line = b""
    while not line.endswith(b"\n"):
        byte = os.read(sys.stdin.fileno(), 1)
        if not byte:
            return ""
        line += byte
    return line.decode().strip()


def main() -> None:
    configure_logging()
    while data_dir := next_line():
        child = os.fork()
        if child == 0:
            say(os.getpid())
            serve(Path(data_dir))
            os._exit(0)  # what the interpreter would do at its end is its parent's
        os.waitpid(child, 0)
        say("ended")


if __name__ == "__main__":
    main()
