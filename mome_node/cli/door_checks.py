"""What `check` says of the doors: TLS, limits, who is let in, alarms."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from mome_node.catalog.catalog import Catalog
from mome_node.errors import NodeError
from mome_node.ingest.open_files import allow_open_files, needed_files
from mome_node.node_dicom import instance_room, scp_settings, tls_files
from mome_node.settings import Settings
from mome_node.storage.folders import make_own_folder
from mome_node.tls import server_context, validities

if TYPE_CHECKING:
    from mome_node.cli.install import Verdict


def tls(settings: Settings) -> Iterator[Verdict]:
    """Whether the files of TLS can be used, and for how long."""
    files = tls_files(settings.dicom.tls)
    if files is None:
        yield None, "dicom.tls.certificate is not set: images cross the network in the clear"
        return
    now = datetime.now(UTC)
    server_context(files, now)
    found = validities(files)
    port = settings.dicom.tls.port
    yield True, f"port {port}, TLS {files.minimum} or later, valid to {found[0].ends_at:%Y-%m-%d}"
    for validity in found:
        if warning := validity.warning(now):
            yield None, warning
    if files.client_ca is None:
        yield None, "dicom.tls.client_ca is not set: no peer has to prove by certificate who it is"
    if settings.dicom.plain:
        yield None, f"port {settings.dicom.port} is open without TLS; dicom.plain = false closes it"


def limits(settings: Settings) -> Iterator[Verdict]:
    """Whether the system lets the node have what its settings let peers ask for."""
    scp = scp_settings(settings)
    needed = needed_files(scp.max_associations, scp.max_pending)
    allow_open_files(needed)
    yield True, f"{scp.max_associations} associations, for which {needed} files may be open"


def room(settings: Settings) -> Iterator[Verdict]:
    """Whether the data directory is safe, and whether new instances are taken."""
    make_own_folder(settings.node.data_dir)
    if fault := instance_room(settings).fault():
        yield False, f"new instances are refused (A700): {fault}"


def names(settings: Settings) -> Iterator[Verdict]:
    """Peers whose host name is not known: they are not let in."""
    for peer in settings.dicom.allowed_peers:
        if "/" in peer.host:
            continue
        try:
            socket.getaddrinfo(peer.host, None)
        except OSError as error:
            yield None, f"{peer.ae} is not let in: {peer.host}: {error.strerror}"


def secret(name: str, token_file: Path | None) -> Iterator[Verdict]:
    """A token that others may read."""
    if token_file is not None and token_file.is_file() and token_file.stat().st_mode & 0o077:
        yield None, f"{name}: others than its owner may read {token_file}"


def alarms(settings: Settings) -> Iterator[Verdict]:
    """What the running node wants a person to look at."""
    try:
        with Catalog.open(settings.database_url) as catalog:
            found = catalog.alarms()
    except NodeError:
        return  # told by the check of the database
    for alarm in found:
        yield False, f"{alarm.name}, since {alarm.since:%Y-%m-%d %H:%M} UTC: {alarm.cause}"
