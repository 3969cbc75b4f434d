"""SR and SEG of the pipeline in a real PACS, and read back by highdicom."""

from __future__ import annotations

from pathlib import Path

import highdicom as hd
import numpy as np
import pytest
from dicomweb_client.api import DICOMwebClient
from pydicom import dcmread
from pydicom.dataset import Dataset

from conformance import dcmtk
from conformance.planes import plane_of
from conformance.study_results import EvaluatedStudy, StudyMaker
from mome_node.delivery.destination import Destination, Outgoing
from mome_node.delivery.dimse import DimseSender
from mome_node.demonstration.pacs.orthanc import Orthanc
from mome_node.phantom.exam import Vendor

FORMS = [(Vendor.SIEMENS, False), (Vendor.GE, False), (Vendor.PHILIPS, True)]
LONG_FORMS = [(Vendor.PHILIPS, False), (Vendor.SIEMENS, True), (Vendor.GE, True)]
NEAR_MM = 5.0
"""A region's centre is weighted by the attribution, so it may lie beside a bent region."""


@pytest.fixture(
    params=[*FORMS, *(pytest.param(form, marks=pytest.mark.long) for form in LONG_FORMS)],
    ids=lambda form: f"{form[0]}-{'enhanced' if form[1] else 'classic'}",
)
def study(request: pytest.FixtureRequest, make_study: StudyMaker) -> EvaluatedStudy:
    """A study with regions."""
    vendor, enhanced = request.param
    return make_study(vendor, enhanced=enhanced)


def read(path: Path) -> Dataset:
    return dcmread(path)


def send(orthanc: Orthanc, study: EvaluatedStudy, sender: str) -> None:
    """Store the results as the node does, or with DCMTK's dcmsend."""
    if sender == "dcmsend":
        done = dcmtk.dcmsend(orthanc.address, study.results)
        assert done.returncode == 0, done.stderr
        return
    peer = orthanc.address
    destination = Destination("orthanc", peer.ae_title, peer.host, peer.port, "MOME")
    objects = [
        Outgoing(str(read(path).SOPInstanceUID), lambda path=path: path.open("rb"))
        for path in study.results
    ]
    assert [receipt.status for receipt in DimseSender(destination).send(objects)] == [0, 0]


@pytest.mark.peer("Orthanc")
@pytest.mark.parametrize("sender", ["node", "dcmsend"])
def test_orthanc_finds_the_results_by_qido_and_returns_them_unchanged_by_wado(
    orthanc: Orthanc, study: EvaluatedStudy, sender: str
) -> None:
    send(orthanc, study, sender)
    client = DICOMwebClient(orthanc.dicomweb_url)
    series = client.search_for_series(study.study_uid)
    assert sorted(entry["00080060"]["Value"][0] for entry in series) == ["SEG", "SR"]
    for path in study.results:
        sent = read(path)
        found = client.search_for_instances(study.study_uid, sent.SeriesInstanceUID)
        assert [entry["00080018"]["Value"][0] for entry in found] == [sent.SOPInstanceUID]
        back = client.retrieve_instance(
            study.study_uid,
            sent.SeriesInstanceUID,
            sent.SOPInstanceUID,
            media_types=(("application/dicom", "*"),),
        )
        assert back == sent
        assert data_set(orthanc.file_of(sent.SOPInstanceUID)) == data_set(path.read_bytes())


def data_set(part10: bytes) -> bytes:
    """What follows the File Meta Information (PS3.10 7.1), whose length its first element says."""
    return part10[144 + int.from_bytes(part10[140:144], "little") :]


def content_phase(image: Dataset, frame: int) -> object:
    if "PerFrameFunctionalGroupsSequence" not in image:
        return image.SeriesInstanceUID, image.get("AcquisitionTime")
    groups = image.PerFrameFunctionalGroupsSequence[frame - 1]
    return image.SOPInstanceUID, groups.FrameContentSequence[0].get("TemporalPositionIndex")


@pytest.mark.peer("highdicom")
def test_every_segment_lies_where_the_findings_say(study: EvaluatedStudy) -> None:
    assert study.seg is not None
    seg = hd.seg.segread(study.seg)
    regions = study.findings["regions"]
    assert seg.number_of_segments == len(regions) > 0
    for number, region in enumerate(regions, start=1):
        description = seg.get_segment_description(number)
        assert description.tracking_uid == region["tracking_uid"]
        volume = seg.get_volume(segment_numbers=[number], combine_segments=True)
        inside = np.argwhere(volume.array > 0)
        assert len(inside) > 0
        places = volume.map_indices_to_reference(inside)
        distance = np.linalg.norm(places - np.array(region["center_mm"]), axis=1).min()
        assert distance <= NEAR_MM
        side = {"L": 1, "R": -1}[region["laterality"]]  # LPS: x grows to the patient's left
        assert np.all(places[:, 0] * side > 0)


@pytest.mark.peer("highdicom")
def test_every_frame_of_the_seg_lies_on_the_frame_that_it_names(study: EvaluatedStudy) -> None:
    assert study.seg is not None
    seg = read(study.seg)
    images = {ds.SOPInstanceUID: ds for ds in map(read, study.images)}
    phases = set()
    for groups in seg.PerFrameFunctionalGroupsSequence:
        source = groups.DerivationImageSequence[0].SourceImageSequence[0]
        image, frame = images[source.ReferencedSOPInstanceUID], source.get("ReferencedFrameNumber")
        phases.add(content_phase(image, frame))
        own = Dataset()
        own.update(seg.SharedFunctionalGroupsSequence[0].PlaneOrientationSequence[0])
        own.update(seg.SharedFunctionalGroupsSequence[0].PixelMeasuresSequence[0])
        own.update(groups.PlanePositionSequence[0])
        there = plane_of(image, frame)
        for name in ("ImagePositionPatient", "ImageOrientationPatient", "PixelSpacing"):
            np.testing.assert_allclose(own[name].value, there[name].value, atol=1e-3)
        assert (seg.Rows, seg.Columns) == (image.Rows, image.Columns)
        assert seg.FrameOfReferenceUID == image.FrameOfReferenceUID
    assert len(phases) == 1


@pytest.mark.peer("highdicom")
def test_highdicom_reads_the_report_and_its_regions_point_into_the_exam(
    study: EvaluatedStudy,
) -> None:
    report = hd.sr.srread(study.sr)
    uids = {str(read(path).SOPInstanceUID) for path in study.images}
    planar = report.content.get_planar_roi_measurement_groups()
    volumetric = report.content.get_volumetric_roi_measurement_groups()
    regions = [region["tracking_uid"] for region in study.findings["regions"]]
    assert [group.tracking_uid for group in volumetric] == regions
    assert [group.tracking_uid for group in planar][1:] == regions  # the first is the field
    for group in planar:
        assert group.roi is not None
        images = [
            item.ReferencedSOPSequence[0].ReferencedSOPInstanceUID
            for item in group.roi.ContentSequence
        ]
        assert set(images) <= uids
