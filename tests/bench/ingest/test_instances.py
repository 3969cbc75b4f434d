"""What is sent is a valid phantom study, new every time."""

from __future__ import annotations

from collections.abc import Callable
from hashlib import sha256
from pathlib import Path

from pydicom import dcmread
from pydicom.uid import ExplicitVRLittleEndian

from mome_node.bench.ingest.instances import (
    INSTANCES_A_SERIES,
    PreparedStudy,
    write_huge_instance,
)
from mome_node.dicom.uids import is_valid_uid


def test_files_are_valid_synthetic_images_of_the_size_asked_for(
    make_study: Callable[..., PreparedStudy],
) -> None:
    study = make_study(instances=3, dataset_bytes=40_000)
    (part,) = study.renew()
    for number, instance in enumerate(part):
        image = dcmread(instance.outbound.path)
        assert image.file_meta.TransferSyntaxUID == ExplicitVRLittleEndian
        assert image.file_meta.MediaStorageSOPInstanceUID == image.SOPInstanceUID
        assert image.SOPInstanceUID == instance.outbound.sop_instance_uid
        assert image.StudyInstanceUID == instance.study_uid
        assert (image.SyntheticData, image.PatientName) == ("YES", "Phantom^Benchmark")
        assert image.InstanceNumber == number + 1
        assert image.pixel_array.shape == (image.Rows, image.Columns)
        dataset = Path(instance.outbound.path).read_bytes()[instance.outbound.dataset_offset :]
        assert sha256(dataset).hexdigest() == instance.sha256
        assert abs(len(dataset) - 40_000) < 2_000
    assert study.total_bytes == sum(
        Path(i.outbound.path).stat().st_size - i.outbound.dataset_offset for i in part
    )


def test_every_sending_has_new_uids_of_one_study_of_several_series(
    make_study: Callable[..., PreparedStudy],
) -> None:
    study = make_study(instances=INSTANCES_A_SERIES + 1, dataset_bytes=600)
    seen: set[str] = set()
    for _ in range(2):
        (part,) = study.renew()
        images = [dcmread(i.outbound.path, stop_before_pixels=True) for i in part]
        studies = {str(i.StudyInstanceUID) for i in images}
        series = {str(i.SeriesInstanceUID) for i in images}
        instances = {str(i.SOPInstanceUID) for i in images}
        assert (len(studies), len(series), len(instances)) == (1, 2, len(images))
        uids = studies | series | instances
        assert all(is_valid_uid(uid) for uid in uids)
        assert not uids & seen
        seen |= uids


def test_each_association_has_its_share_in_a_folder_of_its_own(
    make_study: Callable[..., PreparedStudy],
) -> None:
    study = make_study(instances=10, parts=4)
    parts = study.renew()
    assert sum(len(part) for part in parts) == 10
    assert {len(part) for part in parts} == {2, 3}
    for folder, part in zip(study.folders, parts, strict=True):
        assert sorted(Path(i.outbound.path) for i in part) == sorted(folder.iterdir())


def test_a_huge_object_takes_no_room_before_it_is_sent(tmp_path: Path) -> None:
    huge = write_huge_instance(tmp_path, 50_000_000)
    status = Path(huge.outbound.path).stat()
    assert abs(status.st_size - 50_000_000) < 3_000_000
    assert status.st_blocks * 512 < 1_000_000
    image = dcmread(huge.outbound.path, stop_before_pixels=True)
    frame = image.Rows * image.Columns * 2
    assert status.st_size - huge.outbound.dataset_offset > frame * image.NumberOfFrames
    assert image.SOPInstanceUID == huge.outbound.sop_instance_uid
