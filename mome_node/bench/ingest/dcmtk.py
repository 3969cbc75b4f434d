"""DCMTK's programs: others of the same names are installed, too, pynetdicom's with this node."""

from __future__ import annotations

import os
import shutil
import subprocess
from typing import Final

_TIMEOUT_S: Final = 30.0


def dcmtk_program(name: str, path: str | None = None) -> str | None:
    """Return the first program of this name that is DCMTK's, or None; ``path`` as in PATH."""
    folders = (os.environ.get("PATH", os.defpath) if path is None else path).split(os.pathsep)
    for folder in folders:
        binary = shutil.which(name, path=folder)
        if binary is not None and version_of(binary) is not None:
            return binary
    return None


def version_of(binary: str) -> str | None:
    """Return the version that a program of DCMTK's tells; None if it is none."""
    try:
        told = subprocess.run(
            [binary, "--version"], capture_output=True, text=True, timeout=_TIMEOUT_S, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    words = told.stdout.split()  # "$dcmtk: storescp v3.6.7 2022-04-22 $"
    return words[2].removeprefix("v") if words[:1] == ["$dcmtk:"] and len(words) > 2 else None
