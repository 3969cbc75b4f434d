"""The receivers that are compared: each starts empty, and tells in the end what it holds."""

from __future__ import annotations

from collections.abc import Callable, Collection
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from mome_node.bench.ingest.certificate import Certificate
from mome_node.bench.ingest.instances import PreparedInstance
from mome_node.bench.ingest.process import Address


class OpenReceiver(Protocol):
    """A receiver that takes instances."""

    @property
    def address(self) -> Address:
        """Where to send to."""
        ...

    def peak_memory_mb(self) -> float | None:
        """The most memory that the process held which receives; None where several do."""
        ...

    def lost(self, acknowledged: Collection[PreparedInstance]) -> int:
        """How many of these it does not hold. Ends it: nothing can be sent to it afterwards."""
        ...


Opening = Callable[[Path, Certificate | None], AbstractContextManager[OpenReceiver]]


@dataclass(frozen=True, slots=True)
class Receiver:
    """One that can be started: ``open`` takes a new folder for its files, and a certificate.

    With a certificate it receives by TLS only.
    """

    key: str
    name: str
    open: Opening
