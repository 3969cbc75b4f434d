"""The delivering half of a node: its outbox, its receiver for reports, and no models.

    python -m conformance.delivering FOLDER

runs rounds over what is queued in FOLDER until all of it has arrived, as a process to be killed.
"""

from __future__ import annotations

import itertools
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Self

from pydicom import dcmread

from mome_node.catalog.catalog import Catalog
from mome_node.catalog.records import Arrival, DeliveryRecord, Route
from mome_node.catalog.states import StudyState
from mome_node.delivery.association import Timeouts
from mome_node.delivery.commitment_request import DimseCommitment
from mome_node.delivery.confirmation import Confirmations
from mome_node.delivery.destination import Destination
from mome_node.delivery.outbox import Outbox
from mome_node.delivery.ports import CommitmentScu, Port
from mome_node.delivery.reports_elsewhere import ReportsElsewhere
from mome_node.ingest.event_reports import AskingAssociations
from mome_node.jobs.requests import MadeObject
from mome_node.jobs.result_files import keep
from mome_node.node_delivery import confirmation_policy, limiters_of, ports, retry_policy
from mome_node.node_dicom import commitment_results, receiver, receiving
from mome_node.settings import Settings, load_settings
from mome_node.storage.local import LocalStore

MR = "1.2.840.10008.5.1.4.1.1.4"
PROFILE = "p"
NAME = "pacs"
ROUNDS = 200
_TO_REPORTING = (
    StudyState.RECEIVING,
    StudyState.ASSEMBLED,
    StudyState.QUEUED,
    StudyState.INFERRING,
    StudyState.REPORTING,
)


def utc_now() -> datetime:
    return datetime.now(UTC)


def write_settings(folder: Path, port: int, destination: str) -> Path:
    """A node.toml for ``folder``; ``destination``: TOML of the one that results go to."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "node.toml"
    path.write_text(
        f'[node]\ndata_dir = "data"\n[dicom]\nhost = "127.0.0.1"\nport = {port}\n'
        f"[delivery]\nfirst_s = 0.2\nlongest_s = 1.0\nconfirm_wait_s = 5\n"
        f'[[destination]]\nname = "{NAME}"\nvisibility = "research"\n{destination}\n'
    )
    return path


@dataclass
class DeliveringNode:
    """Open while it is a context; ``turn`` sends and asks once."""

    settings: Settings
    clock: object = utc_now
    catalog: Catalog = field(init=False)
    store: LocalStore = field(init=False)

    def __enter__(self) -> Self:
        data = self.settings.node.data_dir
        data.mkdir(parents=True, exist_ok=True)
        self.catalog = Catalog.open(self.settings.database_url)
        self.store = LocalStore(data)
        self._elsewhere = ReportsElsewhere()
        ledger, settings = self.catalog.deliveries, self.settings
        reception = receiving(settings, self.store, self.catalog, utc_now)
        results = commitment_results(settings, ledger, utc_now, self._elsewhere.note)
        self._scp = receiver(
            settings, reception, self.catalog, utc_now, AskingAssociations(), results
        )
        self._scp.start()
        found = ports(settings, utc_now(), limiters_of(settings), self._commitment)
        self.ports: Mapping[str, Port] = found
        retry = retry_policy(settings.delivery)
        self.outbox = Outbox(ledger, self.store.open, found, retry, self.clock)
        policy = confirmation_policy(settings.delivery)
        self.confirmations = Confirmations(ledger, self.store.open, found, policy, self.clock)
        return self

    def __exit__(self, *_: object) -> None:
        self._scp.stop()
        self.store.close()
        self.catalog.close()

    def _commitment(self, peer: Destination, timeouts: Timeouts) -> CommitmentScu:
        return DimseCommitment(peer, timeouts, elsewhere=self._elsewhere)

    def queue(self, study_uid: str, paths: Sequence[Path]) -> None:
        """Enter files as the results of a study that was evaluated."""
        now = utc_now()
        self.catalog.record_instance(
            Arrival(study_uid, "1.2.1", f"{study_uid}.9", MR, "1.2", "key", "0" * 64, 1, "A", now)
        )
        for source, target in itertools.pairwise(_TO_REPORTING):
            self.catalog.transition(study_uid, source, target, "test", now)
        rows = keep([_made(path) for path in paths], self.store, now)
        routes = [Route(NAME, PROFILE)]
        self.catalog.add_results(study_uid, 1, rows, routes, "results are in the outbox", now)

    def send(self) -> None:
        self.outbox.run_round(NAME)

    def confirm(self) -> None:
        self.confirmations.run_round(NAME)

    def turn(self) -> None:
        self.send()
        self.confirm()

    def deliveries(self, study_uid: str) -> tuple[DeliveryRecord, ...]:
        return self.catalog.deliveries.of_study(study_uid)

    def states(self, study_uid: str) -> set[str]:
        return {str(d.state) for d in self.deliveries(study_uid)}


def _made(path: Path) -> MadeObject:
    header = dcmread(path, stop_before_pixels=True)
    kind = "sr" if header.Modality == "SR" else "seg"
    return MadeObject(
        kind,
        PROFILE,
        str(header.SOPClassUID),
        str(header.SOPInstanceUID),
        str(header.SeriesInstanceUID),
        path,
    )


def main() -> int:
    """Deliver until nothing is on its way any more."""
    with DeliveringNode(load_settings(Path(sys.argv[1]) / "node.toml")) as node:
        sys.stdout.write("delivering\n")
        sys.stdout.flush()
        for _ in range(ROUNDS):
            node.turn()
            if not any(s.is_on_its_way for _, s in node.catalog.deliveries.counts()):
                return 0
    return 1


if __name__ == "__main__":
    sys.exit(main())
