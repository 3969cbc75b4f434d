"""The rounds: every receiver in turn, from an empty store, with everything that is to be sent."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

from mome_node.bench.ingest.certificate import Certificate, make_certificate
from mome_node.bench.ingest.disk import settle_disk
from mome_node.bench.ingest.instances import PreparedInstance, PreparedStudy
from mome_node.bench.ingest.process import LOOPBACK
from mome_node.bench.ingest.receivers import Receiver
from mome_node.bench.ingest.senders import Sender, Sent

Progress = Callable[[str], None]
_Item = TypeVar("_Item")


@dataclass(frozen=True, slots=True)
class Load:
    """What is sent in each turn: a study of so many data sets, of about so many bytes each."""

    instances: int
    dataset_bytes: int

    @property
    def total_bytes(self) -> int:
        """Bytes of all data sets together, about."""
        return self.instances * self.dataset_bytes


@dataclass(frozen=True, slots=True)
class Cell:
    """One way to send."""

    sender: str
    associations: int
    tls: bool


@dataclass(frozen=True, slots=True)
class Turn:
    """One sending of the whole load to one receiver, in one round."""

    round: int
    receiver: str
    cell: Cell
    megabytes: float
    sent: Sent


@dataclass(frozen=True, slots=True)
class Race:
    """All turns; the most memory of each receiver's process, and what each one lost."""

    turns: list[Turn] = field(default_factory=list)
    peak_memory_mb: dict[str, float] = field(default_factory=dict)
    lost: dict[str, int] = field(default_factory=dict)

    def note_end(self, receiver: str, memory_mb: float | None, lost: int) -> None:
        """Record how a receiver's part in a round ended."""
        if memory_mb is not None:
            self.peak_memory_mb[receiver] = max(memory_mb, self.peak_memory_mb.get(receiver, 0.0))
        self.lost[receiver] = lost + self.lost.get(receiver, 0)


@dataclass(frozen=True, slots=True)
class _Supplies:
    """What is sent, by the number of associations, and the certificate that receivers show."""

    studies: Mapping[int, PreparedStudy]
    certificate: Certificate | None


@dataclass(frozen=True, slots=True)
class Racecourse:
    """What takes part, and how: ``associations`` at once, with and without ``tls``."""

    receivers: Sequence[Receiver]
    senders: Sequence[Sender]
    associations: Sequence[int]
    tls: Sequence[bool]
    folder: Path

    def run(self, load: Load, rounds: int, progress: Progress) -> Race:
        """Measure ``rounds`` rounds, after one with little to send that does not count.

        BenchmarkError if a receiver does not start, or a sender is refused an instance.
        """
        with fresh_folder(self.folder) as place:
            certificate = make_certificate(place, LOOPBACK) if any(self.tls) else None
            little = Load(max(self.associations), load.dataset_bytes)
            rehearsal = _Supplies(self._prepared(little, place / "little"), certificate)
            self._round(Race(), 0, rehearsal, place, progress)
            progress("writing what will be sent")
            supplies = _Supplies(self._prepared(load, place / "load"), certificate)
            race = Race()
            for number in range(1, rounds + 1):
                self._round(race, number, supplies, place, progress)
        return race

    def _round(
        self, race: Race, number: int, supplies: _Supplies, place: Path, progress: Progress
    ) -> None:
        for tls in self.tls:
            with emptied_folder(place) as round_place:
                for receiver in rotated(self.receivers, number):
                    progress(f"round {number}: {receiver.key}, {'TLS' if tls else 'plain'}")
                    work = round_place / receiver.key
                    work.mkdir()
                    cells = rotated(self._cells(tls=tls), number)
                    certificate = supplies.certificate if tls else None
                    self._turn(race, number, receiver, cells, supplies.studies, certificate, work)

    def _turn(
        self,
        race: Race,
        number: int,
        receiver: Receiver,
        cells: Sequence[Cell],
        studies: Mapping[int, PreparedStudy],
        certificate: Certificate | None,
        work: Path,
    ) -> None:
        """Let one receiver, which starts empty, have every way of sending."""
        with receiver.open(work, certificate) as opened:
            acknowledged: list[PreparedInstance] = []
            for cell in cells:
                parts = studies[cell.associations].renew()
                settle_disk()
                sent = self._sender(cell).send(opened.address, certificate, parts, work)
                megabytes = studies[cell.associations].total_bytes / 1e6
                race.turns.append(Turn(number, receiver.key, cell, megabytes, sent))
                acknowledged += [instance for part in parts for instance in part]
            memory = opened.peak_memory_mb()
            race.note_end(receiver.key, memory, opened.lost(acknowledged))

    def _cells(self, *, tls: bool) -> list[Cell]:
        return [Cell(s.key, count, tls) for s in self.senders for count in self.associations]

    def _sender(self, cell: Cell) -> Sender:
        return next(sender for sender in self.senders if sender.key == cell.sender)

    def _prepared(self, load: Load, folder: Path) -> dict[int, PreparedStudy]:
        return {
            count: PreparedStudy(folder / str(count), load.instances, load.dataset_bytes, count)
            for count in self.associations
        }


@contextmanager
def fresh_folder(parent: Path) -> Iterator[Path]:
    """An empty folder, gone afterwards."""
    with tempfile.TemporaryDirectory(prefix="bench-", dir=parent) as folder:
        yield Path(folder).resolve()


@contextmanager
def emptied_folder(parent: Path) -> Iterator[Path]:
    """An empty folder for the receivers of one round, whose files are made empty afterwards.

    They are not deleted: for minutes, ext4 looks at each file that is gone when it makes a new one
    (``recently_deleted``, without a journal), for which whoever comes next would pay.
    """
    folder = Path(tempfile.mkdtemp(prefix="round-", dir=parent))
    try:
        yield folder
    finally:
        for path in folder.rglob("*"):
            if path.is_file() and not path.is_symlink():
                os.truncate(path, 0)


def rotated(items: Sequence[_Item], by: int) -> list[_Item]:
    """Return the items with another one first in each round: nobody always starts."""
    first = by % len(items)
    return [*items[first:], *items[:first]]
