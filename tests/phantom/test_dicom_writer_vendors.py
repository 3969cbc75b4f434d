from __future__ import annotations

import struct
from collections.abc import Callable, Iterable
from datetime import date
from pathlib import Path

import pydicom
import pytest
from pydicom.dataset import Dataset

from mome_node.phantom.dicom_writer import write_study
from mome_node.phantom.exam import PhantomExam, Vendor

MakeExam = Callable[..., PhantomExam]
SLICES, PHASES = 4, 3
SEEDS = (1, 2)
"""One seed for each of a vendor's two habits."""


@pytest.fixture
def images(small_exam: MakeExam, tmp_path: Path) -> Callable[..., list[Dataset]]:
    def write(vendor: Vendor, seed: int = 7, *, enhanced: bool = False) -> list[Dataset]:
        folder = tmp_path / f"{vendor}-{seed}-{enhanced}"
        paths = write_study(
            small_exam(seed),
            folder,
            vendor=vendor,
            enhanced=enhanced,
            study_date=date(2025, 3, 14),
        )
        return [pydicom.dcmread(path) for path in paths]

    return write


Images = Callable[..., list[Dataset]]


def seconds(time: str) -> float:
    return int(time[:2]) * 3600 + int(time[2:4]) * 60 + float(time[4:])


def original(images: Iterable[Dataset], description: str) -> list[Dataset]:
    found = [
        ds for ds in images if description in ds.SeriesDescription and ds.ImageType[0] == "ORIGINAL"
    ]
    return sorted(found, key=lambda ds: (ds.SeriesNumber, ds.InstanceNumber))


def by_series(images: Iterable[Dataset]) -> dict[int, list[Dataset]]:
    series: dict[int, list[Dataset]] = {}
    for ds in images:
        series.setdefault(ds.SeriesNumber, []).append(ds)
    return dict(sorted(series.items()))


def test_siemens_phases_are_series_with_rising_acquisition_number_and_time(
    images: Images,
) -> None:
    layouts = set()
    for seed in SEEDS:
        phases = list(by_series(original(images(Vendor.SIEMENS, seed), "t1_fl3d_tra")).values())
        assert [len(phase) for phase in phases] == [SLICES] * PHASES
        assert [phase[0].AcquisitionNumber for phase in phases] == [1, 2, 3]
        times = [seconds(phase[0].AcquisitionTime) for phase in phases]
        assert [t - times[0] for t in times] == pytest.approx([0, 90.5, 181.0])
        assert not any("TemporalPositionIdentifier" in ds for phase in phases for ds in phase)
        assert {phase[0].SequenceName for phase in phases} == {"*fl3d1"}
        layouts.add(tuple(phase[0].SeriesDescription for phase in phases))
    assert layouts == {
        ("t1_fl3d_tra_dyn_pre", "t1_fl3d_tra_dyn_1", "t1_fl3d_tra_dyn_2"),
        ("t1_fl3d_tra_spair_dyn",) * 3,
    }


def test_ge_phases_are_in_one_series_or_named_ph1_after_the_pre_contrast_series(
    images: Images,
) -> None:
    layouts = set()
    for seed in SEEDS:
        series = by_series(original(images(Vendor.GE, seed), "Vibrant"))
        layouts.add(tuple(phase[0].SeriesDescription for phase in series.values()))
        if len(series) > 1:
            times = [seconds(phase[0].AcquisitionTime) for phase in series.values()]
            assert [t - times[0] for t in times] == pytest.approx([0, 90.5, 181.0], abs=0.6)
            continue
        (dynamic,) = series.values()
        assert [ds.TemporalPositionIdentifier for ds in dynamic] == [1] * 4 + [2] * 4 + [3] * 4
        assert {ds.NumberOfTemporalPositions for ds in dynamic} == {PHASES}
        assert [float(ds.TriggerTime) for ds in dynamic[::SLICES]] == [0, 90500, 181000]
    assert layouts == {
        ("Ax Vibrant MultiPhase",),
        ("Ax 3D Vibrant", "Ph1/Ax 3D Vibrant", "Ph2/Ax 3D Vibrant"),
    }


def test_philips_counts_time_first_then_slice(images: Images) -> None:
    dynamic = original(images(Vendor.PHILIPS), "dyn_eTHRIVE")
    assert [ds.InstanceNumber for ds in dynamic] == list(range(1, SLICES * PHASES + 1))
    assert [ds.TemporalPositionIdentifier for ds in dynamic] == [1, 2, 3] * SLICES
    assert [float(ds.TriggerTime) for ds in dynamic[:PHASES]] == [0, 90500, 181000]
    places = [tuple(ds.ImagePositionPatient) for ds in dynamic]
    assert all(len(set(places[i : i + PHASES])) == 1 for i in range(0, len(places), PHASES))
    assert len(set(places)) == SLICES


@pytest.mark.parametrize("vendor", list(Vendor))
def test_only_post_contrast_phases_name_an_agent(images: Images, vendor: Vendor) -> None:
    name = {Vendor.SIEMENS: "t1_fl3d", Vendor.GE: "Vibrant", Vendor.PHILIPS: "dyn_"}[vendor]
    dynamic = original(images(vendor), name)
    start = min(seconds(ds.AcquisitionTime) for ds in dynamic)
    for ds in dynamic:
        assert ("ContrastBolusAgent" in ds) is (seconds(ds.AcquisitionTime) > start)


def test_siemens_tells_b_values_in_its_private_element_and_the_sequence_name(
    images: Images,
) -> None:
    every = images(Vendor.SIEMENS)
    dwi = [ds for ds in every if ds.SeriesDescription.endswith("TRACEW")]
    told = [(ds.private_block(0x19, "SIEMENS MR HEADER")[0x0C].value, ds.SequenceName)
            for ds in dwi]  # fmt: skip
    assert told == [(0, "ep_b0")] * 3 + [(800, "ep_b800t")] * 3
    assert not any("DiffusionBValue" in ds for ds in dwi)
    adc = [ds for ds in every if ds.SeriesDescription.endswith("_ADC")]
    assert [ds.ImageType[:4] for ds in adc] == [["DERIVED", "PRIMARY", "DIFFUSION", "ADC"]] * 3
    assert {ds.SequenceName for ds in adc} == {"ep_b0_800"}
    assert not any((0x0019, 0x100C) in ds for ds in adc)


def test_ge_tells_b_values_in_its_private_element_and_the_standard_one_only_above_zero(
    images: Images,
) -> None:
    high = set()
    for seed in SEEDS:
        dwi = original(images(Vendor.GE, seed), "Ax DWI")
        private = [ds.private_block(0x43, "GEMS_PARM_01")[0x39].value for ds in dwi]
        assert [list(value) for value in private[:3]] == [[0, 8, 0, 0]] * 3
        assert ["DiffusionBValue" in ds for ds in dwi] == [False] * 3 + [True] * 3
        high |= {int(value[0]) for value in private[3:]}
    assert high == {800, 1_000_000_800}


def test_philips_tells_b_values_twice_and_scales_its_pixels(images: Images) -> None:
    dwi = original(images(Vendor.PHILIPS), "DWI_SSh")
    private = [ds.private_block(0x2001, "Philips Imaging DD 001")[0x03].value for ds in dwi]
    assert private == [ds.DiffusionBValue for ds in dwi] == [0, 800] * 3
    scale = dwi[0].private_block(0x2005, "Philips MR Imaging DD 001")[0x0E].value
    assert struct.pack("<f", scale) == struct.pack("<f", 0.005)
    assert float(dwi[0].RescaleSlope) != 1


@pytest.mark.parametrize("vendor", [Vendor.SIEMENS, Vendor.GE])
@pytest.mark.parametrize("enhanced", [False, True])
def test_siemens_and_ge_add_a_subtraction_of_the_first_post(
    images: Images, vendor: Vendor, enhanced: bool
) -> None:
    found = [
        ds for ds in images(vendor, enhanced=enhanced) if {"SUB", "SUBTRACTION"} & set(ds.ImageType)
    ]
    assert len(found) == (1 if enhanced else SLICES)
    assert {(ds.ImageType[0], "SUB" in ds.SeriesDescription) for ds in found} == {("DERIVED", True)}


@pytest.mark.parametrize("vendor", [Vendor.GE, Vendor.PHILIPS])
def test_enhanced_ge_and_philips_hold_all_phases_in_one_object(
    images: Images, vendor: Vendor
) -> None:
    (ds,) = (
        ds for ds in images(vendor, enhanced=True) if list(ds.ImageType[2:]) == ["DYNAMIC", "NONE"]
    )
    frames = ds.PerFrameFunctionalGroupsSequence
    assert ds.NumberOfFrames == len(frames) == SLICES * PHASES
    told = {
        (
            frame.FrameContentSequence[0].TemporalPositionIndex,
            frame.TemporalPositionSequence[0].TemporalPositionTimeOffset,
            frame.ContrastBolusUsageSequence[0].ContrastBolusAgentAdministered,
        )
        for frame in frames
    }
    assert told == {(1, 0.0, "NO"), (2, 90.5, "YES"), (3, 181.0, "YES")}


def test_enhanced_siemens_holds_one_phase_in_each_object_of_one_series(images: Images) -> None:
    phases = [
        ds
        for ds in images(Vendor.SIEMENS, enhanced=True)
        if list(ds.ImageType[2:]) == ["DYNAMIC", "NONE"]
    ]
    assert len({ds.SeriesInstanceUID for ds in phases}) == 1
    assert [ds.AcquisitionNumber for ds in phases] == [1, 2, 3]
    start = seconds(phases[0].AcquisitionDateTime[8:])
    assert [seconds(ds.AcquisitionDateTime[8:]) - start for ds in phases] == pytest.approx(
        [0, 90.5, 181.0]
    )
    for ds in phases:
        contents = [f.FrameContentSequence[0] for f in ds.PerFrameFunctionalGroupsSequence]
        assert [c.TemporalPositionIndex for c in contents] == [1] * SLICES
    assert ["ContrastBolusAgentSequence" in ds for ds in phases] == [False, True, True]


@pytest.mark.parametrize("vendor", list(Vendor))
def test_enhanced_diffusion_is_one_object_with_a_b_value_for_each_frame(
    images: Images, vendor: Vendor
) -> None:
    diffusion = [ds for ds in images(vendor, enhanced=True) if ds.ImageType[2] == "DIFFUSION"]
    dwi, adc = sorted(diffusion, key=lambda ds: ds.ImageType[3], reverse=True)
    groups = [f.MRDiffusionSequence[0] for f in dwi.PerFrameFunctionalGroupsSequence]
    told = sorted((g.DiffusionBValue, g.DiffusionDirectionality) for g in groups)
    assert told == [(0.0, "NONE")] * 3 + [(800.0, "ISOTROPIC")] * 3
    assert "DiffusionBValue" not in adc.SharedFunctionalGroupsSequence[0].MRDiffusionSequence[0]


@pytest.mark.parametrize("vendor", list(Vendor))
def test_dimension_indices_name_each_frame_of_an_object_once(
    images: Images, vendor: Vendor
) -> None:
    for ds in images(vendor, enhanced=True):
        contents = [f.FrameContentSequence[0] for f in ds.PerFrameFunctionalGroupsSequence]
        indices = {tuple(c.DimensionIndexValues) for c in contents}
        assert len(indices) == ds.NumberOfFrames
        assert {len(index) for index in indices} == {len(ds.DimensionIndexSequence)}


@pytest.mark.parametrize("vendor", list(Vendor))
def test_a_derived_enhanced_object_names_its_sources(images: Images, vendor: Vendor) -> None:
    objects = images(vendor, enhanced=True)
    known = {ds.SOPInstanceUID for ds in objects}
    derived = [ds for ds in objects if ds.ImageType[0] == "DERIVED"]
    assert derived
    for ds in derived:
        (how,) = ds.SharedFunctionalGroupsSequence[0].DerivationImageSequence
        sources = {source.ReferencedSOPInstanceUID for source in how.SourceImageSequence}
        assert sources
        assert sources < known
