"""Results that pile up while the PACS is down for a day: all of them once, in order, in little."""

from __future__ import annotations

import tracemalloc
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from pydicom import dcmread
from pydicom.uid import generate_uid

from conformance import dcmtk, objects
from conformance.delivering import DeliveringNode, utc_now, write_settings
from mome_node.catalog.records import DeliveryState
from mome_node.demonstration.pacs.pacs import free_port
from mome_node.settings import load_settings

ROUND_S = 900.0
ALLOWED_BYTES = 8 << 20


class Clock:
    def __init__(self) -> None:
        self.now = utc_now()

    def __call__(self) -> datetime:
        return self.now


def reports(exam: objects.SmallExam, count: int, folder: Path) -> list[Path]:
    """Reports of so many revisions of one study, each an object of its own."""
    folder.mkdir()
    report, made = dcmread(exam.sr), []
    for _ in range(count):
        report.SOPInstanceUID = report.file_meta.MediaStorageSOPInstanceUID = generate_uid()
        made.append(folder / f"{report.SOPInstanceUID}.dcm")
        report.save_as(made[-1])
    return made


@pytest.mark.peer("DCMTK")
@pytest.mark.parametrize("count", [50, pytest.param(1000, marks=pytest.mark.long)])
def test_backlog_of_a_day_arrives_once_in_order_and_in_little_memory(
    count: int, exam: objects.SmallExam, tmp_path: Path, record_property
) -> None:
    archive = dcmtk.start_dcmqrscp(tmp_path / "archive")
    peer = archive.address
    assert dcmtk.dcmsend(peer, exam.images).returncode == 0
    settings = write_settings(
        tmp_path / "node",
        free_port(),
        f'ae = "{peer.ae_title}"\nhost = "{peer.host}"\nport = {peer.port}\ncommitment = false',
    )
    clock = Clock()
    with DeliveringNode(load_settings(settings), clock) as node:
        # On a good day before, whatever is loaded only once has been.
        before = objects.small_exam(tmp_path / "before")
        assert dcmtk.dcmsend(peer, before.images).returncode == 0
        node.queue(before.study_uid, [before.sr])
        clock.now = utc_now()
        node.turn()
        assert node.states(before.study_uid) == {"found there"}
        paths = reports(exam, count, tmp_path / "results")
        order = [path.stem for path in paths]
        node.queue(exam.study_uid, paths)
        archive.stop()
        day_is_over = clock.now + timedelta(days=1)
        while clock.now < day_is_over:
            clock.now += timedelta(seconds=ROUND_S)
            node.turn()
        assert node.states(exam.study_uid) == {"pending"}
        archive = dcmtk.start_dcmqrscp(tmp_path / "archive", peer.port)
        tracemalloc.start()
        clock.now += timedelta(seconds=ROUND_S)
        for _ in range(2 * count):
            node.turn()
            if not any(s.is_on_its_way for _, s in node.catalog.deliveries.counts()):
                break
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        deliveries = node.deliveries(exam.study_uid)
    archive.stop()
    assert {d.state for d in deliveries} == {DeliveryState.FOUND}
    assert [d.result.sop_instance_uid for d in deliveries] == order
    assert [d.sent_at for d in deliveries] == sorted(d.sent_at for d in deliveries)
    arrived = [dcmread(path, stop_before_pixels=True).SOPInstanceUID for path in archive.received()]
    assert sorted(uid for uid in arrived if uid in set(order)) == sorted(order)
    record_property("peak_python_mb", round(peak / 2**20, 1))
    assert peak < ALLOWED_BYTES
