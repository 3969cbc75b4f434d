"""What the scanners of three vendors say of themselves and of their sequences.

The values follow real single-frame and enhanced MR objects of these vendors.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from mome_node.phantom.dicom_writer.series import Kind
from mome_node.phantom.exam import Vendor


@dataclass(frozen=True, slots=True)
class Technique:
    """How images of one kind are acquired (PS3.3 C.8.3.1). Times in ms, ``duration_s`` in s."""

    scanning_sequence: tuple[str, ...]
    sequence_variant: tuple[str, ...]
    scan_options: tuple[str, ...]
    acquisition_type: str
    repetition_time: float
    echo_time: float
    flip_angle: float
    echo_train: int
    bandwidth: float
    averages: int
    duration_s: float
    sequence_name: str = ""


@dataclass(frozen=True, slots=True)
class Habits:
    """One vendor's equipment, techniques and ways to write.

    ``full_scale`` is the signal that the largest stored value stands for, None where stored
    values are the signal itself. ``time_decimals`` are the digits after the seconds of a time.
    """

    letter: str
    manufacturer: str
    model: str
    software: tuple[str, ...]
    patient_position: str
    coil: str
    field_strength: float
    imaging_frequency: float
    bits_stored: int
    time_decimals: int
    techniques: Mapping[Kind, Technique]
    image_types: Mapping[Kind, tuple[str, ...]]
    full_scale: Mapping[Kind, float] | None = None

    def technique(self, kind: Kind) -> Technique:
        """How images of a kind are acquired; derived images are told like their sources."""
        source = {Kind.ADC: Kind.DWI, Kind.SUBTRACTION: Kind.DCE}
        return self.techniques[source.get(kind, kind)]

    def slope(self, kind: Kind) -> float:
        """Signal per stored unit: never measured on the images, so that no header tells of them."""
        if self.full_scale is None:
            return 1.0
        largest = (1 << self.bits_stored) - 1
        return round(self.full_scale[kind] / largest, 12)


def habits_of(vendor: Vendor) -> Habits:
    """The habits of one vendor."""
    return {Vendor.SIEMENS: _SIEMENS, Vendor.GE: _GE, Vendor.PHILIPS: _PHILIPS}[vendor]


_SIEMENS = Habits(
    letter="S",
    manufacturer="SIEMENS",
    model="Skyra",
    software=("syngo MR E11",),
    patient_position="HFP",
    coil="BreastMatrix_18",
    field_strength=3.0,
    imaging_frequency=123.2,
    bits_stored=12,
    time_decimals=6,
    techniques=MappingProxyType(
        {
            Kind.LOCALIZER: Technique(
                ("GR",), ("SP", "OSP"), ("PFP",), "2D", 8.6, 4.0, 20, 1, 320, 1, 14, "*fl2d1"
            ),
            Kind.T2: Technique(
                ("SE",),
                ("SK", "SP", "OSP"),
                ("FS",),
                "2D",
                5200,
                85,
                150,
                15,
                250,
                1,
                240,
                "*tse2d1_15",
            ),
            Kind.DWI: Technique(
                ("EP",),
                ("SK", "SP"),
                ("PFP", "FS"),
                "2D",
                8000,
                66,
                90,
                1,
                1628,
                4,
                210,
                "ep2d_diff",
            ),
            Kind.DCE: Technique(
                ("GR",), ("SP", "OSP"), ("PFP", "FS"), "3D", 4.5, 1.7, 10, 1, 490, 1, 58, "*fl3d1"
            ),
        }
    ),
    image_types=MappingProxyType(
        {
            Kind.LOCALIZER: ("ORIGINAL", "PRIMARY", "M", "NORM", "DIS2D"),
            Kind.T2: ("ORIGINAL", "PRIMARY", "M", "ND"),
            Kind.DWI: ("DERIVED", "PRIMARY", "DIFFUSION", "TRACEW", "ND"),
            Kind.ADC: ("DERIVED", "PRIMARY", "DIFFUSION", "ADC", "ND"),
            Kind.DCE: ("ORIGINAL", "PRIMARY", "M", "ND"),
            Kind.SUBTRACTION: ("DERIVED", "PRIMARY", "M", "ND", "SUB"),
        }
    ),
)

_GE = Habits(
    letter="G",
    manufacturer="GE MEDICAL SYSTEMS",
    model="SIGNA Architect",
    software=("29", "LX", "MR29.1_R01"),
    patient_position="FFP",
    coil="8US Breast",
    field_strength=3.0,
    imaging_frequency=127.7,
    bits_stored=16,
    time_decimals=0,
    techniques=MappingProxyType(
        {
            Kind.LOCALIZER: Technique(
                ("GR",),
                ("SS",),
                ("FAST_GEMS", "SEQ_GEMS"),
                "2D",
                5.2,
                1.6,
                30,
                1,
                244,
                1,
                20,
                "fgre",
            ),
            Kind.T2: Technique(
                ("SE",),
                ("SK",),
                ("FAST_GEMS", "TRF_GEMS", "FS"),
                "2D",
                5400,
                88,
                142,
                16,
                195,
                2,
                230,
                "fse-xl",
            ),
            Kind.DWI: Technique(
                ("EP", "SE"),
                ("NONE",),
                ("EPI_GEMS", "ACC_GEMS", "PFF", "FS"),
                "2D",
                7000,
                72,
                90,
                1,
                1953.12,
                4,
                200,
                "epi2",
            ),
            Kind.DCE: Technique(
                ("GR",),
                ("SS", "SP"),
                ("FAST_GEMS", "EDR_GEMS", "MP_GEMS", "ACC_GEMS", "FS"),
                "3D",
                5.6,
                2.1,
                12,
                1,
                488,
                1,
                60,
                "efgre3d",
            ),
        }
    ),
    image_types=MappingProxyType(
        {
            **dict.fromkeys(
                (Kind.LOCALIZER, Kind.T2, Kind.DWI, Kind.DCE), ("ORIGINAL", "PRIMARY", "OTHER")
            ),
            Kind.ADC: ("DERIVED", "SECONDARY", "PROCESSED"),
            Kind.SUBTRACTION: ("DERIVED", "SECONDARY", "PROCESSED", "SUBTRACTION"),
        }
    ),
)

_PHILIPS = Habits(
    letter="P",
    manufacturer="Philips",
    model="Ingenia",
    software=("5.7.1", "5.7.1.0"),
    patient_position="HFP",
    coil="MULTI COIL",
    field_strength=3.0,
    imaging_frequency=127.76,
    bits_stored=12,
    time_decimals=2,
    full_scale=MappingProxyType({**dict.fromkeys(Kind, 3000.0), Kind.ADC: 4000.0}),
    techniques=MappingProxyType(
        {
            Kind.LOCALIZER: Technique(
                ("GR",), ("OTHER",), ("OTHER",), "2D", 11, 4.6, 15, 1, 434, 1, 18
            ),
            Kind.T2: Technique(
                ("SE",), ("SK",), ("FS", "OTHER"), "2D", 4800, 90, 90, 17, 230, 2, 220
            ),
            Kind.DWI: Technique(
                ("SE",), ("SK",), ("PFP", "FS"), "2D", 7600, 74, 90, 61, 2050, 4, 205
            ),
            Kind.DCE: Technique(("GR",), ("SP",), ("FS",), "3D", 5.1, 2.4, 10, 1, 540, 1, 59),
        }
    ),
    image_types=MappingProxyType(
        {
            Kind.LOCALIZER: ("ORIGINAL", "PRIMARY", "M_FFE", "M", "FFE"),
            Kind.T2: ("ORIGINAL", "PRIMARY", "M_SE", "M", "SE"),
            Kind.DWI: ("ORIGINAL", "PRIMARY", "M_SE", "M", "SE"),
            Kind.ADC: ("DERIVED", "PRIMARY", "ADC_UNSPECIFIED", "ADC", "UNSPECIFIED"),
            Kind.DCE: ("ORIGINAL", "PRIMARY", "M_FFE", "M", "FFE"),
        }
    ),
)
