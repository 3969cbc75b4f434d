"""The map holds the attribution as it is, at its place in the patient."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from io import BytesIO
from pathlib import Path
from typing import Any

import highdicom as hd
import numpy as np
import pytest
from pydicom import Dataset, dcmread

from mome_node.dicom import codes
from mome_node.dicom.geometry import Grid
from mome_node.errors import ResultError
from mome_node.mome import token_gradients, voxel_gradients
from mome_node.results.context import ResultContext
from mome_node.results.findings import Explanation
from mome_node.results.profile import ResultProfile
from mome_node.results.result_set import encode, make_results
from mome_node.volumes.volume import Volume

MAP = ResultProfile(objects=("map",))
SHAPE = (12, 9, 5)


def affine(x: tuple[float, ...], y: tuple[float, ...], z: tuple[float, ...]) -> Any:
    made = np.eye(4)
    made[:3, 0], made[:3, 1], made[:3, 2] = x, y, z
    made[:3, 3] = (-61.3, -80.7, 30.1)
    return made


_C, _S = np.cos(0.4), np.sin(0.4)
GRIDS = {
    "axial": affine((2.5, 0, 0), (0, 1.5, 0), (0, 0, 3)),
    "from the head down": affine((2.5, 0, 0), (0, 1.5, 0), (0, 0, -3)),
    "prone": affine((-2.5, 0, 0), (0, -1.5, 0), (0, 0, 3)),
    "sagittal": affine((0, 2.5, 0), (0, 0, -1.5), (3, 0, 0)),
    "coronal": affine((2.5, 0, 0), (0, 0, -1.5), (0, 3, 0)),
    "tilted": affine((2.5 * _C, 2.5 * _S, 0), (-1.5 * _S, 1.5 * _C, 0), (0, 0, 3)),
}


@pytest.fixture
def explained(make_exam: Callable[..., Any]) -> Callable[..., Any]:
    """An exam whose findings hold an attribution on a grid of its own."""

    def make(grid: str = "axial", scale: float = 1e-5, **exam: Any) -> Any:
        array = np.random.default_rng(3).normal(0, scale, SHAPE).astype(np.float32)
        made = make_exam(**exam)
        volume = Volume(array, Grid(SHAPE, GRIDS[grid]))
        return replace(made, findings=replace(made.findings, attribution=volume))

    return make


def map_of(exam: Any, context: ResultContext, **profile: Any) -> Dataset:
    wanted = replace(context, profile=replace(MAP, **profile))
    (result,) = make_results(exam.findings, wanted, exam.headers).objects
    assert result.kind == "map"
    return dcmread(BytesIO(encode(result.dataset)))


def values(ds: Dataset) -> Any:
    shape = (int(ds.NumberOfFrames), ds.Rows, ds.Columns)
    return np.frombuffer(ds.FloatPixelData, dtype="<f4").reshape(shape)


@pytest.mark.parametrize("grid", GRIDS)
@pytest.mark.parametrize("iod", ["classic", "enhanced"])
def test_every_voxel_has_its_value_at_its_place(
    grid: str, iod: str, explained: Callable[..., Any], context: ResultContext
) -> None:
    exam = explained(grid, iod=iod)
    ds = map_of(exam, context)
    attribution = exam.findings.attribution
    shared = ds.SharedFunctionalGroupsSequence[0]
    cosines = np.array(shared.PlaneOrientationSequence[0].ImageOrientationPatient, dtype=float)
    down, across = (float(v) for v in shared.PixelMeasuresSequence[0].PixelSpacing)
    seen = set()
    for frame, groups in zip(values(ds), ds.PerFrameFunctionalGroupsSequence, strict=True):
        position = np.array(groups.PlanePositionSequence[0].ImagePositionPatient, dtype=float)
        # By the standard's own formula (C.7.6.2.1.1), at the far corner of the frame.
        corner = position + cosines[:3] * across * (SHAPE[0] - 1)
        corner = corner + cosines[3:] * down * (SHAPE[1] - 1)
        index = attribution.grid.to_index(tuple(corner))
        z = round(index[2])
        assert index == pytest.approx((SHAPE[0] - 1, SHAPE[1] - 1, z), abs=1e-3)
        np.testing.assert_array_equal(frame, attribution.array[:, :, z].T)
        seen.add(z)
    assert seen == set(range(SHAPE[2]))


@pytest.mark.parametrize("grid", ["axial", "sagittal", "tilted"])
def test_another_reader_finds_the_same_volume(
    grid: str, explained: Callable[..., Any], context: ResultContext
) -> None:
    exam = explained(grid)
    volume = hd.pm.ParametricMap.from_dataset(map_of(exam, context)).get_volume()
    attribution = exam.findings.attribution
    for index in ((0, 0, 0), (4, 7, 2)):
        place = attribution.grid.to_patient(index)
        found = np.round(volume.map_reference_to_indices(np.array([place]))[0]).astype(int)
        assert volume.array[tuple(found)] == attribution.array[index]


def test_the_quantity_is_a_visual_explanation_by_a_named_method(
    explained: Callable[..., Any], context: ResultContext
) -> None:
    ds = map_of(explained(), context)
    assert ds.ContentQualification == "RESEARCH"
    (mapping,) = ds.SharedFunctionalGroupsSequence[0].RealWorldValueMappingSequence
    assert (mapping.RealWorldValueSlope, mapping.RealWorldValueIntercept) == (1.0, 0.0)
    unit = mapping.MeasurementUnitsCodeSequence[0]
    assert (unit.CodeValue, unit.CodingSchemeDesignator) == ("1", "UCUM")
    told = {
        item.ConceptNameCodeSequence[0].CodeMeaning: item.ConceptCodeSequence[0]
        for item in mapping.QuantityDefinitionSequence
    }
    assert told["Quantity"].CodeValue == "130401"
    assert told["Measurement Method"].CodingSchemeDesignator == "99MOME"
    assert told["Measurement Method"].CodeMeaning == "Integrated gradients at the tokens"
    array = values(ds)
    first, last = (
        mapping.DoubleFloatRealWorldValueFirstValueMapped,
        mapping.DoubleFloatRealWorldValueLastValueMapped,
    )
    assert (first, last) == (array.min(), array.max())


def test_every_method_of_the_model_has_a_concept() -> None:
    known = {token_gradients.METHOD, voxel_gradients.METHOD}
    assert set(codes.ATTRIBUTION_METHODS) == known


def test_a_method_without_a_concept_makes_no_map(
    explained: Callable[..., Any], context: ResultContext
) -> None:
    exam = explained()
    unknown = replace(exam.findings, explanation=Explanation("guessing", 1, 0.0))
    with pytest.raises(ResultError, match="no coded concept"):
        map_of(replace(exam, findings=unknown), context)


@pytest.mark.parametrize("scale", [1e-9, 1e-5, 10.0])
def test_a_window_shows_what_raises_the_score(
    scale: float, explained: Callable[..., Any], context: ResultContext
) -> None:
    ds = map_of(explained(scale=scale), context)
    (window,) = ds.SharedFunctionalGroupsSequence[0].FrameVOILUTSequence
    assert window.VOILUTFunction == "LINEAR_EXACT"
    center, both = (float(v) for v in window.WindowCenter)
    width, wide = (float(v) for v in window.WindowWidth)
    largest = float(np.abs(values(ds)).max())
    assert center - width / 2 == pytest.approx(0, abs=1e-6 * scale)
    assert 0.5 * largest < center + width / 2 <= largest * 1.001
    assert (both, wide) == pytest.approx((0, 2 * width))


def test_the_map_lies_in_the_frame_of_reference_of_images_that_it_does_not_overlie(
    explained: Callable[..., Any], context: ResultContext
) -> None:
    exam = explained()
    ds = map_of(exam, context)
    assert ds.FrameOfReferenceUID == exam.sources[0].FrameOfReferenceUID
    (derivation,) = ds.SharedFunctionalGroupsSequence[0].DerivationImageSequence
    named = {source.ReferencedSOPInstanceUID for source in derivation.SourceImageSequence}
    assert named == {str(source.SOPInstanceUID) for source in exam.sources}
    assert {s.SpatialLocationsPreserved for s in derivation.SourceImageSequence} == {"NO"}
    (series,) = ds.ReferencedSeriesSequence
    assert series.SeriesInstanceUID == exam.sources[0].SeriesInstanceUID
    assert len(series.ReferencedInstanceSequence) == len(exam.sources)
    for groups in ds.PerFrameFunctionalGroupsSequence:
        assert "DerivationImageSequence" not in groups


def test_the_label_stands_in_the_descriptions(
    explained: Callable[..., Any], context: ResultContext
) -> None:
    ds = map_of(explained(), context)
    for text in (ds.SeriesDescription, ds.ContentDescription):
        assert "not for diagnosis" in text
    assert ds.SeriesDescription.startswith("MOME map: ")
    assert ds.SeriesNumber == context.profile.number_of("map")
    assert ds.SyntheticData == "YES"


@pytest.mark.parametrize("lacking", ["attribution", "explanation"])
def test_there_is_no_map_where_nothing_was_explained(
    lacking: str, explained: Callable[..., Any], context: ResultContext
) -> None:
    exam = explained()
    findings = replace(exam.findings, **{lacking: None})
    results = make_results(findings, replace(context, profile=MAP), exam.headers)
    assert results.objects == ()


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_values_that_are_no_numbers_make_no_map(
    value: float, explained: Callable[..., Any], context: ResultContext
) -> None:
    exam = explained()
    exam.findings.attribution.array[3, 3, 3] = value
    with pytest.raises(ResultError, match="no finite numbers"):
        map_of(exam, context)


def test_images_without_a_frame_of_reference_make_no_map(
    explained: Callable[..., Any], context: ResultContext
) -> None:
    exam = explained()
    for source in exam.sources:
        del source.FrameOfReferenceUID
    with pytest.raises(ResultError, match="Frame of Reference"):
        map_of(exam, context)


def test_an_attribution_of_zeros_makes_a_map(
    explained: Callable[..., Any], context: ResultContext
) -> None:
    ds = map_of(explained(scale=0.0), context)
    assert not values(ds).any()


@pytest.mark.peer("dciodvfy")
@pytest.mark.parametrize("encoding", ["explicit", "implicit", "rle"])
@pytest.mark.parametrize(("grid", "iod"), [("axial", "enhanced"), ("sagittal", "classic")])
def test_dciodvfy_finds_no_error_in_a_map(
    encoding: str,
    grid: str,
    iod: str,
    explained: Callable[..., Any],
    context: ResultContext,
    dciodvfy: Callable[[Path], list[str]],
    tmp_path: Path,
) -> None:
    ds = map_of(explained(grid, iod=iod), context, encoding=encoding)
    ds.save_as(tmp_path / "map.dcm")
    assert dciodvfy(tmp_path / "map.dcm") == []
