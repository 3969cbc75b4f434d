"""The rules that give a series its role: one table, read from the top, the first match decides.

A rule states what must hold, all of it; what it leaves out does not matter. Physics comes first:
Image Type (PS3.3 C.7.6.1.1.2, C.8.3.1.1.1), Scanning Sequence, TR, TE, TI, b-values, geometry.
Text is free and comes in every language. It may leave a series out, or speak where the physics is
silent (``silent``), but it never takes a series in against its physics.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

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
    in lower case with separators turned into blanks. ``silent``: TE, TR, Scanning Sequence and
    sequence name are unknown.
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
    sequence: re.Pattern[str] | None = None


def _values(text: str) -> frozenset[str]:
    return frozenset(text.split())


def _words(*patterns: str) -> re.Pattern[str]:
    return re.compile("|".join(patterns))


WATER = _values("W WATER")
SUBTRACTION = _values("SUB SUBTRACT SUBTRACTED SUBTRACTION")
PROJECTION = _values("MIP MAXIP MINIP MNIP PROJECTION PJN")
REFORMAT = _values("MPR REFORMATTED REFORMAT RESAMPLED CURVED RENDERING VR SSD CPR")
MAPS = _values("FA COLFA TENSOR EADC EXP TTP TTEST RELCBF RELCBV RELMTT WASHIN WASHOUT IAUC CAD")
GRADIENT = _words(r"fl[23]d", r"vibe", r"spgr", r"vibrant", r"t1ffe", r"thrive", r"lava", r"twist")

SUBTRACTION_WORDS = _words(
    r"\bsub(s|tr\w*)?\b(?!.?mucos)", r"\bsubt", r"soustr", r"sustrac", r"减影"
)
LOCALIZER_WORDS = _words(
    r"\blocali[sz]", r"\blocator\b", r"\bscouts?\b", r"\bsurvey", r"\bloc\b",
    r"\b3 ?(plane|pl|p)\b", r"\blokal", r"\brep[eé]rage", r"定位",
)  # fmt: skip
PROJECTION_WORDS = _words(r"\bmips?\b", r"\bpjn\b", r"\bmin ?ip\b", r"projection")
DERIVED_WORDS = _words(
    r"\bser\s*$", r"\bpe ?\d\s*$", r"\bvolser\b", r"\bcad\b", r"\bmpr\b", r"reformat", r"\bmoco\b",
    r"\bregistered\b", r"\bregistration\b", r"wash.?(in|out)", r"\bi?auc\b", r"\bttp\b",
    r"summary", r"screen ?s(ave|hot)", r"not diagnostic", r"\baverage\b", r"\bmask: ", r"dwi mask",
    r"(computed|calculated|calc|synthetic|synth)[ .]?(b\b|b.?val|dwi)", r"motion.?corr",
    r"stripped", r"\bmerged",
)  # fmt: skip
OTHER_ADC_WORDS = _words(r"\be ?adc\b", r"exponential", r"fractional aniso", r"\bfa map\b")
ADC_WORDS = _words(r"\badc\b", r"apparent diff", r"\bd?adc\b", r"表观")
SILICONE_WORDS = _words(r"sili[ck]on", r"water ?sat\b", r"\bsil only\b")
DIXON_WORDS = _words(
    r"(^|: ?)(fat|ip|op|in ?phase|out ?phase|opp ?phase|field ?map)\b ?(\(hz\))? ?:",
    r"(?<= )(?<!no )(f|fat|in|opp|out|in ?phase|opp ?phase|out ?(of)? ?phase)$",
)
SERVICE_WORDS = _words(
    r"\bcalib", r"\bcal\b", r"(^|: ?)shim", r"\bb[01] ?map", r"smart ?prep", r"\bbolus track",
    r"care ?bolus", r"\btest\b.*\b(acf|bolus)\b", r"\bfiesta\b", r"field ?map",
)  # fmt: skip
MAPPING_WORDS = _words(r"t[12] ?map", r"multi.?flip", r"variable flip", r"\bvfa\b", r"\bmolli\b")
DIFFUSION_WORDS = _words(
    r"\be?dwi", r"diffusion", r"\bdw\b", r"\bdti\b", r"\bdiff\b", r"\bep2d\b", r"\bresolve\b",
    r"\bdiffu", r"\bdwssfse", r"\bb ?=? ?\d{3,4}\b", r"\btracew?\b", r"弥散", r"扩散", r"拡散",
)  # fmt: skip
T2_WORDS = _words(
    r"\bs?t2(?!\*)",
    r"\bstir\b",
    r"\btirm\b",
    r"\bt2w",
    r"\bvista\b",
    r"water: ?(ideal|flex)",
    r"^(?!.*(\bt1|gre)).*\b(ir|[ft]se|2d ?fse)\b",
)
DYNAMIC_WORDS = _words(
    r"\bdyn", r"\bvibrant", r"\bvibe\b", r"views\b", r"e?thrive", r"\bfl3d", r"\bt1 ?3d",
    r"\bbliss", r"\blava\b", r"\bdisco\b", r"\btwist\b", r"quick ?3d", r"\brodeo\b",
    r"f?spgr\b", r"3d ?f?gre",
    r"multi ?phase", r"\bdce\b", r"\bph ?\d+ ?/", r"(1st|2nd|3rd|[4-9]th) ?pass?\b", r"m ?dixon",
    r"\bt1\b.*\bfs\b", r"3d ?t1.*(pre|post)", r"(^|: ?|3d )(pre|post) ?\d*$",
    r"\b3d\b.*(fat ?.?supp|gradient)", r"动态", r"增强", r"造影",
)  # fmt: skip
T1_WORDS = _words(r"\bt1", r"\btram\b")

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
    RoleRule(Role.SUBTRACTION, "named a subtraction (“{word}”)", text=SUBTRACTION_WORDS),
    RoleRule(Role.DERIVED, "named a projection (“{word}”)", text=PROJECTION_WORDS),
    RoleRule(Role.DERIVED, "named a map that is not ADC (“{word}”)", text=OTHER_ADC_WORDS),
    RoleRule(Role.ADC, "named an ADC map (“{word}”)", text=ADC_WORDS, b_values=(0, 1)),
    RoleRule(Role.DERIVED, "named a processed copy (“{word}”)", text=DERIVED_WORDS),
    RoleRule(Role.LOCALIZER, "named a localizer (“{word}”)", text=LOCALIZER_WORDS),
    # Parts of a set that are not the image to read
    RoleRule(Role.OTHER, "the fat, in-phase or out-of-phase part of a Dixon set",
             image_type=_values("F FAT IP OP IN OUT OPP"), not_image_type=WATER),
    RoleRule(Role.OTHER, "a phase, real or imaginary image, not a magnitude",
             image_type=_values("P PHASE R REAL I IMAGINARY")),
    RoleRule(Role.OTHER, "named a fat, in-phase, out-of-phase or field-map part (“{word}”)",
             text=DIXON_WORDS, not_image_type=WATER),
    RoleRule(Role.OTHER, "named a silicone image (“{word}”)", text=SILICONE_WORDS),
    RoleRule(Role.OTHER, "named a calibration or preparation (“{word}”)", text=SERVICE_WORDS),
    RoleRule(Role.OTHER, "several flip angles in one series: T1 mapping", flip_angles=(2, ANY)),
    RoleRule(Role.OTHER, "named a mapping series (“{word}”)", text=MAPPING_WORDS),
    # What the physics says
    RoleRule(Role.DWI, "diffusion-weighted ({b}), named a trace",
             diffusion=True, text=_words(r"\btracew?\b")),
    # An ADC map keeps the b-values that it was made from: a derived image needs to say trace.
    RoleRule(Role.DERIVED, "Image Type says DERIVED and no trace", diffusion=True,
             image_type=_values("DERIVED"),
             not_image_type=_values("TRACE TRACEW DIFFUSION ISOTROPIC COMBINED")),
    RoleRule(Role.DWI, "diffusion-weighted ({b})", diffusion=True),
    RoleRule(Role.DERIVED, "Image Type says DERIVED",
             image_type=_values("DERIVED"), not_image_type=WATER),
    RoleRule(Role.DWI, "named diffusion (“{word}”), b-value unknown",
             scanning=_values("EP"), text=DIFFUSION_WORDS),
    RoleRule(Role.OTHER, "echo-planar images without diffusion", scanning=_values("EP")),
    RoleRule(Role.DWI, "named diffusion (“{word}”), b-value unknown",
             not_scanning=_values("GR"), te=(40, ANY),
             text=_words(r"\bdwi", r"diffusion", r"dwssfse")),
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
             sequence=_words(r"fl3d", r"vibe", r"spgr"), te=(0, 12)),
    RoleRule(Role.OTHER, "gradient echo with TE {te} ms: T2*-weighted",
             scanning=_values("GR"), te=(12.01, ANY)),
    RoleRule(Role.T1, "T1-weighted 2D gradient echo: TE {te} ms",
             scanning=_values("GR"), te=(0, 12)),
    RoleRule(Role.T1, "T1-weighted spin echo: TR {tr} ms, TE {te} ms",
             te=(0, 44.99), tr=(0, 1499.99)),
    RoleRule(Role.OTHER, "neither T1 nor T2: TR {tr} ms, TE {te} ms", te=(0, ANY), tr=(0, ANY)),
    # Where the physics is silent, the name is all there is
    RoleRule(Role.DWI, "named diffusion (“{word}”); TR and TE unknown",
             silent=True, text=DIFFUSION_WORDS),
    RoleRule(Role.T2, "named T2 (“{word}”); TR and TE unknown",
             silent=True, text=T2_WORDS),
    RoleRule(Role.DCE, "named dynamic (“{word}”); TR and TE unknown",
             silent=True, text=DYNAMIC_WORDS),
    RoleRule(Role.T1, "named T1 (“{word}”); TR and TE unknown",
             silent=True, text=T1_WORDS),
    RoleRule(Role.OTHER, "nothing tells what this series is"),
)  # fmt: skip
"""Read from the top; the last rule always holds."""

DYNAMIC_HINT = DYNAMIC_WORDS

BREAST_WORDS = _words(
    r"breast", r"mamm", r"\bmama", r"brust", r"\bsein", r"\bborst", r"\bseno", r"\bbr[öo]st",
    r"piersi", r"молочн", r"乳", r"유방",
)  # fmt: skip
OTHER_BODY_WORDS = _words(
    r"brain", r"\bhead\b", r"headneck", r"\bkopf", r"sch[aä]del", r"\bneuro", r"cereb",
    r"\bc?spine", r"\blumbar", r"thoracic sp", r"\bwirbel", r"\bknee", r"\bknie", r"should",
    r"\bhip\b", r"ankle",
    r"wrist", r"prostat", r"\bliver", r"\bleber", r"\babdom", r"pelvi", r"becken", r"\bheart",
    r"cardia", r"\bkidney", r"\brenal", r"uter", r"rect(al|um)", r"\bpancrea", r"\bmrcp\b",
    r"\bneck\b",
)  # fmt: skip
BIOPSY_WORDS = _words(
    r"(?<!post )(?<!after )(?<!prior )(?<!s/p )\bbiops", r"\bvab\b", r"needle (loc|place)",
    r"wire (loc|place)", r"draht", r"stanz", r"guided",
)  # fmt: skip
FAT_SUPPRESSED_OPTIONS = _values("FS SFS FATSAT SPAIR SPIR WE")
FAT_SUPPRESSED_WORDS = _words(
    r"\bfs\b", r"fat ?(sat|supp)", r"spair", r"\bspir\b", r"\bstir\b", r"\btirm\b", r"脂肪抑制",
)  # fmt: skip
