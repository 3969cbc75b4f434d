"""Open files: a process that has no more of them can neither accept nor store."""

from __future__ import annotations

import resource
from typing import Final

from mome_node.errors import SettingsError

PER_ASSOCIATION: Final = 5
"""The socket, the instance's file, the same file read back, its directory, and one to spare."""

FOR_THE_REST: Final = 256
"""Database, logs, the inference process, deliveries and queries."""


def needed_files(max_associations: int, max_pending: int) -> int:
    """Return how many open files a receiver may come to need."""
    return max_associations * PER_ASSOCIATION + max_pending + FOR_THE_REST


def allow_open_files(needed: int) -> None:
    """Raise this process's soft limit (RLIMIT_NOFILE) if it is lower.

    SettingsError if the system's hard limit is lower.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == resource.RLIM_INFINITY or soft >= needed:
        return
    if hard != resource.RLIM_INFINITY and hard < needed:
        raise SettingsError(
            f"dicom.max_associations: needs {needed} open files, and the system allows this "
            f"process {hard}: allow more (LimitNOFILE of a systemd unit, ulimit -n), or set fewer "
            "associations"
        )
    resource.setrlimit(resource.RLIMIT_NOFILE, (needed, hard))
