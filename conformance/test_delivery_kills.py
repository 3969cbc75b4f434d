"""`kill -9` of whatever delivers, at any moment: each result arrives, once, and nothing else."""

from __future__ import annotations

import random
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from pydicom import dcmread
from pydicom.uid import generate_uid

from conformance import objects
from conformance.delivering import DeliveringNode, write_settings
from conformance.waiting import wait_until
from mome_node.catalog.records import DeliveryState
from mome_node.demonstration.pacs.orthanc import Orthanc
from mome_node.demonstration.pacs.pacs import LOOPBACK, DicomAddress, free_port
from mome_node.settings import load_settings

pytestmark = pytest.mark.peer("Orthanc")

SEED = 2026
STUDIES = 2
LONGEST_S = 1.5
COMMAND = [sys.executable, "-m", "conformance.delivering"]


def another(exam: objects.SmallExam, folder: Path) -> tuple[str, list[Path], list[Path]]:
    """The exam and its results as those of another study, with UIDs of their own."""
    folder.mkdir()
    study_uid = generate_uid()
    written = []
    for path in (*exam.images, *exam.results):
        copy = dcmread(path)
        copy.StudyInstanceUID, copy.SeriesInstanceUID = study_uid, generate_uid()
        copy.SOPInstanceUID = copy.file_meta.MediaStorageSOPInstanceUID = generate_uid()
        to = folder / f"{copy.SOPInstanceUID}.dcm"
        copy.save_as(to)
        written.append(to)
    return study_uid, written[: len(exam.images)], written[len(exam.images) :]


@pytest.mark.parametrize("kills", [6, pytest.param(100, marks=pytest.mark.long)])
def test_kills_at_any_moment_leave_each_result_there_once(
    kills: int, orthanc: Orthanc, exam: objects.SmallExam, tmp_path: Path, record_property
) -> None:
    chance, pause = random.Random(SEED), threading.Event()
    peer, port = orthanc.address, free_port()
    settings = write_settings(
        tmp_path / "node",
        port,
        f'ae = "{peer.ae_title}"\nhost = "{peer.host}"\nport = {peer.port}',
    )
    orthanc.set_node(DicomAddress("MOME", LOOPBACK, port))
    made: dict[str, set[str]] = {}
    done = 0
    while done < kills:
        with DeliveringNode(load_settings(settings)) as node:
            for _ in range(STUDIES):
                study_uid, images, results = another(exam, tmp_path / f"study-{len(made)}")
                orthanc.store_study(images)
                made[study_uid] = {path.stem for path in results}
                node.queue(study_uid, results)
        for _ in range(min(STUDIES, kills - done)):
            process = subprocess.Popen(
                [*COMMAND, str(tmp_path / "node")], stdout=subprocess.PIPE, text=True
            )
            assert process.stdout is not None
            said = iter(process.stdout.readline, "")  # its log comes there, too
            assert any(line == "delivering\n" for line in said)
            pause.wait(chance.uniform(0, LONGEST_S))
            process.kill()
            process.wait()
            done += 1
    with DeliveringNode(load_settings(settings)) as node:

        def all_there() -> bool:
            node.turn()
            return not any(s.is_on_its_way for _, s in node.catalog.deliveries.counts())

        wait_until(all_there, "all deliveries end", 300)
        states = {
            (study_uid, d.result.sop_instance_uid, d.state)
            for study_uid in made
            for d in node.deliveries(study_uid)
        }
    assert {state for *_, state in states} <= {DeliveryState.COMMITTED, DeliveryState.FOUND}
    for study_uid, uids in made.items():
        assert {uid for study, uid, _ in states if study == study_uid} == uids
        back = orthanc.results_of(study_uid, tmp_path / "back" / study_uid)
        assert {path.stem for path in back} == uids
        assert orthanc.instance_count(study_uid) == len(exam.images) + len(uids)
    record_property("kills", done)
    record_property("results", sum(map(len, made.values())))
