"""`kill -9` of the receiver while four senders stream: what they were told is what is there."""

from __future__ import annotations

import itertools
import random
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import pytest

from conformance.audit import Audit, Auditor
from conformance.light_sender import (
    EncodedRequest,
    LightSender,
    LinkBrokenError,
    encoded_request,
)
from conformance.receiver import Receiver
from conformance.receiver_process import CATALOG
from conformance.sent_images import SUCCESS, Image, Ledger, changed, make_image
from mome_node.catalog.catalog import Catalog
from mome_node.catalog.database import Database
from mome_node.demonstration.pacs.pacs import DicomAddress
from mome_node.storage.local import LocalStore

SENDERS, SEED = 4, 2026
FEW = 12
SMALLEST, LARGEST = 5_000, 1_000_000  # bytes
AN_INSTANCE_S, SOME_INSTANCES_S, A_START_S = 0.05, 0.6, 0.25
PROGRESS_S = 120.0
OFTEN_SENT_AGAIN = 0.15


class StreamingSender:
    """Streams images over one association until the link breaks, then takes up where it was.

    What got no answer is sent again, half of it changed, as by somebody who corrected it
    meanwhile; some of what was acknowledged is sent again, too.
    """

    def __init__(self, number: int, ledger: Ledger) -> None:
        self._chance = random.Random(f"{SEED}-{number}")
        self._calling_ae = f"SENDER{number}"
        self._root = f"2.25.{SEED}{number}"
        self._ledger = ledger
        self._serial = itertools.count(1)
        self._unanswered: list[Image] = []
        self._acknowledged: Image | None = None
        self.sent_again = 0
        self.sent_changed = 0

    def stream(self, peer: DicomAddress, life: int, progress: Progress) -> None:
        """Send until the link breaks."""
        message_ids = itertools.cycle(range(1, 65536))
        try:
            with LightSender(peer, self._calling_ae) as association:
                for image in self._images(life):
                    request = encoded_request(
                        image.sop_instance_uid, image.data_set, next(message_ids)
                    )
                    progress.sending()
                    self._send(association, image, request)
                    progress.answered()
        except LinkBrokenError:
            return

    def _send(self, association: LightSender, image: Image, request: EncodedRequest) -> None:
        try:
            status = association.store(request)
        except LinkBrokenError as error:
            self._ledger.enter(image, None, sent_whole=error.sent_whole)
            self._unanswered.append(image)
            raise
        self._ledger.enter(image, status)
        if status == SUCCESS:
            self._acknowledged = image

    def _images(self, life: int) -> Iterator[Image]:
        while self._unanswered:
            image = self._unanswered.pop()
            if self._chance.random() < 0.5:
                image = changed(self._chance, image)
                self.sent_changed += 1
            yield image
        while True:
            if self._acknowledged and self._chance.random() < OFTEN_SENT_AGAIN:
                self.sent_again += 1
                yield self._acknowledged
            study = f"{self._root}.{life}"
            uid = f"{study}.1.{next(self._serial)}"
            yield make_image(self._chance, study, uid, SMALLEST, LARGEST)


@dataclass(frozen=True)
class Moment:
    """When a receiver is killed: so long after so many answers; none: after first data."""

    answers: int
    then_s: float
    while_it_starts: bool = False


def moments(chance: random.Random, kills: int) -> Iterator[Moment]:
    for _ in range(kills):
        kind = chance.random()
        if kind < 0.05:
            yield Moment(0, chance.uniform(0, A_START_S), while_it_starts=True)
        elif kind < 0.55:
            yield Moment(0, chance.uniform(0, AN_INSTANCE_S))
        elif kind < 0.85:
            yield Moment(chance.randint(1, 12), chance.uniform(0, AN_INSTANCE_S))
        else:
            yield Moment(0, chance.uniform(AN_INSTANCE_S, SOME_INSTANCES_S))


class Progress:
    """How far the senders of one life have come."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._is_sending = False
        self._answers = 0

    def sending(self) -> None:
        with self._changed:
            self._is_sending = True
            self._changed.notify_all()

    def answered(self) -> None:
        with self._changed:
            self._answers += 1
            self._changed.notify_all()

    def wait_for(self, answers: int) -> None:
        with self._changed:
            assert self._changed.wait_for(
                lambda: self._is_sending and self._answers >= answers, PROGRESS_S
            ), f"not {answers} answers in {PROGRESS_S} s"


def live_and_die(
    receiver: Receiver, senders: list[StreamingSender], life: int, moment: Moment
) -> None:
    """Let all senders stream to a receiver that runs, and kill it at its moment."""
    progress = Progress()
    with ThreadPoolExecutor(len(senders)) as pool:
        streaming = [
            pool.submit(sender.stream, receiver.address, life, progress) for sender in senders
        ]
        try:
            progress.wait_for(moment.answers)
            threading.Event().wait(moment.then_s)
        finally:
            receiver.kill()
        for future in streaming:
            future.result(PROGRESS_S)


def files_in(data_dir: Path) -> frozenset[Path]:
    """Files of instances, whole or not; the catalogue's own come and go."""
    return frozenset(
        path for path in data_dir.rglob("*") if path.is_file() and not path.name.startswith(CATALOG)
    )


def look(auditor: Auditor, data_dir: Path) -> Audit:
    with Catalog(Database(f"sqlite:///{data_dir / CATALOG}")) as catalog:
        return auditor.look(data_dir, catalog, LocalStore(data_dir))


@dataclass
class Cut:
    """Where kills fell: what a restart cleared away, and what was kept but never answered."""

    cleared: int = 0
    kept_without_answer: int = 0


@pytest.mark.parametrize("kills", [FEW, pytest.param(300, marks=pytest.mark.long)])
def test_what_was_acknowledged_before_a_kill_is_there_once_and_whole(
    kills, tmp_path, record_property
):
    data_dir, ledger, cut = tmp_path / "data", Ledger(), Cut()
    senders = [StreamingSender(number, ledger) for number in range(SENDERS)]
    auditor = Auditor(ledger)
    with Receiver(data_dir, tmp_path / "receiver.log") as receiver:
        receiver.start()
        for life, moment in enumerate(moments(random.Random(SEED), kills)):
            told_before = len(ledger.entries)
            if moment.while_it_starts:
                receiver.kill()
                receiver.begin_start()
                threading.Event().wait(moment.then_s)
                receiver.kill()
            else:
                live_and_die(receiver, senders, life, moment)
            files = files_in(data_dir)
            receiver.start()
            audit = look(auditor, data_dir)
            assert audit.is_clean, audit
            cut.cleared += len(files - files_in(data_dir))
            cut.kept_without_answer += sum(
                told.status is None and (told.sop_instance_uid, told.digest) in audit.held
                for told in ledger.entries[told_before:]
            )
        auditor.afresh()
        audit = look(auditor, data_dir)
        receiver.stop()
    assert audit.is_clean, audit
    assert {told.status for told in ledger.entries} == {SUCCESS, None}
    figures = {
        "kills": kills,
        "acknowledged": len(ledger.acknowledged),
        "held": audit.rows,
        "megabytes": audit.bytes // 1_000_000,
        "sent again unchanged": sum(s.sent_again for s in senders),
        "sent again changed": sum(s.sent_changed for s in senders),
        "unanswered": len(ledger.unanswered),
        "unanswered, cut off and cleared away": cut.cleared,
        "unanswered, yet kept whole": cut.kept_without_answer,
    }
    for name, value in figures.items():
        record_property(name, value)
    # Between a commit and its answer there is so little time that few kills may miss it.
    sure = figures if kills > FEW else ("acknowledged", "unanswered")
    assert all(figures[name] for name in sure), f"the kills missed what they were to hit: {figures}"
