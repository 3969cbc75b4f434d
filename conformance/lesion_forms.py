"""The forms that a phantom's study with lesions comes in: vendor, IOD, planes, how she lies."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import date
from pathlib import Path

import numpy as np
from pydicom import dcmread

from mome_node.dicom.geometry import Grid
from mome_node.phantom.dicom_writer import write_study
from mome_node.phantom.exam import PhantomExam, Protocol, Vendor
from mome_node.volumes.volume import Volume

STUDY_DATE = date(2026, 11, 1)
SEED = 2
"""One malignant lesion, far from the middle along every axis: a mirrored overlay misses it."""

TWO_LESIONS_SEED = 5

AXIAL = Protocol((160, 160, 32), (48, 48, 12), (96, 96, 18))
SAGITTAL = Protocol((48, 250, 120), (48, 48, 12), (96, 96, 18))
"""Voxels are 1.36 mm squares in the sagittal plane."""

FLAT = Protocol((48, 160, 60), (48, 48, 12), (96, 96, 18))
"""Sagittal voxels are no squares: 2.13 mm wide, 2.72 mm high."""

SMALL = Protocol((96, 96, 16), (48, 48, 12), (48, 48, 8))


@dataclass(frozen=True, slots=True)
class Form:
    """How an exam is written, and what its findings are.

    ``axes`` are the axes of the axial exam that become columns, rows and slices of the dynamic,
    ``flipped`` those of the new ones that run the other way.
    """

    vendor: Vendor = Vendor.SIEMENS
    enhanced: bool = False
    protocol: Protocol = AXIAL
    axes: tuple[int, int, int] = (0, 1, 2)
    flipped: tuple[int, ...] = ()
    patient_position: str = ""
    with_regions: bool = True
    only_dynamic: bool = False
    seed: int = SEED


CLASSIC = Form()
FORMS = {
    "classic": CLASSIC,
    "negative": Form(with_regions=False),
    "degraded": Form(only_dynamic=True),
    "enhanced-one-object": Form(Vendor.PHILIPS, enhanced=True),
    "enhanced-object-a-phase": Form(Vendor.SIEMENS, enhanced=True),
    # Columns run to the back, rows to the feet.
    "sagittal": Form(protocol=SAGITTAL, axes=(1, 2, 0), flipped=(1,)),
    "sagittal-flat": Form(protocol=FLAT, axes=(1, 2, 0), flipped=(1,)),
    "prone": Form(flipped=(0, 1), patient_position="HFP"),
    "feet-first": Form(flipped=(2,), patient_position="FFP"),
    "small": Form(protocol=SMALL),
    "two-lesions": Form(seed=TWO_LESIONS_SEED),
}


def write_form(exam: PhantomExam, form: Form, folder: Path, *, study_uid: str) -> tuple[Path, ...]:
    """The files of an exam in a form."""
    paths = write_study(
        replace(exam, dce=tuple(_turned(phase, form) for phase in exam.dce)),
        folder,
        vendor=form.vendor,
        enhanced=form.enhanced,
        study_date=STUDY_DATE,
        study_uid=study_uid,
    )
    for path in paths if form.patient_position else ():
        dataset = dcmread(path)
        dataset.PatientPosition = form.patient_position
        dataset.save_as(path)
    return paths


def _turned(volume: Volume, form: Form) -> Volume:
    """The same voxels at the same places, with other columns, rows and slices."""
    array = np.transpose(volume.array, form.axes)
    affine = volume.grid.affine[:, [*form.axes, 3]].copy()
    for axis in form.flipped:
        array = np.flip(array, axis)
        affine[:, 3] += affine[:, axis] * (array.shape[axis] - 1)
        affine[:, axis] *= -1
    return Volume(np.ascontiguousarray(array), Grid(array.shape, affine))
