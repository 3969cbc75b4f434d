"""Header facts: the elements of an instance that decide where it belongs, read once.

Values are what the object says, cleaned of padding and of values that do not parse, and nothing
more: what they mean is the business of ``assembly``.
"""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class FrameRef:
    """One image plane: an instance and its frame, counted from 1 (single-frame objects: 1).

    ``tile`` counts from 1 where the plane is one of several that lie side by side in the frame.
    DICOM has no way to refer to it: other objects can name the whole frame only.
    """

    sop_instance_uid: str
    frame_number: int = 1
    tile: int | None = None


@dataclass(frozen=True, slots=True)
class Tiling:
    """How one frame holds several slices side by side: row by row, ``across`` in a row.

    ``rows`` and ``columns`` are those of one slice; ``positions`` the Image Position (Patient) of
    each, in mm LPS, in the order of the tiles.
    """

    rows: int
    columns: int
    across: int
    positions: tuple[tuple[float, float, float], ...]


@dataclass(frozen=True, slots=True)
class FrameFacts:
    """What one image plane says of itself. Lengths in mm, times in ms where DICOM has ms.

    ``acquired_s`` and ``content_s`` are seconds since midnight of the study's first day, so that
    an exam across midnight still rises.
    """

    frame_number: int
    image_position: tuple[float, float, float] | None = None
    image_orientation: tuple[float, float, float, float, float, float] | None = None
    pixel_spacing: tuple[float, float] | None = None  # row spacing, column spacing
    slice_thickness: float | None = None
    b_value: float | None = None  # the nominal one where the maker tells two
    b_value_source: str | None = None  # the element that told, e.g. "(0018,9087)", or in words
    effective_b_value: float | None = None  # where it is told beside another, nominal one
    diffusion_directionality: str | None = None
    diffusion_direction: tuple[float, float, float] | None = None  # of the gradient, if it has one
    temporal_position: int | None = None  # TemporalPositionIdentifier or ...Index
    trigger_time_ms: float | None = None  # or TemporalPositionTimeOffset
    acquired_s: float | None = None
    content_s: float | None = None
    contrast_given: bool | None = None  # ContrastBolusAgentAdministered; enhanced objects only
    image_type: tuple[str, ...] = ()
    rescale_slope: float = 1.0
    rescale_intercept: float = 0.0
    value_units: str = ""  # of the rescaled values: the code or text, and what told it
    stack_id: str = ""  # Stack ID (0020,9056): planes that the scanner means as one volume
    tiled: bool = False  # several slices lie side by side in this one plane (mosaic)
    tiling: Tiling | None = None  # where each of them is, if that is known
    tile: int | None = None  # which of them this is, after the plane was taken apart


@dataclass(frozen=True, slots=True)
class InstanceFacts:
    """What one instance says of itself; ``frames`` has one entry for each image plane.

    Enhanced objects are told in the words of the classic MR object: ``scanning_sequence`` holds
    SE, GR, EP, IR and ``scan_options`` FS as their functional groups say. Dates are YYYYMMDD.
    """

    sop_instance_uid: str
    sop_class_uid: str
    study_uid: str
    series_uid: str
    transfer_syntax_uid: str = ""
    patient_id: str = ""
    issuer_of_patient_id: str = ""
    patient_name: str = ""
    patient_birth_date: str = ""
    patient_sex: str = ""
    accession_number: str = ""
    modality: str = ""
    manufacturer: str = ""
    model_name: str = ""
    study_date: str = ""
    study_description: str = ""
    series_description: str = ""
    protocol_name: str = ""
    body_part: str = ""
    series_number: int | None = None
    instance_number: int | None = None
    image_type: tuple[str, ...] = ()
    scanning_sequence: tuple[str, ...] = ()
    sequence_variant: tuple[str, ...] = ()
    scan_options: tuple[str, ...] = ()
    sequence_name: str = ""
    acquisition_type: str = ""  # 2D or 3D
    repetition_time_ms: float | None = None
    echo_time_ms: float | None = None
    inversion_time_ms: float | None = None
    flip_angle_deg: float | None = None
    field_strength_t: float | None = None
    contrast_agent: str = ""
    acquisition_number: int | None = None
    temporal_positions: int | None = None
    laterality: str = ""
    patient_position: str = ""
    receive_coil: str = ""
    frame_of_reference_uid: str = ""
    rows: int = 0
    columns: int = 0
    samples_per_pixel: int = 1
    synthetic: bool = False  # Synthetic Data (0008,001C) is YES
    frames: tuple[FrameFacts, ...] = field(default=())
    images_in_acquisition: int | None = None  # (0020,1002)
    series_instances: int | None = None  # NumberOfSeriesRelatedInstances (0020,1209)
    concatenation_uid: str = ""  # (0020,9161): one enhanced object sent as several instances
    concatenation_total: int | None = None  # InConcatenationTotalNumber (0020,9163)
