"""A receiver alone in its process, for as long as its standard input is open.

    python -m conformance.soak_receiver FOLDER

Says its port in a line. Without assembly and models, so that what grows is the receiver.
"""

from __future__ import annotations

import logging
import sys
from datetime import UTC, datetime
from pathlib import Path

import structlog

from mome_node.catalog.catalog import Catalog
from mome_node.ingest.peers import Admission
from mome_node.ingest.receipt import Reception
from mome_node.ingest.scp import ScpSettings, StorageScp
from mome_node.storage.local import LocalStore

SETTINGS = ScpSettings(
    host="127.0.0.1",
    port=0,
    max_associations=60,
    acse_timeout_s=3.0,
    dimse_timeout_s=3.0,
    network_timeout_s=8.0,
)


def main() -> None:
    """Receive until standard input is closed."""
    folder = Path(sys.argv[1])
    structlog.configure(
        wrapper_class=structlog.make_filtering_bound_logger(logging.WARNING),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
    )
    store = LocalStore(folder / "data", min_free_bytes=0)
    with Catalog.open(f"sqlite:///{folder}/catalog.db") as catalog:
        reception = Reception(store, catalog, lambda: datetime.now(UTC))
        with StorageScp(SETTINGS, reception, Admission()) as scp:
            sys.stdout.write(f"{scp.port}\n")
            sys.stdout.flush()
            sys.stdin.read()


if __name__ == "__main__":
    main()
