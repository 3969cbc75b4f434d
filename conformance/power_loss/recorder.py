"""The recorder: compiled from ``preload/``, and how a process is put under it."""

from __future__ import annotations

import subprocess
from dataclasses import dataclass
from pathlib import Path

from conformance import peers

_SOURCES = Path(__file__).parent / "preload"


@dataclass(frozen=True)
class Recorder:
    """A compiled recorder."""

    library: Path

    def environment(self, root: Path, log: Path, drop: str = "") -> dict[str, str]:
        """Variables of a process that is recorded.

        ``drop``: syncs of what this pattern (fnmatch(3), extended) fits are not made; paths are
        relative to the root, and those of directories end in a slash.
        """
        return {
            "LD_PRELOAD": str(self.library),
            "POWER_LOSS_ROOT": str(root.resolve()),
            "POWER_LOSS_LOG": str(log),
        } | ({"POWER_LOSS_DROP": drop} if drop else {})


def compile_recorder(folder: Path) -> Recorder:
    """Compile it into ``folder``."""
    library = folder / "recorder.so"
    command = [str(peers.CC.find()), "-shared", "-fPIC", "-O2", "-Wall", "-Wextra", "-Werror"]
    sources = [str(path) for path in sorted(_SOURCES.glob("*.c"))]
    subprocess.run([*command, "-o", str(library), *sources, "-ldl", "-lpthread"], check=True)
    return Recorder(library)
