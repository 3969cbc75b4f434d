"""Breast MR exams as header facts, in the habits of three makers."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from datetime import UTC, datetime

import pytest

from mome_node.assembly.rules import AssemblyRules
from mome_node.dicom.header import FrameFacts, InstanceFacts

MR = "1.2.840.10008.5.1.4.1.1.4"
ENHANCED_MR = "1.2.840.10008.5.1.4.1.1.4.1"
AXIAL = (1.0, 0.0, 0.0, 0.0, 1.0, 0.0)
SAGITTAL = (0.0, 1.0, 0.0, 0.0, 0.0, -1.0)
CORONAL = (1.0, 0.0, 0.0, 0.0, 0.0, -1.0)
NORMALS = {AXIAL: (0.0, 0.0, 1.0), SAGITTAL: (-1.0, 0.0, 0.0), CORONAL: (0.0, 1.0, 0.0)}
START_S = 36_000.0


@dataclass(frozen=True)
class Look:
    """How a series looks: what its instances share, and their planes."""

    instance: InstanceFacts
    spacing: tuple[float, float] = (1.0, 1.0)
    orientation: tuple[float, ...] = AXIAL
    step: float = 2.0

    def but(self, **changes) -> Look:
        return replace(self, instance=replace(self.instance, **changes))


def blank(**values) -> InstanceFacts:
    shared = {
        "sop_instance_uid": "",
        "sop_class_uid": MR,
        "study_uid": "1.2.3",
        "series_uid": "",
        "patient_id": "P1",
        "patient_name": "Test^Exam",
        "patient_birth_date": "19700101",
        "modality": "MR",
        "study_date": "20260301",
        "study_description": "MR BREAST BILATERAL",
        "frame_of_reference_uid": "1.2.3.99",
        "rows": 320,
        "columns": 320,
        "image_type": ("ORIGINAL", "PRIMARY", "M", "ND"),
    }
    return InstanceFacts(**(shared | values))


DYNAMIC = Look(
    blank(
        series_description="ax dyn",
        scanning_sequence=("GR",),
        acquisition_type="3D",
        repetition_time_ms=4.5,
        echo_time_ms=1.7,
        flip_angle_deg=10.0,
        scan_options=("FS",),
    )
)
T2 = Look(
    blank(
        series_description="ax t2 fs",
        scanning_sequence=("SE",),
        acquisition_type="2D",
        repetition_time_ms=4500.0,
        echo_time_ms=90.0,
        scan_options=("FS",),
    ),
    step=4.0,
)
DIFFUSION = Look(
    blank(
        series_description="ep2d diff",
        scanning_sequence=("EP", "SE"),
        acquisition_type="2D",
        repetition_time_ms=6000.0,
        echo_time_ms=70.0,
        image_type=("ORIGINAL", "PRIMARY", "DIFFUSION", "NONE"),
        rows=160,
        columns=160,
    ),
    spacing=(2.0, 2.0),
    step=5.0,
)


def frame(look: Look, place: int, *, number: int = 1, at: float = 0.0, **values) -> FrameFacts:
    normal = NORMALS[look.orientation]
    position = tuple(-150.0 + (at + place * look.step) * n for n in normal)
    shared = {
        "frame_number": number,
        "image_position": position,
        "image_orientation": look.orientation,
        "pixel_spacing": look.spacing,
    }
    return FrameFacts(**(shared | values))


def volume(
    look: Look,
    series: str,
    slices: int | Iterable[int] = 6,
    *,
    first: int = 1,
    at: float = 0.0,
    frame_values: dict | None = None,
    **values,
) -> list[InstanceFacts]:
    """One volume as single-frame instances; ``first`` is its first InstanceNumber."""
    places = range(slices) if isinstance(slices, int) else slices
    return [
        replace(
            look.instance,
            series_uid=f"1.2.3.{series}",
            sop_instance_uid=f"1.2.3.{series}.{first + n}",
            instance_number=first + n,
            frames=(frame(look, place, at=at, **(frame_values or {})),),
            **({"series_number": int(series)} | values),
        )
        for n, place in enumerate(places)
    ]


def one_object(
    look: Look, series: str, number: int, frames: list[FrameFacts], **values
) -> InstanceFacts:
    """An enhanced object; the frames are numbered here."""
    return replace(
        look.instance,
        sop_class_uid=ENHANCED_MR,
        series_uid=f"1.2.3.{series}",
        sop_instance_uid=f"1.2.3.{series}.{number}",
        series_number=int(series),
        instance_number=number,
        frames=tuple(replace(f, frame_number=n) for n, f in enumerate(frames, start=1)),
        **values,
    )


def siemens_dynamic(phases: int = 4, slices: int = 6) -> list[InstanceFacts]:
    """One series a phase, told apart by AcquisitionNumber and AcquisitionTime."""
    return [
        i
        for n in range(phases)
        for i in volume(
            DYNAMIC,
            str(5 + n),
            slices,
            acquisition_number=n + 1,
            temporal_positions=phases,
            frame_values={"acquired_s": START_S + 90.0 * n, "content_s": START_S + 95.0 * n},
        )
    ]


def siemens_repeats(phases: int = 4, slices: int = 6) -> list[InstanceFacts]:
    """All phases in one series, positions repeating, AcquisitionNumber rising."""
    return [
        i
        for n in range(phases)
        for i in volume(
            DYNAMIC,
            "5",
            slices,
            first=1 + n * slices,
            acquisition_number=n + 1,
            frame_values={"acquired_s": START_S + 90.0 * n},
        )
    ]


def ge_dynamic(phases: int = 4, slices: int = 6) -> list[InstanceFacts]:
    """The pre-contrast series, then Ph1/ ...: one AcquisitionTime for the posts, TriggerTime."""
    found = volume(DYNAMIC, "500", slices, frame_values={"acquired_s": START_S})
    for n in range(1, phases):
        found += volume(
            DYNAMIC.but(series_description=f"Ph{n}/ax dyn"),
            str(500 + n),
            slices,
            frame_values={"acquired_s": START_S + 120.0, "trigger_time_ms": 90_000.0 * (n - 1)},
        )
    return found


def philips_dynamic(phases: int = 4, slices: int = 6) -> list[InstanceFacts]:
    """One series, TemporalPositionIdentifier, InstanceNumber running through time first."""
    found = []
    for n in range(phases):
        planes = volume(
            DYNAMIC,
            "501",
            slices,
            first=1000 * (n + 1),
            temporal_positions=phases,
            frame_values={
                "temporal_position": n + 1,
                "trigger_time_ms": 60_000.0 * n,
                "acquired_s": START_S + 60.0 * n,
            },
        )
        found += [
            replace(p, instance_number=1 + place * phases + n) for place, p in enumerate(planes)
        ]
    return found


def enhanced_object_a_phase(phases: int = 4, slices: int = 6) -> list[InstanceFacts]:
    """Siemens XA: one object a phase, TemporalPositionIndex 1 in every one."""
    return [
        one_object(
            DYNAMIC,
            "9",
            n + 1,
            [
                frame(DYNAMIC, k, temporal_position=1, acquired_s=START_S + 80.0 * n)
                for k in range(slices)
            ],
            acquisition_number=n + 1,
        )
        for n in range(phases)
    ]


def enhanced_one_object(phases: int = 4, slices: int = 6) -> list[InstanceFacts]:
    """Philips: all phases in one object by TemporalPositionIndex."""
    frames = [
        frame(DYNAMIC, k, temporal_position=n + 1, acquired_s=START_S + 70.0 * n)
        for k in range(slices)
        for n in range(phases)
    ]
    return [one_object(DYNAMIC, "9", 1, frames, temporal_positions=phases)]


DYNAMICS: dict[str, Callable[..., list[InstanceFacts]]] = {
    "siemens, one series a phase": siemens_dynamic,
    "siemens, repeats in one series": siemens_repeats,
    "ge, pre and Ph series": ge_dynamic,
    "philips, temporal positions": philips_dynamic,
    "enhanced, one object a phase": enhanced_object_a_phase,
    "enhanced, all in one object": enhanced_one_object,
}


def diffusion(series: str = "20", b_values: Iterable[float] = (0.0, 800.0)) -> list[InstanceFacts]:
    return [
        i
        for n, b in enumerate(b_values)
        for i in volume(
            DIFFUSION,
            series,
            first=1 + 100 * n,
            frame_values={"b_value": b, "acquired_s": START_S - 300.0},
        )
    ]


def exam(dynamic: list[InstanceFacts] | None = None) -> list[InstanceFacts]:
    """A whole breast exam: localizer, T2, diffusion with ADC, dynamic, subtraction."""
    localizer = [
        i
        for n, orientation in enumerate((AXIAL, SAGITTAL, CORONAL))
        for i in volume(
            replace(DYNAMIC, orientation=orientation).but(
                series_description="loc", acquisition_type="2D", echo_time_ms=3.0
            ),
            "1",
            3,
            first=1 + 10 * n,
        )
    ]
    t2 = volume(T2, "2", frame_values={"acquired_s": START_S - 600.0})
    adc = volume(DIFFUSION.but(image_type=("DERIVED", "PRIMARY", "DIFFUSION", "ADC")), "21")
    subtraction = volume(
        DYNAMIC.but(image_type=("DERIVED", "PRIMARY", "M", "SUB"), series_description="ax dyn SUB"),
        "30",
        frame_values={"acquired_s": START_S + 90.0},
    )
    dynamic = siemens_dynamic() if dynamic is None else dynamic
    return [*localizer, *t2, *diffusion(), *adc, *dynamic, *subtraction]


@pytest.fixture(scope="session")
def rules() -> AssemblyRules:
    return AssemblyRules()


@pytest.fixture(scope="session")
def now() -> datetime:
    return datetime(2026, 3, 2, 12, tzinfo=UTC)


@pytest.fixture(scope="session")
def make():
    """This module: the builders of series and exams."""
    return sys.modules[__name__]
