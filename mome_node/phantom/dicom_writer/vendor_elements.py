"""Where each vendor's single-frame objects tell phase, b-value and scale.

B-values in (0019,100C), (0043,1039) and (2001,1003), scale in (2005,100E), as in real objects.
GE and Philips tell the time of a phase in TriggerTime (0018,1060), though PS3.3 C.8.3.1 has it for
gated scans only: a validator reports it in theirs and in ours.
"""

from __future__ import annotations

from pydicom.dataset import Dataset

from mome_node.phantom.dicom_writer.geometry_elements import decimal
from mome_node.phantom.dicom_writer.identity import chosen
from mome_node.phantom.dicom_writer.series import ImageStack, Kind, Mark, Series
from mome_node.phantom.dicom_writer.vendors import Habits, habits_of
from mome_node.phantom.exam import Vendor

GE_B_VALUE_OFFSET = 1_000_000_000
"""Added to the b-value in (0043,1039) by some GE releases."""


def add_stack_habits(ds: Dataset, series: Series, number: int, seed: int, vendor: Vendor) -> None:
    """Add what one vendor writes for volume ``number`` of a series."""
    stack, habits = series.stacks[number], habits_of(vendor)
    if vendor is Vendor.SIEMENS:
        _add_siemens(ds, series, stack, habits)
    elif vendor is Vendor.GE:
        _add_ge(ds, series, number, seed, habits)
    else:
        _add_philips(ds, series, number, habits)
    if series.marks is not None:
        _mark_phase(ds, series, number, series.marks)


def _mark_phase(ds: Dataset, series: Series, number: int, marks: frozenset[Mark]) -> None:
    """Tell the phase by these marks only; the clock is not among them."""
    stack = series.stacks[number]
    for keyword in ("TemporalPositionIdentifier", "NumberOfTemporalPositions", "TriggerTime"):
        ds.pop(keyword, None)
    if Mark.POSITION in marks:
        position = stack.position or (number + 1, len(series.stacks))
        ds.TemporalPositionIdentifier, ds.NumberOfTemporalPositions = position
    if Mark.TRIGGER in marks:
        ds.TriggerTime = decimal(stack.offset_s * 1000)
    ds.AcquisitionNumber = stack.acquisition


def _add_siemens(ds: Dataset, series: Series, stack: ImageStack, habits: Habits) -> None:
    ds.SequenceName = series.sequence_name or habits.technique(series.kind).sequence_name
    if stack.b_value is None:
        return
    b_value = round(stack.b_value)
    ds.SequenceName = f"ep_b{b_value}t" if b_value else "ep_b0"
    block = ds.private_block(0x0019, "SIEMENS MR HEADER", create=True)
    block.add_new(0x0C, "IS", b_value)
    block.add_new(0x0D, "CS", "ISOTROPIC" if b_value else "NONE")


def _add_ge(ds: Dataset, series: Series, number: int, seed: int, habits: Habits) -> None:
    stack = series.stacks[number]
    ds.ImagesInAcquisition = series.images
    sequence = ds.private_block(0x0019, "GEMS_ACQU_01", create=True)
    sequence.add_new(0x9C, "LO", habits.technique(series.kind).sequence_name)
    if series.kind is Kind.DCE and len(series.stacks) > 1:
        ds.TemporalPositionIdentifier = number + 1
        ds.NumberOfTemporalPositions = len(series.stacks)
        ds.TriggerTime = decimal(stack.offset_s * 1000)
    if stack.b_value is not None:
        b_value = round(stack.b_value)
        offset = GE_B_VALUE_OFFSET * chosen(seed, "GE b-value offset", 2) if b_value else 0
        parameters = ds.private_block(0x0043, "GEMS_PARM_01", create=True)
        parameters.add_new(0x39, "IS", [b_value + offset, 8, 0, 0])
        if b_value and series.kind is Kind.DWI:  # the ADC map has the private element only
            ds.DiffusionBValue = float(b_value)


def _add_philips(ds: Dataset, series: Series, number: int, habits: Habits) -> None:
    stack = series.stacks[number]
    phases = len(series.stacks) if series.kind is Kind.DCE else 1
    ds.AcquisitionNumber = series.number // 100
    ds.TemporalPositionIdentifier = number + 1 if phases > 1 else 1
    ds.NumberOfTemporalPositions = phases
    if phases > 1:
        ds.TriggerTime = decimal(stack.offset_s * 1000)
    slope = habits.slope(series.kind)
    ds.RescaleIntercept, ds.RescaleSlope, ds.RescaleType = "0", decimal(slope), "normalized"
    imaging = ds.private_block(0x2001, "Philips Imaging DD 001", create=True)
    imaging.add_new(0x18, "SL", stack.slices)
    imaging.add_new(0x81, "IS", phases)
    scale = ds.private_block(0x2005, "Philips MR Imaging DD 001", create=True)
    scale.add_new(0x0D, "FL", 0.0)
    scale.add_new(0x0E, "FL", 0.005)
    if stack.b_value is not None:
        imaging.add_new(0x03, "FL", stack.b_value)
        imaging.add_new(0x04, "CS", "I" if stack.b_value else "N")
        ds.DiffusionBValue = stack.b_value
