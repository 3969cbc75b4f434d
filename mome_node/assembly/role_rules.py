"""The rules that give a series its role: one table, read from the top, the first match decides.

A rule states what must hold, all of it; what it leaves out does not matter. Physics comes first:
Image Type (PS3.3 C.7.6.1.1.2, C.8.3.1.1.1), Scanning Sequence, TR, TE, TI, b-values, geometry.
Text is free and comes in every language. It may leave a series out, or speak where the physics is
silent (``silent``), but it never takes a series in against its physics.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from mome_node.assembly import role_words as named
from mome_node.assembly.plan import Role

Range = tuple[float, float]
ANY = float("inf")


@dataclass(frozen=True, slots=True)
class RoleRule:
    """A role, the reason in words, and the conditions.

    ``image_type`` and ``scanning`` hold where any of their values is there, ``not_...`` where none
    is. Ranges include both ends and fail on an unknown value; times in ms; ``orientations``,
    ``flip_angles`` and ``b_values`` are how many there are. ``text`` is searched in the series
    description, or the protocol name where that is blank, ``sequence`` in the sequence name, both
    as ``role_words.plain`` writes them; ``also_text`` has to be found, too, and ``not_text`` must
    not be. ``weak``: the name hints at the role and does not say it. ``silent``: TE,
    TR, Scanning Sequence and sequence name are unknown.
    ``reason`` may name ``{te} {tr} {ti} {b} {word} {types} {spacing} {orientations}``.
    """

    role: Role
    reason: str
    image_type: frozenset[str] = frozenset()
    not_image_type: frozenset[str] = frozenset()
    scanning: frozenset[str] = frozenset()
    not_scanning: frozenset[str] = frozenset()
    acquisition: frozenset[str] = frozenset()
    te: Range | None = None
    tr: Range | None = None
    ti: Range | None = None
    spacing: Range | None = None
    orientations: Range | None = None
    flip_angles: Range | None = None
    b_values: Range | None = None
    mr_image: bool | None = None
    colour: bool | None = None
    diffusion: bool | None = None
    silent: bool | None = None
    text: re.Pattern[str] | None = None
    also_text: tuple[re.Pattern[str], ...] = ()
    not_text: tuple[re.Pattern[str], ...] = ()
    sequence: re.Pattern[str] | None = None
    weak: bool = False


def site_rule(role: Role, pattern: str) -> RoleRule:
    """A role that the site tells by name; the images of a copy never pass for an acquired one.

    Raises ValueError where ``pattern`` is no regular expression.
    """
    reason = "named so by the site's rule (“{word}”)"
    try:
        text = re.compile(pattern, re.ASCII | re.IGNORECASE)
    except re.error as error:
        raise ValueError(f"{pattern!r} is no regular expression: {error}") from error
    if role in (Role.DCE, Role.DWI, Role.T2, Role.T1):
        return RoleRule(role, reason, text=text, not_image_type=COPIES, colour=False)
    return RoleRule(role, reason, text=text)


def _values(text: str) -> frozenset[str]:
    return frozenset(text.split())


WATER = _values("W WATER")
SUBTRACTION = _values("SUB SUBTRACT SUBTRACTED SUBTRACTION")
PROJECTION = _values("MIP MAXIP MINIP MNIP PROJECTION PJN")
REFORMAT = _values("MPR REFORMATTED REFORMAT RESAMPLED CURVED RENDERING VR SSD CPR")
MAPS = _values("FA COLFA TENSOR EADC EXP TTP TTEST RELCBF RELCBV RELMTT WASHIN WASHOUT IAUC CAD")
COPIES = SUBTRACTION | PROJECTION | MAPS | REFORMAT
FAT_SUPPRESSED_OPTIONS = _values("FS SFS FATSAT SPAIR SPIR WE")

ROLE_RULES: tuple[RoleRule, ...] = (
    # Copies, by what Image Type says and then by name
    RoleRule(Role.DERIVED, "a colour image: made by a workstation", colour=True),
    RoleRule(Role.SUBTRACTION, "Image Type says subtraction", image_type=SUBTRACTION),
    RoleRule(Role.DERIVED, "Image Type says projection (MIP)", image_type=PROJECTION),
    RoleRule(Role.DERIVED, "Image Type says parametric map ({types})", image_type=MAPS),
    RoleRule(Role.ADC, "Image Type says ADC map", image_type=_values("ADC")),
    RoleRule(Role.DERIVED, "Image Type says reformatted", image_type=REFORMAT),
    RoleRule(Role.DERIVED, "Image Type says motion corrected", image_type=_values("MOCO")),
    RoleRule(Role.DERIVED, "Image Type says computed b-value",
             image_type=_values("CALC BVALUE COMPUTED")),
    RoleRule(Role.OTHER, "not an MR image object", mr_image=False),
    RoleRule(Role.LOCALIZER, "Image Type says localizer", image_type=_values("LOCALIZER")),
    RoleRule(Role.LOCALIZER, "{orientations} orientations in one series", orientations=(3, ANY)),
    RoleRule(Role.DERIVED, "named a projection (“{word}”)", text=named.PROJECTION),
    RoleRule(Role.SUBTRACTION, "named a subtraction (“{word}”)", text=named.SUBTRACTION),
    RoleRule(Role.DERIVED, "named a computed b-value (“{word}”)",
             text=named.COMPUTED_B_VALUE, not_image_type=_values("TRACE TRACEW")),
    RoleRule(Role.DERIVED, "named a map that is not ADC (“{word}”)",
             text=named.OTHER_DIFFUSION_MAP),
    RoleRule(Role.DERIVED, "named a segmentation (“{word}”)", text=named.SEGMENTATION),
    RoleRule(Role.DWI, "diffusion-weighted ({b}) and ORIGINAL, whatever it is named",
             text=named.ADC, diffusion=True, image_type=_values("ORIGINAL"),
             not_image_type=_values("DERIVED")),
    RoleRule(Role.ADC, "named an ADC map (“{word}”)", text=named.ADC, b_values=(0, 1)),
    RoleRule(Role.DERIVED, "named a parametric map (“{word}”)", text=named.PARAMETRIC_MAP),
    RoleRule(Role.DERIVED, "named a reformat (“{word}”)", text=named.REFORMAT),
    RoleRule(Role.DERIVED, "named a registered copy (“{word}”)", text=named.REGISTERED),
    RoleRule(Role.DERIVED, "named a processed copy (“{word}”)", text=named.PROCESSED),
    RoleRule(Role.DERIVED, "named a screen or a report (“{word}”)", text=named.SCREEN),
    RoleRule(Role.LOCALIZER, "named a localizer (“{word}”)", text=named.LOCALIZER),
    # Parts of a set that are not the image to read
    RoleRule(Role.OTHER, "the fat, in-phase or out-of-phase part of a Dixon set",
             image_type=_values("F FAT IP OP IN OUT OPP"), not_image_type=WATER),
    RoleRule(Role.OTHER, "a phase, real or imaginary image, not a magnitude",
             image_type=_values("P PHASE R REAL I IMAGINARY")),
    RoleRule(Role.OTHER, "named a fat, in-phase, out-of-phase or field-map part (“{word}”)",
             text=named.NOT_WATER, not_image_type=WATER),
    RoleRule(Role.OTHER, "named a silicone image (“{word}”)", text=named.SILICONE),
    RoleRule(Role.OTHER, "named a calibration or preparation (“{word}”)", text=named.SERVICE),
    RoleRule(Role.OTHER, "several flip angles in one series: T1 mapping", flip_angles=(2, ANY)),
    RoleRule(Role.OTHER, "named a mapping series (“{word}”)", text=named.MAPPING),
    # What the physics says
    RoleRule(Role.DWI, "diffusion-weighted ({b}), named a trace", diffusion=True, text=named.TRACE),
    # An ADC map keeps the b-values that it was made from: a derived image needs to say trace.
    RoleRule(Role.DERIVED, "Image Type says DERIVED and no trace", diffusion=True,
             image_type=_values("DERIVED"),
             not_image_type=_values("TRACE TRACEW DIFFUSION ISOTROPIC COMBINED")),
    RoleRule(Role.DWI, "diffusion-weighted ({b})", diffusion=True),
    RoleRule(Role.DERIVED, "Image Type says DERIVED",
             image_type=_values("DERIVED"), not_image_type=WATER),
    RoleRule(Role.DWI, "named diffusion (“{word}”), b-value unknown",
             scanning=_values("EP"), text=named.DIFFUSION),
    RoleRule(Role.OTHER, "echo-planar images without diffusion", scanning=_values("EP")),
    RoleRule(Role.DWI, "named diffusion (“{word}”), b-value unknown",
             not_scanning=_values("GR"), te=(40, ANY), text=named.SURE_DIFFUSION),
    RoleRule(Role.OTHER, "pixels of {spacing} mm and TE {te} ms: a coil calibration",
             spacing=(3.01, ANY), te=(0, 1.3)),
    RoleRule(Role.T2, "inversion recovery with TI {ti} ms, TR {tr} ms: STIR",
             ti=(80, 400), tr=(1500, ANY), te=(15, ANY), not_scanning=_values("GR")),
    RoleRule(Role.T2, "T2-weighted: TR {tr} ms, TE {te} ms",
             te=(45, ANY), tr=(1000, ANY), not_scanning=_values("GR")),
    RoleRule(Role.DCE, "T1-weighted 3D gradient echo: TR {tr} ms, TE {te} ms",
             te=(0, 12), tr=(0, 60), not_scanning=_values("SE"), acquisition=_values("3D")),
    RoleRule(Role.DCE, "T1-weighted gradient echo: TR {tr} ms, TE {te} ms",
             te=(0, 12), tr=(0, 40), scanning=_values("GR"), acquisition=frozenset({""})),
    RoleRule(Role.DCE, "T1-weighted gradient echo: TR {tr} ms, TE {te} ms",
             te=(0, 6), tr=(0, 25), not_scanning=_values("SE GR"), acquisition=frozenset({""})),
    RoleRule(Role.DCE, "3D gradient echo by Scanning Sequence",
             scanning=_values("GR"), acquisition=_values("3D"), te=(0, 12)),
    RoleRule(Role.DCE, "3D gradient echo by sequence name (“{word}”)",
             sequence=re.compile(r"fl3d|vibe|spgr"), te=(0, 12)),
    RoleRule(Role.OTHER, "gradient echo with TE {te} ms: T2*-weighted",
             scanning=_values("GR"), te=(12.01, ANY)),
    RoleRule(Role.T1, "T1-weighted 2D gradient echo: TE {te} ms",
             scanning=_values("GR"), te=(0, 12)),
    RoleRule(Role.T1, "T1-weighted spin echo: TR {tr} ms, TE {te} ms",
             te=(0, 44.99), tr=(0, 1499.99)),
    RoleRule(Role.OTHER, "neither T1 nor T2: TR {tr} ms, TE {te} ms", te=(0, ANY), tr=(0, ANY)),
    # Where the physics is silent, the name is all there is
    RoleRule(Role.DWI, "named diffusion (“{word}”); TR and TE unknown",
             silent=True, text=named.DIFFUSION),
    RoleRule(Role.T2, "named T2 (“{word}”); TR and TE unknown", silent=True, text=named.T2),
    RoleRule(Role.T1, "named T1 without fat suppression (“{word}”); TR and TE unknown",
             silent=True, text=named.NOT_FAT_SUPPRESSED, not_text=(named.AFTER_CONTRAST,)),
    RoleRule(Role.DCE, "named dynamic (“{word}”); TR and TE unknown",
             silent=True, text=named.DYNAMIC),
    RoleRule(Role.T2, "named a T2 technique (“{word}”); TR and TE unknown",
             silent=True, text=named.T2_TECHNIQUE, not_text=(named.T1, named.GRADIENT_ECHO)),
    RoleRule(Role.DCE, "named fat-suppressed T1 (“{word}”); TR and TE unknown",
             silent=True, text=named.FAT_SUPPRESSED, also_text=(named.T1,),
             not_text=(named.SPIN_ECHO,)),
    RoleRule(Role.DCE, "named 3D and without contrast (“{word}”); TR and TE unknown",
             silent=True, text=named.BEFORE_CONTRAST, also_text=(named.THREE_D,)),
    RoleRule(Role.DCE, "named 3D and with contrast (“{word}”); TR and TE unknown",
             silent=True, text=named.AFTER_CONTRAST, also_text=(named.THREE_D,)),
    RoleRule(Role.DCE, "named 3D and fat-suppressed (“{word}”); TR and TE unknown",
             silent=True, text=named.FAT_SUPPRESSED, also_text=(named.THREE_D,), weak=True),
    RoleRule(Role.OTHER, "named T1 with contrast (“{word}”), not as part of a dynamic",
             silent=True, text=named.AFTER_CONTRAST, also_text=(named.T1,),
             not_text=(named.BEFORE_CONTRAST,), weak=True),
    RoleRule(Role.T1, "named 3D T1 (“{word}”), not as part of a dynamic",
             silent=True, text=named.T1, also_text=(named.THREE_D,), weak=True),
    RoleRule(Role.T1, "named T1 before contrast (“{word}”), not as part of a dynamic",
             silent=True, text=named.BEFORE_CONTRAST, also_text=(named.T1,), weak=True),
    RoleRule(Role.T1, "named T1 (“{word}”); TR and TE unknown", silent=True, text=named.T1),
    RoleRule(Role.DCE, "named only by contrast (“{word}”)",
             silent=True, text=named.BEFORE_CONTRAST, weak=True),
    RoleRule(Role.DCE, "named only by contrast (“{word}”)",
             silent=True, text=named.AFTER_CONTRAST, weak=True),
    RoleRule(Role.DCE, "named only by phase or time (“{word}”)",
             silent=True, text=named.PHASE_ONLY, weak=True),
    RoleRule(Role.DCE, "named a gradient echo (“{word}”); TR and TE unknown",
             silent=True, text=named.GRADIENT_ECHO, weak=True),
    RoleRule(Role.OTHER, "nothing tells what this series is"),
)  # fmt: skip
"""Read from the top; the last rule always holds."""
