"""A race is fair: empty stores, new UIDs, turns, and the first round does not count."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from mome_node.bench.ingest.certificate import Certificate
from mome_node.bench.ingest.instances import PreparedInstance
from mome_node.bench.ingest.process import Address
from mome_node.bench.ingest.race import Load, Race, Racecourse, emptied_folder, rotated
from mome_node.bench.ingest.receivers import Receiver
from mome_node.bench.ingest.senders import Associations, Sender, Sent
from mome_node.errors import BenchmarkError


class Recorder:
    """Receivers and senders that only write down what is asked of them."""

    def __init__(self, lost_a_round: int = 0) -> None:
        self.opened: list[tuple[str, bool]] = []
        self.folders: list[Path] = []
        self.sent: list[list[str]] = []
        self.lost_a_round = lost_a_round

    def receiver(self, key: str) -> Receiver:
        @contextmanager
        def opened(folder: Path, certificate: Certificate | None) -> Iterator[_Opened]:
            assert list(folder.iterdir()) == []
            self.opened.append((key, certificate is not None))
            self.folders.append(folder)
            (folder / "store").mkdir()
            yield _Opened(self)

        return Receiver(key, key, opened)

    def sender(self, key: str) -> Sender:
        def send(
            address: Address, certificate: Certificate | None, parts: Associations, work: Path
        ) -> Sent:
            assert work == self.folders[-1]
            assert (certificate is not None) == self.opened[-1][1]
            self.sent.append([i.outbound.sop_instance_uid for part in parts for i in part])
            return Sent(1.0)

        return Sender(key, key, send)


class _Opened:
    address = Address("RECEIVER", 1)

    def __init__(self, recorder: Recorder) -> None:
        self._recorder = recorder

    def peak_memory_mb(self) -> float | None:
        return 10.0 * len(self._recorder.opened)

    def lost(self, acknowledged: Collection[PreparedInstance]) -> int:
        uids = {i.outbound.sop_instance_uid for i in acknowledged}
        assert uids == {uid for sent in self._recorder.sent[-4:] for uid in sent}
        return self._recorder.lost_a_round


def run(recorder: Recorder, folder: Path, rounds: int = 2) -> Race:
    course = Racecourse(
        receivers=[recorder.receiver("node"), recorder.receiver("other")],
        senders=[recorder.sender("fast"), recorder.sender("slow")],
        associations=(1, 2),
        tls=(False, True),
        folder=folder,
    )
    return course.run(Load(6, 2_000), rounds, lambda _: None)


def test_each_round_has_every_receiver_with_every_way_to_send(tmp_path: Path) -> None:
    race = run(Recorder(), tmp_path)
    found = [(t.round, t.receiver, t.cell) for t in race.turns]
    assert len(found) == len(set(found)) == 2 * 2 * 2 * 2 * 2
    assert {t.round for t in race.turns} == {1, 2}


def test_receivers_take_turns_and_begin_with_little_that_does_not_count(tmp_path: Path) -> None:
    recorder = Recorder()
    run(recorder, tmp_path)
    plain = [key for key, tls in recorder.opened if not tls]
    assert plain == ["node", "other", "other", "node", "node", "other"]
    assert [len(sent) for sent in recorder.sent[:16]] == [2] * 16
    assert {len(sent) for sent in recorder.sent[16:]} == {6}


def test_no_uid_is_ever_sent_twice(tmp_path: Path) -> None:
    recorder = Recorder()
    run(recorder, tmp_path)
    uids = [uid for sent in recorder.sent for uid in sent]
    assert len(uids) == len(set(uids))


def test_nothing_is_left_behind(tmp_path: Path) -> None:
    recorder = Recorder()
    run(recorder, tmp_path)
    assert list(tmp_path.iterdir()) == []
    assert len(set(recorder.folders)) == len(recorder.folders)


def test_files_of_a_round_are_made_empty_and_stay_until_the_race_is_over(tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.write_bytes(b"of somebody else")
    with emptied_folder(tmp_path) as folder:
        (folder / "store").mkdir()
        kept = folder / "store" / "instance.dcm"
        kept.write_bytes(b"data")
        (folder / "link").symlink_to(outside)
    assert kept.read_bytes() == b""
    assert outside.read_bytes() == b"of somebody else"


def test_losses_of_all_rounds_are_added_up(tmp_path: Path) -> None:
    race = run(Recorder(lost_a_round=1), tmp_path)
    assert race.lost == {"node": 4, "other": 4}  # two rounds, plain and TLS


def test_a_sender_that_fails_ends_the_race_and_leaves_nothing(tmp_path: Path) -> None:
    recorder = Recorder()

    def fail(*_: object) -> Sent:
        raise BenchmarkError("refused")

    course = Racecourse(
        [recorder.receiver("node")], [Sender("x", "x", fail)], (1,), (False,), tmp_path
    )
    with pytest.raises(BenchmarkError, match="refused"):
        course.run(Load(1, 1_000), 1, lambda _: None)
    assert list(tmp_path.iterdir()) == []


def test_everybody_is_first_once() -> None:
    assert [rotated("abc", n)[0] for n in range(4)] == ["a", "b", "c", "a"]
