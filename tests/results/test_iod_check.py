"""Our own check of an object's IOD finds what is wrong, and nothing in what is right."""

from __future__ import annotations

import sys
import warnings
from collections.abc import Callable, Iterator
from dataclasses import replace
from io import BytesIO
from pathlib import Path
from typing import Any

import highdicom as hd
import numpy as np
import pytest
from highdicom import _standard_utils as tables
from highdicom.sr import CodedConcept
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydicom import DataElement, Dataset, dcmread
from pydicom.config import IGNORE
from pydicom.sr.codedict import codes
from pydicom.uid import MultiFrameTrueColorSecondaryCaptureImageStorage as TrueColor

from mome_node.errors import ResultError
from mome_node.results import iod_tables
from mome_node.results.context import ResultContext
from mome_node.results.dciodvfy import dciodvfy_errors
from mome_node.results.iod_check import iod_faults
from mome_node.results.profile import ResultProfile
from mome_node.results.result_set import encode, make_results

OWN_UID = "2.25.4711"
MAKER = {
    "series_instance_uid": "2.25.100",
    "series_number": 1,
    "sop_instance_uid": OWN_UID,
    "instance_number": 1,
    "manufacturer": "mome-node project",
}
DEVICE = {
    "manufacturer_model_name": "mome-node",
    "software_versions": "1",
    "device_serial_number": "1",
}


def _sr(exam: Any, made: dict[str, Dataset]) -> Dataset:
    return made["sr"]


def _seg(exam: Any, made: dict[str, Dataset]) -> Dataset:
    return made["seg"]


def _other_sr(maker: Callable[..., Any]) -> Callable[..., Dataset]:
    def make(exam: Any, made: dict[str, Dataset]) -> Dataset:
        root = hd.sr.ContainerContentItem(
            name=codes.DCM.ImagingMeasurementReport, is_content_continuous=False
        )
        sentence = hd.sr.TextContentItem(
            name=codes.DCM.Comment, value="a sentence", relationship_type="CONTAINS"
        )
        image = hd.sr.ImageContentItem(
            name=codes.DCM.SourceImage,
            referenced_sop_class_uid=exam.sources[0].SOPClassUID,
            referenced_sop_instance_uid=exam.sources[0].SOPInstanceUID,
            relationship_type="CONTAINS",
        )
        root.ContentSequence = hd.sr.ContentSequence([sentence, image])
        return maker(evidence=list(exam.sources[:1]), content=root, **MAKER, is_complete=True)

    return make


def _key_objects(exam: Any, made: dict[str, Dataset]) -> Dataset:
    content = hd.ko.KeyObjectSelection(
        document_title=codes.DCM.OfInterest, referenced_objects=list(exam.sources[:2])
    )
    return hd.ko.KeyObjectSelectionDocument(
        evidence=list(exam.sources[:2]), content=content, **MAKER
    )


def _secondary_capture(exam: Any, made: dict[str, Dataset]) -> Dataset:
    dataset = hd.sc.SCImage.from_ref_dataset(
        exam.sources[0],
        pixel_array=np.zeros((8, 6, 3), np.uint8),
        photometric_interpretation="RGB",
        bits_allocated=8,
        coordinate_system="PATIENT",
        patient_orientation=["L", "P"],
        **MAKER,
    )
    dataset.Laterality = ""  # Type 2C, as the breast is a paired organ
    return dataset


def _true_color(exam: Any, made: dict[str, Dataset]) -> Dataset:
    dataset = _secondary_capture(exam, made)
    dataset.SOPClassUID = dataset.file_meta.MediaStorageSOPClassUID = TrueColor
    dataset.NumberOfFrames = 2
    dataset.BurnedInAnnotation = "NO"
    dataset.FrameIncrementPointer = 0x00182002  # Frame Label Vector
    dataset.FrameLabelVector = ["one", "two"]
    dataset.PixelData = bytes(2 * 8 * 6 * 3)
    return dataset


def _parametric_map(exam: Any, made: dict[str, Dataset]) -> Dataset:
    sources = list(exam.sources)
    columns, rows = int(sources[0].Columns), int(sources[0].Rows)
    mapping = hd.pm.RealWorldValueMapping(
        lut_label="1",
        lut_explanation="attribution",
        unit=codes.UCUM.NoUnits,
        value_range=(-1.0, 1.0),
        intercept=0,
        slope=1,
        quantity_definition=CodedConcept("130401", "DCM", "Visual explanation"),
    )
    dataset = hd.pm.ParametricMap(
        source_images=sources,
        pixel_array=np.zeros((len(sources), rows, columns), np.float32),
        contains_recognizable_visual_features=False,
        real_world_value_mappings=[mapping],
        window_center=0,
        window_width=2,
        **MAKER,
        **DEVICE,
    )
    dataset.Laterality = ""
    return dataset


OBJECTS: dict[str, Callable[..., Dataset]] = {
    "Comprehensive 3D SR": _sr,
    "Segmentation": _seg,
    "Comprehensive SR": _other_sr(hd.sr.ComprehensiveSR),
    "Enhanced SR": _other_sr(hd.sr.EnhancedSR),
    "Key Object Selection": _key_objects,
    "Secondary Capture": _secondary_capture,
    "multi-frame true color Secondary Capture": _true_color,
    "Parametric Map": _parametric_map,
}


@pytest.fixture(scope="module")
def kept() -> dict[str, bytes]:
    return {}


@pytest.fixture
def encoded(
    make_exam: Callable[..., Any], context: ResultContext, kept: dict[str, bytes]
) -> Callable[[str], bytes]:
    """The bytes of a valid object of one IOD, made once."""

    def make(name: str) -> bytes:
        if name not in kept:
            kept[name] = made_now(name)
        return kept[name]

    def made_now(name: str) -> bytes:
        exam = make_exam(regions=2)
        results = make_results(exam.findings, context, exam.headers)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of highdicom, on the sources' names
            made = OBJECTS[name](exam, {o.kind: o.dataset for o in results.objects})
        return encode(made)

    return make


def read(encoded: bytes) -> Dataset:
    return dcmread(BytesIO(encoded))


def put(dataset: Dataset, keyword: str, value: Any) -> None:
    """Set a value that pydicom would refuse."""
    vr = dataset[keyword].VR
    dataset[keyword] = DataElement(keyword, vr, value, validation_mode=IGNORE)


@pytest.mark.parametrize("name", OBJECTS)
def test_a_valid_object_of_every_iod_that_is_made_has_no_fault(
    name: str, encoded: Callable[[str], bytes]
) -> None:
    assert iod_faults(read(encoded(name))) == ()


@pytest.mark.peer("dciodvfy")
@pytest.mark.parametrize("name", OBJECTS)
def test_dciodvfy_agrees_that_the_valid_objects_are_valid(
    name: str, encoded: Callable[[str], bytes], tmp_path: Path
) -> None:
    path = tmp_path / "object.dcm"
    path.write_bytes(encoded(name))
    assert dciodvfy_errors(path) == ()


OPTIONAL = {"FrameIncrementPointer", "FrameVOILUTSequence"}
"""Type 1 by the lists; the one has a condition of its own IOD, the other is an optional macro."""


def asked_for(dataset: Dataset) -> list[tuple[str, ...]]:
    """Paths of the attributes of Type 1 that the object has, by highdicom's flat lists."""
    iod = tables.get_sop_class_iod_map()[dataset.SOPClassUID]
    paths: dict[tuple[str, ...], None] = {}
    for module in tables.get_iod_module_map()[iod]:
        if module["usage"] != "M" or module["key"] == "sr-document-content":
            continue
        for row in tables.get_module_attribute_map()[module["key"]]:
            path = (*row["path"], row["keyword"])
            if row["type"] == "1" and path[-1] not in OPTIONAL:
                paths[path] = None
    return [path for path in paths if holder_of(dataset, path) is not None]


def holder_of(dataset: Dataset, path: tuple[str, ...]) -> Dataset | None:
    """The first data set that holds the attribute at the end of a path."""
    if len(path) == 1:
        return dataset if path[0] in dataset else None
    for item in dataset.get(path[0]) or ():
        found = holder_of(item, path[1:])
        if found is not None:
            return found
    return None


@pytest.mark.parametrize("name", OBJECTS)
@settings(
    max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(data=st.data())
def test_any_missing_or_empty_attribute_of_type_1_is_reported(
    name: str, encoded: Callable[[str], bytes], data: st.DataObject
) -> None:
    dataset = read(encoded(name))
    path = data.draw(st.sampled_from(asked_for(dataset)))
    take_out(dataset, path, empty=data.draw(st.booleans()))
    assert path == ("SOPClassUID",) or told(dataset, path[-1])


@pytest.mark.long
@pytest.mark.parametrize("name", OBJECTS)
def test_every_missing_attribute_of_type_1_is_reported(
    name: str, encoded: Callable[[str], bytes]
) -> None:
    whole = encoded(name)
    for path in asked_for(read(whole)):
        dataset = read(whole)
        take_out(dataset, path, empty=False)
        assert path == ("SOPClassUID",) or told(dataset, path[-1]), path


def take_out(dataset: Dataset, path: tuple[str, ...], *, empty: bool) -> None:
    holder = holder_of(dataset, path)
    assert holder is not None
    if empty:
        holder[path[-1]] = DataElement(path[-1], holder[path[-1]].VR, None)
    else:
        del holder[path[-1]]


def told(dataset: Dataset, keyword: str) -> bool:
    return any(keyword in fault for fault in iod_faults(dataset))


def test_an_object_without_a_class_cannot_be_checked_and_is_no_valid_one(
    encoded: Callable[[str], bytes],
) -> None:
    dataset = read(encoded("Segmentation"))
    del dataset.SOPClassUID
    with pytest.raises(ResultError, match="no table"):
        iod_faults(dataset)


def items_of(dataset: Dataset) -> Iterator[Dataset]:
    for item in dataset.get("ContentSequence") or ():
        yield item
        yield from items_of(item)


CONTENT = {
    *("RelationshipType", "ValueType", "TextValue", "ConceptCodeSequence", "MeasuredValueSequence"),
    *("UID", "GraphicType", "GraphicData", "ReferencedSOPSequence", "ContinuityOfContent"),
}


@pytest.mark.parametrize("keyword", sorted(CONTENT))
def test_what_an_item_of_the_report_lacks_is_reported(
    keyword: str, encoded: Callable[[str], bytes]
) -> None:
    dataset = read(encoded("Comprehensive 3D SR"))
    item = next(item for item in items_of(dataset) if keyword in item)
    del item[keyword]
    assert told(dataset, keyword)


@pytest.mark.parametrize(
    "keyword", ["ConceptNameCodeSequence", "MeasurementUnitsCodeSequence", "NumericValue"]
)
def test_number_of_the_report_without_name_unit_or_value_is_reported(
    keyword: str, encoded: Callable[[str], bytes]
) -> None:
    dataset = read(encoded("Comprehensive 3D SR"))
    number = next(item for item in items_of(dataset) if item.ValueType == "NUM")
    holder = number if keyword in number else number.MeasuredValueSequence[0]
    del holder[keyword]
    assert told(dataset, keyword)


@pytest.mark.parametrize("keyword", ["CodeValue", "CodingSchemeDesignator", "CodeMeaning"])
@pytest.mark.parametrize("name", OBJECTS)
def test_half_a_code_is_reported_wherever_it_stands(
    name: str, keyword: str, encoded: Callable[[str], bytes]
) -> None:
    dataset = read(encoded(name))
    coded = [item for item in all_items(dataset) if keyword in item and "CodeMeaning" in item]
    if not coded:
        assert "Secondary Capture" in name  # has no codes
        return
    del coded[-1][keyword]
    assert told(dataset, keyword)


def all_items(dataset: Dataset) -> Iterator[Dataset]:
    for element in dataset:
        if element.VR == "SQ":
            for item in element.value:
                yield item
                yield from all_items(item)


def test_a_reference_that_the_evidence_does_not_name_is_reported(
    encoded: Callable[[str], bytes],
) -> None:
    for name in ("Comprehensive 3D SR", "Key Object Selection"):
        dataset = read(encoded(name))
        item = next(item for item in items_of(dataset) if "ReferencedSOPSequence" in item)
        item.ReferencedSOPSequence[0].ReferencedSOPInstanceUID = "1.2.3.999"
        assert told(dataset, "not in the evidence")


@pytest.mark.parametrize(
    ("name", "relationship"),
    [("Comprehensive 3D SR", "INFERRED FROM"), ("Key Object Selection", "HAS PROPERTIES")],
)
def test_a_relationship_that_the_iod_does_not_allow_is_reported(
    name: str, relationship: str, encoded: Callable[[str], bytes]
) -> None:
    dataset = read(encoded(name))
    dataset.ContentSequence[-1].RelationshipType = relationship
    assert told(dataset, "RelationshipType is none that may be")


def test_an_outline_without_its_image_is_reported(encoded: Callable[[str], bytes]) -> None:
    dataset = read(encoded("Comprehensive 3D SR"))
    outline = next(item for item in items_of(dataset) if item.ValueType == "SCOORD")
    del outline.ContentSequence
    assert told(dataset, "names no image")


WRONG: dict[str, tuple[str, Any, str]] = {
    "date": ("ContentDate", "2026-11-02", "ContentDate has a value"),
    "time": ("ContentTime", "25:00", "ContentTime has a value"),
    "code string": ("Modality", "mr", "Modality has a value"),
    "long text": ("SeriesDescription", "x" * 65, "SeriesDescription has a value"),
    "line break": ("SeriesDescription", "a\nb", "SeriesDescription has a value"),
    "own UID": ("SeriesInstanceUID", "1.02.3", "SeriesInstanceUID has a value"),
    "integer": ("SeriesNumber", "9" * 14, "SeriesNumber has a value"),
    "two values": ("SeriesDescription", ["one", "two"], "SeriesDescription has 2 values"),
}


@pytest.mark.parametrize("wrong", WRONG)
def test_a_value_that_its_vr_does_not_allow_is_reported_and_not_quoted(
    wrong: str, encoded: Callable[[str], bytes]
) -> None:
    keyword, value, fault = WRONG[wrong]
    dataset = read(encoded("Segmentation"))
    put(dataset, keyword, value)
    faults = iod_faults(dataset)
    assert any(f.startswith(fault) for f in faults)
    assert not any(str(value) in f for f in faults)


def test_private_elements_are_reported_wherever_they_stand(
    encoded: Callable[[str], bytes],
) -> None:
    dataset = read(encoded("Segmentation"))
    item = dataset.SegmentSequence[1]
    item.private_block(0x0011, "MAKER", create=True).add_new(1, "LO", "Doe^Jane")
    faults = iod_faults(dataset)
    assert any("SegmentSequence[2]" in fault and "private" in fault for fault in faults)
    assert not any("Doe" in fault for fault in faults)


def test_uids_and_ids_of_the_images_are_taken_as_they_are(
    make_exam: Callable[..., Any], context: ResultContext
) -> None:
    exam = make_exam(regions=1)
    for source in exam.sources:
        put(source, "FrameOfReferenceUID", "1.2.840.0001.5")
        put(source, "PatientID", "x" * 80)
    for made in make_results(exam.findings, context, exam.headers).objects:
        dataset = read(encode(made.dataset))
        assert dataset.PatientID == "x" * 80
        assert iod_faults(dataset) == ()


@pytest.mark.parametrize("keyword", ["MediaStorageSOPClassUID", "MediaStorageSOPInstanceUID"])
def test_file_meta_information_of_another_object_is_reported(
    keyword: str, encoded: Callable[[str], bytes]
) -> None:
    dataset = read(encoded("Segmentation"))
    setattr(dataset.file_meta, keyword, "1.2.3")
    assert told(dataset, keyword)


def test_a_data_set_without_file_meta_information_is_reported(
    encoded: Callable[[str], bytes],
) -> None:
    dataset = read(encoded("Segmentation"))
    del dataset.file_meta
    assert told(dataset, "no File Meta Information")


def _lose_a_frame(dataset: Dataset) -> None:
    del dataset.PerFrameFunctionalGroupsSequence[0]


def _lose_a_place(dataset: Dataset) -> None:
    del dataset.PerFrameFunctionalGroupsSequence[1].PlanePositionSequence


def _share_twice(dataset: Dataset) -> None:
    own, shared = dataset.PerFrameFunctionalGroupsSequence, dataset.SharedFunctionalGroupsSequence
    shared[0].PlanePositionSequence = own[0].PlanePositionSequence


def _point_to_a_dimension_more(dataset: Dataset) -> None:
    content = dataset.PerFrameFunctionalGroupsSequence[0].FrameContentSequence[0]
    content.DimensionIndexValues = [1, 1, 1, 1]


def _cut_pixels(dataset: Dataset) -> None:
    keyword = "PixelData" if "PixelData" in dataset else "FloatPixelData"
    put(dataset, keyword, dataset[keyword].value[:-8])


@pytest.mark.parametrize(
    ("break_it", "fault"),
    [
        (_lose_a_frame, "not one item a frame"),
        (_lose_a_place, "PlanePositionSequence does not stand once"),
        (_share_twice, "PlanePositionSequence does not stand once"),
        (_point_to_a_dimension_more, "DimensionIndexValues"),
        (_cut_pixels, "not as long as its frames"),
    ],
)
@pytest.mark.parametrize("name", ["Segmentation", "Parametric Map"])
def test_frames_that_are_not_told_of_whole_are_reported(
    name: str,
    break_it: Callable[[Dataset], None],
    fault: str,
    encoded: Callable[[str], bytes],
) -> None:
    dataset = read(encoded(name))
    break_it(dataset)
    assert told(dataset, fault)


def test_a_frame_of_a_segment_that_is_not_there_is_reported(
    encoded: Callable[[str], bytes],
) -> None:
    dataset = read(encoded("Segmentation"))
    groups = dataset.PerFrameFunctionalGroupsSequence[0]
    groups.SegmentIdentificationSequence[0].ReferencedSegmentNumber = 9
    assert told(dataset, "segment that is not there")


def test_a_highdicom_without_tables_says_so(
    encoded: Callable[[str], bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    dataset = read(encoded("Segmentation"))
    iod_tables._tables.cache_clear()
    monkeypatch.setitem(sys.modules, "highdicom._standard_utils", None)
    with pytest.raises(ResultError, match="no tables of IODs"):
        iod_faults(dataset)


SLIPS: dict[str, dict[str, Any]] = {
    "age without unit": {"PatientAge": "56"},
    "weight with too many digits": {"PatientWeight": "70.123456789012345678"},
    "long description": {"StudyDescription": "x" * 90},
    "trial without protocol": {"ClinicalTrialSponsorName": "SPONSOR"},
    "trial without site": {
        "ClinicalTrialSponsorName": "SPONSOR",
        "ClinicalTrialProtocolID": "P1",
        "ClinicalTrialSubjectID": "S1",
    },
    "de-identified without a word how": {"PatientIdentityRemoved": "YES"},
    "birth time": {"PatientBirthTime": "morning"},
}


@pytest.mark.peer("dciodvfy")
@pytest.mark.parametrize("slip", SLIPS)
def test_a_slip_in_the_images_own_attributes_keeps_no_result_from_being_valid(
    slip: str, make_exam: Callable[..., Any], context: ResultContext, tmp_path: Path
) -> None:
    exam = make_exam(regions=1)
    for source in exam.sources:
        for keyword, value in SLIPS[slip].items():
            setattr(source, keyword, "")
            put(source, keyword, value)
    for made in make_results(exam.findings, context, exam.headers).objects:
        path = tmp_path / f"{made.kind}.dcm"
        path.write_bytes(encode(made.dataset))
        assert iod_faults(dcmread(path)) == ()
        assert dciodvfy_errors(path) == ()


def test_private_elements_of_the_images_codes_do_not_go_on(
    make_exam: Callable[..., Any], context: ResultContext
) -> None:
    exam = make_exam(regions=1)
    for source in exam.sources:
        code = CodedConcept("241615005", "SCT", "MRI of breast")
        code.private_block(0x0011, "MAKER", create=True).add_new(1, "LO", "Doe^Jane")
        source.ProcedureCodeSequence = [code]
    for made in make_results(exam.findings, context, exam.headers).objects:
        dataset = read(encode(made.dataset))
        assert dataset.ProcedureCodeSequence[0].CodeMeaning == "MRI of breast"
        assert iod_faults(dataset) == ()


@pytest.mark.parametrize("empty_frames", [False, True])
@pytest.mark.parametrize("iod", ["classic", "enhanced"])
def test_segmentations_with_and_without_empty_frames_are_valid(
    iod: str, empty_frames: bool, make_exam: Callable[..., Any], context: ResultContext
) -> None:
    exam = make_exam(iod=iod, regions=3)
    profile = ResultProfile(empty_frames=empty_frames)
    results = make_results(exam.findings, replace(context, profile=profile), exam.headers)
    for made in results.objects:
        assert iod_faults(read(encode(made.dataset))) == ()
