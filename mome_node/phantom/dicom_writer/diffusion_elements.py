"""The diffusion series of a phantom study as other scanners, archives and anonymisers leave it.

Each habit is data: which elements tell the b-value, of what kind the images are, what stands beside
them. They follow real files of the makers; those of the last lines follow published reports.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator, Mapping
from copy import deepcopy
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from types import MappingProxyType

import numpy as np
import pydicom
from pydicom.dataset import Dataset

from mome_node.phantom.dicom_writer.identity import derived_uid

WRITTEN_B_VALUE = 0x0019100C
"""Where the phantom's Siemens files, from which all habits are made, have their b-value."""

EFFECTIVE_SHARE = 0.92975
"""Effective over nominal b-value of a real United Imaging file."""

COMPUTED_B_VALUE = 1400.0

_DIRECTIONS = ((0.6, 0.0, 0.8), (0.0, 1.0, 0.0), (-0.8, 0.0, 0.6))
_TRACE_TYPE = ("DERIVED", "PRIMARY", "DIFFUSION", "TRACEW", "ND")
_PLAIN_TYPE = ("ORIGINAL", "PRIMARY", "OTHER")
_DIRECTION_TYPE = ("ORIGINAL", "PRIMARY", "DIFFUSION", "NONE", "ND")


class Standard(StrEnum):
    """On which images (0018,9087) is written."""

    NEVER = "never"
    WEIGHTED = "b above 0"
    ALWAYS = "always"


@dataclass(frozen=True, slots=True)
class PrivateValue:
    """A private element for the b-value, times ``share``, plus ``offset`` on b above 0."""

    creator: str
    tag: int
    vr: str
    share: float = 1.0
    offset: int = 0
    rest: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class DiffusionHabit:
    """How the diffusion series of a study is written.

    ``names`` are what the sequence name, the image comment and the description say, with ``{b}``
    for the b-value. ``creators_kept``: an anonymiser took private creators out or not;
    ``unknown_bytes``: private elements have lost their VR. ``series_per_b``: each b-value is a
    series. ``directions``: single directions stand beside the trace, in a series of their own,
    ``computed``: so does an image with a computed b-value.
    """

    manufacturer: str
    standard: Standard = Standard.NEVER
    private: tuple[PrivateValue, ...] = ()
    creators_kept: bool = True
    unknown_bytes: bool = False
    names: tuple[tuple[str, str], ...] = ()
    image_type: tuple[str, ...] = _PLAIN_TYPE
    series_per_b: bool = False
    trace: bool = True
    directions: bool = False
    computed: bool = False


_SIEMENS = PrivateValue("SIEMENS MR HEADER", 0x0019100C, "IS")
_GE = PrivateValue("GEMS_PARM_01", 0x00431039, "IS", rest=(8, 0, 0))
_GE_FLAGGED = PrivateValue("GEMS_PARM_01", 0x00431039, "IS", offset=10**9, rest=(8, 0, 0))
_PHILIPS = PrivateValue("Philips Imaging DD 001", 0x20011003, "FL")
_UIH_EFFECTIVE = PrivateValue("Image Private Header", 0x00651009, "FD", share=EFFECTIVE_SHARE)
_UIH_NOMINAL = PrivateValue("Image Private Header", 0x0065100A, "FD")
_NAME = (("SequenceName", "ep_b{b}t"),)

DIFFUSION_HABITS: Mapping[str, DiffusionHabit] = MappingProxyType(
    {
        "siemens private only": DiffusionHabit("SIEMENS", private=(_SIEMENS,), names=_NAME),
        "siemens creator gone": DiffusionHabit(
            "SIEMENS", private=(_SIEMENS,), creators_kept=False, image_type=_TRACE_TYPE
        ),
        "siemens unknown bytes": DiffusionHabit(
            "SIEMENS", private=(_SIEMENS,), creators_kept=False, unknown_bytes=True
        ),
        "siemens sequence name only": DiffusionHabit("SIEMENS", names=_NAME),
        "siemens directions and trace": DiffusionHabit(
            "SIEMENS", private=(_SIEMENS,), names=_NAME, image_type=_TRACE_TYPE, directions=True
        ),
        "siemens directions only": DiffusionHabit(
            "SIEMENS", private=(_SIEMENS,), names=_NAME, trace=False, directions=True
        ),
        "siemens computed": DiffusionHabit(
            "SIEMENS", private=(_SIEMENS,), names=_NAME, image_type=_TRACE_TYPE, computed=True
        ),
        "ge newer": DiffusionHabit(
            "GE MEDICAL SYSTEMS", standard=Standard.WEIGHTED, private=(_GE,)
        ),
        "ge flagged": DiffusionHabit("GE MEDICAL SYSTEMS", private=(_GE_FLAGGED,)),
        "ge unknown bytes": DiffusionHabit(
            "GE MEDICAL SYSTEMS", private=(_GE,), creators_kept=False, unknown_bytes=True
        ),
        "philips private only": DiffusionHabit("Philips Medical Systems", private=(_PHILIPS,)),
        "philips unknown bytes": DiffusionHabit(
            "Philips Medical Systems", private=(_PHILIPS,), creators_kept=False, unknown_bytes=True
        ),
        "united imaging": DiffusionHabit("UIH", private=(_UIH_EFFECTIVE, _UIH_NOMINAL)),
        "united imaging effective only": DiffusionHabit("UIH", private=(_UIH_EFFECTIVE,)),
        "toshiba": DiffusionHabit("TOSHIBA", standard=Standard.WEIGHTED),
        "canon": DiffusionHabit("CANON_MEC", standard=Standard.ALWAYS),
        "canon comments only": DiffusionHabit(
            "CANON_MEC", names=(("ImageComments", "b={b}(0.000,0.000,0.000)"),)
        ),
        "description only": DiffusionHabit(
            "FUJIFILM",
            names=(("SeriesDescription", "AX DWI b={b}"),),
            series_per_b=True,
        ),
        "silent": DiffusionHabit("FUJIFILM"),
    }
)


def rewrite_diffusion(paths: Iterable[Path], habit: DiffusionHabit) -> tuple[Path, ...]:
    """Rewrite the single-frame Siemens files of a phantom study; returns all its files.

    Every file gets the habit's Manufacturer; those of the diffusion series its elements. Series
    that the habit adds lie beside the files that they are made from.
    """
    found: list[Path] = []
    for path in paths:
        ds = pydicom.dcmread(path)
        ds.Manufacturer = habit.manufacturer
        made = {"": ds} if WRITTEN_B_VALUE not in ds else dict(_diffusion_files(ds, habit))
        path.unlink()
        for suffix, image in made.items():
            target = path.with_name(f"{path.stem}{suffix}.dcm")
            image.save_as(target, enforce_file_format=True)
            found.append(target)
    return tuple(sorted(found))


def _diffusion_files(original: Dataset, habit: DiffusionHabit) -> Iterator[tuple[str, Dataset]]:
    """The files that one diffusion image becomes, by what is added to its name."""
    b_value = float(original[WRITTEN_B_VALUE].value)
    bare = _without_diffusion(original)
    image = _copy_of(bare, habit.image_type)
    _tell_b_value(image, habit, b_value)
    if habit.series_per_b:
        _move_to_series(image, original, f"b {b_value:g}", round(b_value))
    if b_value == 0 or habit.trace:
        yield "", image
    if b_value and habit.directions:
        for number, vector in enumerate(_DIRECTIONS, start=1):
            direction = _copy_of(bare, _DIRECTION_TYPE)
            _tell_b_value(direction, habit, b_value)
            direction.SequenceName = f"*ep_b{b_value:g}#{number}"
            direction.AcquisitionNumber = number + 1
            block = direction.private_block(0x0019, "SIEMENS MR HEADER", create=True)
            block.add_new(0x0D, "CS", "DIRECTIONAL")
            block.add_new(0x0E, "FD", list(vector))
            _move_to_series(direction, original, f"direction {number}", 700, "ep2d_diff_dir")
            yield f"-dir{number}", direction
    if b_value and habit.computed:
        yield "-calc", _computed(bare, original, habit, b_value)


def _computed(bare: Dataset, original: Dataset, habit: DiffusionHabit, b_value: float) -> Dataset:
    """An image at a b-value that nobody measured, made from the one at ``b_value``."""
    computed = _copy_of(bare, ("DERIVED", "PRIMARY", "DIFFUSION", "CALC_BVALUE", "TRACEW", "ND"))
    _tell_b_value(computed, habit, COMPUTED_B_VALUE)
    stored = original.pixel_array.astype(np.float32)
    weaker = np.rint(stored ** (COMPUTED_B_VALUE / b_value) / 4096.0).clip(0, 4095)
    computed.PixelData = weaker.astype("<u2").tobytes()
    _move_to_series(computed, original, "computed", 800, "ep2d_diff_CALC_BVAL")
    return computed


def _without_diffusion(original: Dataset) -> Dataset:
    """The image without anything that tells its b-value."""
    ds = pydicom.Dataset()
    for element in original:
        if element.tag.group != 0x0019 and element.keyword != "SequenceName":
            ds.add(element)
    ds.SeriesDescription = ds.ProtocolName = "ep2d_diff_tra"
    ds.file_meta = original.file_meta
    return ds


def _copy_of(bare: Dataset, image_type: tuple[str, ...]) -> Dataset:
    ds = deepcopy(bare)
    ds.ImageType = list(image_type)
    return ds


def _tell_b_value(ds: Dataset, habit: DiffusionHabit, b_value: float) -> None:
    written = {Standard.NEVER: False, Standard.WEIGHTED: b_value > 0, Standard.ALWAYS: True}
    if written[habit.standard]:
        ds.DiffusionBValue = b_value
    for value in habit.private:
        number = b_value * value.share + (value.offset if b_value else 0)
        numbers = [round(number), *value.rest] if value.vr == "IS" else number
        if habit.creators_kept:
            ds.add_new(value.tag & 0xFFFF0000 | 0x10, "LO", value.creator)
        if habit.unknown_bytes:
            ds.add_new(value.tag, "UN", _bytes_of(value.vr, numbers))
        else:
            ds.add_new(value.tag, value.vr, numbers)
    for keyword, text in habit.names:
        told = text.format(b=f"{b_value:g}")
        if keyword == "SequenceName" and b_value == 0:
            told = told.removesuffix("t")
        setattr(ds, keyword, told)


def _bytes_of(vr: str, numbers: object) -> bytes:
    if isinstance(numbers, list):
        text = "\\".join(str(n) for n in numbers).encode()
        return text + b" " * (len(text) % 2)
    return struct.pack({"FL": "<f", "FD": "<d"}[vr], numbers)


def _move_to_series(
    ds: Dataset, original: Dataset, purpose: str, number: int, description: str = ""
) -> None:
    """Put an image into a series of its own, beside that of ``original``."""
    series = purpose.split(" ")[0] if description else purpose
    ds.SeriesInstanceUID = derived_uid(original.SeriesInstanceUID, series)
    ds.SOPInstanceUID = derived_uid(original.SOPInstanceUID, purpose)
    ds.file_meta.MediaStorageSOPInstanceUID = ds.SOPInstanceUID
    ds.SeriesNumber = original.SeriesNumber * 1000 + number
    if description:
        ds.SeriesDescription = description
