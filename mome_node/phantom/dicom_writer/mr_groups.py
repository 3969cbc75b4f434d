"""How the images were acquired, in the functional groups of enhanced MR (PS3.3 C.8.13.5)."""

from __future__ import annotations

from pydicom.dataset import Dataset

from mome_node.phantom.dicom_writer.geometry_elements import decimal
from mome_node.phantom.dicom_writer.items import item
from mome_node.phantom.dicom_writer.series import Kind, Series
from mome_node.phantom.dicom_writer.vendors import Habits, Technique


def add_mr_groups(ds: Dataset, series: Series, habits: Habits) -> None:
    """Add timing, field of view, echo, modifiers, coils and averages, shared by all frames."""
    technique = habits.technique(series.kind)
    ds.MRTimingAndRelatedParametersSequence = [_timing(series.kind, technique)]
    ds.MRFOVGeometrySequence = [_field_of_view(series, technique)]
    ds.MREchoSequence = [item(EffectiveEchoTime=technique.echo_time)]
    ds.MRModifierSequence = [_modifier(series.kind)]
    ds.MRImagingModifierSequence = [
        item(
            MagnetizationTransfer="NONE",
            BloodSignalNulling="NO",
            Tagging="NONE",
            TransmitterFrequency=habits.imaging_frequency,
            PixelBandwidth=decimal(technique.bandwidth),
        )
    ]
    ds.MRReceiveCoilSequence = [
        item(
            ReceiveCoilName=habits.coil,
            ReceiveCoilManufacturerName=None,
            ReceiveCoilType="MULTICOIL",
            QuadratureReceiveCoil="NO",
            MultiCoilDefinitionSequence=[
                item(MultiCoilElementName="B1", MultiCoilElementUsed="YES")
            ],
        )
    ]
    ds.MRTransmitCoilSequence = [
        item(TransmitCoilName="BODY", TransmitCoilManufacturerName=None, TransmitCoilType="BODY")
    ]
    ds.MRAveragesSequence = [item(NumberOfAverages=str(technique.averages))]


def add_pulse_sequence(ds: Dataset, series: Series, habits: Habits) -> None:
    """The MR Pulse Sequence module (PS3.3 C.8.13.4)."""
    technique = habits.technique(series.kind)
    volumetric, planar = technique.acquisition_type == "3D", _echo_planar(series.kind)
    ds.PulseSequenceName = technique.sequence_name or series.description
    ds.MRAcquisitionType = technique.acquisition_type
    ds.EchoPulseSequence = "SPIN" if _spin_echo(series.kind) else "GRADIENT"
    if _spin_echo(series.kind):
        ds.MultipleSpinEcho = "YES" if series.kind is Kind.T2 else "NO"
    ds.MultiPlanarExcitation = "NO"
    ds.PhaseContrast = "NO"
    ds.TimeOfFlightContrast = "NO"
    ds.SteadyStatePulseSequence = "NONE"
    ds.EchoPlanarPulseSequence = "YES" if planar else "NO"
    ds.SaturationRecovery = "NO"
    ds.SpectrallySelectedSuppression = "NONE" if series.kind is Kind.LOCALIZER else "FAT"
    ds.OversamplingPhase = "NONE"
    ds.GeometryOfKSpaceTraversal = "RECTILINEAR"
    ds.SegmentedKSpaceTraversal = "SINGLE" if planar else "PARTIAL"
    ds.RectilinearPhaseEncodeReordering = "LINEAR"
    ds.NumberOfKSpaceTrajectories = 1
    if volumetric:
        ds.CoverageOfKSpace = "FULL"


def _spin_echo(kind: Kind) -> bool:
    return kind in (Kind.T2, Kind.DWI, Kind.ADC)


def _echo_planar(kind: Kind) -> bool:
    return kind in (Kind.DWI, Kind.ADC)


def _timing(kind: Kind, technique: Technique) -> Dataset:
    return item(
        RepetitionTime=decimal(technique.repetition_time),
        FlipAngle=decimal(technique.flip_angle),
        EchoTrainLength=technique.echo_train,
        RFEchoTrainLength=technique.echo_train if kind is Kind.T2 else 1,
        GradientEchoTrainLength=technique.echo_train if _echo_planar(kind) else 1,
        OperatingModeSequence=[
            item(OperatingModeType=name, OperatingMode="IEC_NORMAL")
            for name in ("STATIC FIELD", "RF", "GRADIENT")
        ],
        GradientOutputType="DB_DT",
        GradientOutput=60.0,
        SpecificAbsorptionRateSequence=[
            item(SpecificAbsorptionRateDefinition="IEC_WHOLE_BODY", SpecificAbsorptionRateValue=0.8)
        ],
    )


def _field_of_view(series: Series, technique: Technique) -> Dataset:
    columns, rows, slices = series.stacks[0].volume.grid.shape
    ds = item(
        InPlanePhaseEncodingDirection="ROW",
        MRAcquisitionFrequencyEncodingSteps=rows,
        MRAcquisitionPhaseEncodingStepsInPlane=columns,
        PercentSampling="100",
        PercentPhaseFieldOfView="100",
    )
    if technique.acquisition_type == "3D":
        ds.MRAcquisitionPhaseEncodingStepsOutOfPlane = slices
    return ds


def _modifier(kind: Kind) -> Dataset:
    return item(
        InversionRecovery="NO",
        FlowCompensation="NONE",
        Spoiling="NONE" if _spin_echo(kind) else "RF",
        T2Preparation="NO",
        SpectrallySelectedExcitation="NONE",
        SpatialPresaturation="NONE",
        ParallelAcquisition="NO",
        PartialFourier="NO",
    )
