"""A study of the size that a hospital sends goes through in bounded memory."""

from __future__ import annotations

import threading
from pathlib import Path

import psutil
import pytest

from conformance import dcmtk
from conformance.node import ServedNode, introduce
from mome_node.catalog.records import DeliveryState
from mome_node.catalog.states import StudyState
from mome_node.phantom.dicom_writer import write_study
from mome_node.phantom.exam import Protocol, Vendor
from mome_node.phantom.render import render_exam

USUAL = Protocol((384, 384, 75), (192, 192, 40), (384, 384, 50))
LARGE = Protocol((384, 384, 100), (192, 192, 40), (384, 384, 50))
SEED = 29  # malignant, with five post-contrast phases
ALLOWED_BYTES = 3 << 30
SAMPLED_EVERY_S = 0.05

pytestmark = pytest.mark.peer("Orthanc")


class Sampler:
    """The most memory that a process and its children hold together, looked at often."""

    def __init__(self, pid: int) -> None:
        self.peak_bytes = 0
        self._process = psutil.Process(pid)
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> Sampler:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stopping.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._stopping.wait(SAMPLED_EVERY_S):
            self.peak_bytes = max(self.peak_bytes, self._resident())

    def _resident(self) -> int:
        """Resident bytes; pages that processes share count for each of them."""
        total = 0
        for process in (self._process, *self._process.children(recursive=True)):
            try:
                total += process.memory_info().rss
            except psutil.NoSuchProcess:
                continue
        return total


@pytest.fixture(params=[USUAL, LARGE], ids=["usual", "large"])
def study(tmp_path: Path, request: pytest.FixtureRequest) -> tuple[str, tuple[Path, ...]]:
    exam = render_exam(SEED, protocol=request.param)
    uid = f"2.25.{SEED}0384"
    paths = write_study(exam, tmp_path / "exam", vendor=Vendor.GE, study_uid=uid)
    assert len(exam.dce) == 6
    assert len(paths) >= 700
    return uid, paths


@pytest.mark.long
def test_study_goes_through_below_three_gigabytes(orthanc, study, tmp_path, record_property):
    study_uid, paths = study
    node = ServedNode(tmp_path / "node", orthanc.address, quiet_s=5.0)
    introduce(node, orthanc, paths)
    node.start()
    try:
        with Sampler(node.process.pid) as sampler:
            sent = dcmtk.storescu(node.address, paths)
            assert sent.returncode == 0, sent.stderr
            node.wait_for(study_uid, StudyState.DELIVERED)
        with node.catalog() as catalog:
            at = {event.target: event.at for event in catalog.events_of(study_uid)}
            deliveries = catalog.deliveries.of_study(study_uid)
            kinds = [each.result.kind for each in catalog.results_of(study_uid)]
    finally:
        node.stop()
    assert sorted(kinds) == ["seg", "sr"]
    assert {d.state for d in deliveries} == {DeliveryState.COMMITTED}
    steps = node.logged("study evaluated")[0]["seconds"]
    kept_to_confirmed = (at[StudyState.DELIVERED] - at[StudyState.REPORTING]).total_seconds()
    record_property("objects_made_and_checked_s", steps["reporting"])
    record_property("kept_to_confirmed_s", round(kept_to_confirmed, 2))
    record_property("inferred_to_confirmed_s", round(steps["reporting"] + kept_to_confirmed, 2))
    record_property("instances", len(paths))
    record_property("peak_resident_mb", sampler.peak_bytes >> 20)
    assert sampler.peak_bytes < ALLOWED_BYTES
