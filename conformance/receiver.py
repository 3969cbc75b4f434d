"""A receiver in a process of its own, that is killed and started again many times."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import IO, Self

from conformance.receiver_process import AE_TITLE, LOOPBACK
from mome_node.demonstration.pacs.pacs import DicomAddress


class Receiver:
    """Receivers of one data directory, one after the other. Use it as a context manager."""

    def __init__(
        self, data_dir: Path, log: Path, environment: Mapping[str, str] | None = None
    ) -> None:
        self._data_dir = data_dir
        self._log = log
        self._environment = environment or {}
        self._nursery: subprocess.Popen[str] | None = None
        self._pid: int | None = None
        self.port = 0

    @property
    def address(self) -> DicomAddress:
        return DicomAddress(AE_TITLE, LOOPBACK, self.port)

    def begin_start(self) -> None:
        """Start one; its door is not open yet."""
        self._tell(f"{self._data_dir}\n")
        self._pid = int(self._heard())

    def start(self) -> None:
        """Start one and wait until its door is open."""
        self.begin_start()
        self.port = int(self._heard())

    def kill(self) -> None:
        """`kill -9`, and wait until it is gone."""
        assert self._pid is not None
        os.kill(self._pid, signal.SIGKILL)
        while self._heard() != "ended":  # it may have come to say its port
            pass
        self._pid = None

    def stop(self) -> None:
        """Let it end by itself, if one runs."""
        if self._pid is not None:
            self._tell("\n")
            while self._heard() != "ended":
                pass
            self._pid = None

    def __enter__(self) -> Self:
        with self._log.open("ab") as log:
            self._nursery = subprocess.Popen(
                [sys.executable, "-m", "conformance.receiver_process"],
                cwd=Path(__file__).parents[1],
                env=os.environ | self._environment,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
            )
        return self

    def __exit__(self, *_: object) -> None:
        nursery = self._running()
        self._pipe(nursery.stdin).close()  # for a receiver that still runs, too
        nursery.wait(60)
        self._pipe(nursery.stdout).close()

    def _tell(self, line: str) -> None:
        pipe = self._pipe(self._running().stdin)
        pipe.write(line)
        pipe.flush()

    def _heard(self) -> str:
        line = self._pipe(self._running().stdout).readline().strip()
        log = self._log.read_text(errors="replace").splitlines()[-20:] if not line else []
        assert line, "the receiver's log ends:\n" + "\n".join(log)
        return line

    def _running(self) -> subprocess.Popen[str]:
        assert self._nursery is not None, "use it as a context manager"
        return self._nursery

    @staticmethod
    def _pipe(pipe: IO[str] | None) -> IO[str]:
        assert pipe is not None
        return pipe
