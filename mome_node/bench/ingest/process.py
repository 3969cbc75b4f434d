"""Receivers as processes of their own on loopback ports, each with one folder for all it keeps."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Self

from mome_node.errors import BenchmarkError

LOOPBACK: Final = "127.0.0.1"
_START_S: Final = 300.0
_STOP_S: Final = 30.0
_POLL_S: Final = 0.02
_LOG_TAIL_LINES: Final = 15


@dataclass(frozen=True, slots=True)
class Address:
    """Where a receiver listens, and the AE title that it is called by."""

    ae_title: str
    port: int
    host: str = LOOPBACK


class ReceiverProcess:
    """A process with a session of its own; what it says goes to ``log``."""

    def __init__(
        self, name: str, command: Sequence[str], log: Path, environment: Mapping[str, str]
    ) -> None:
        self._name = name
        self._log = log
        with log.open("ab") as file:
            self._process = subprocess.Popen(
                [*command],
                stdin=subprocess.DEVNULL,
                stdout=file,
                stderr=subprocess.STDOUT,
                env={**environment},
                cwd=log.parent,
                start_new_session=True,
            )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def wait_until(self, is_ready: Callable[[], bool]) -> None:
        """Wait until it is ready; BenchmarkError with its log's end if it ends, or takes long."""
        deadline = time.monotonic() + _START_S
        pause = threading.Event()
        while not is_ready():
            if self._process.poll() is not None or time.monotonic() > deadline:
                self.kill()
                raise BenchmarkError(f"{self._name} did not start; its log ends:\n{self._tail()}")
            pause.wait(_POLL_S)

    def peak_memory_mb(self) -> float:
        """VmHWM of the process alone, in MB: the most memory that it held."""
        status = Path(f"/proc/{self._process.pid}/status").read_text()
        for line in status.splitlines():
            if line.startswith("VmHWM"):
                return int(line.split()[1]) * 1024 / 1e6
        raise BenchmarkError(f"{self._name} has ended; its log ends:\n{self._tail()}")

    def stop(self) -> None:
        """Ask it to end, and wait."""
        if self._process.poll() is None:
            self._process.terminate()
            with suppress(subprocess.TimeoutExpired):
                self._process.wait(_STOP_S)
        self.kill()

    def kill(self) -> None:
        """SIGKILL for it and all its children."""
        with suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()

    def _tail(self) -> str:
        lines = self._log.read_text(errors="replace").splitlines()
        return "\n".join(lines[-_LOG_TAIL_LINES:])


def free_port() -> int:
    """Return a loopback TCP port that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind((LOOPBACK, 0))
        port: int = probe.getsockname()[1]
        return port


def is_listening(port: int) -> bool:
    """Tell whether somebody takes connections on a loopback port."""
    try:
        with socket.create_connection((LOOPBACK, port), timeout=1):
            return True
    except OSError:
        return False
