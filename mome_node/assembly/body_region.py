"""Whether a study is of the breast, by what an archive's lists say: no images, no coils.

The lists hold all the MR of a hospital, so more words are known here than are needed for studies
that a routing rule has already chosen.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from mome_node.assembly.role_words import BREAST, OTHER_BODY, plain
from mome_node.assembly.series_table import SeriesAttributes


class Region(StrEnum):
    """What a list tells of the part of the body."""

    BREAST = "breast"
    OTHER = "other"
    UNTOLD = "untold"


@dataclass(frozen=True, slots=True)
class RegionTold:
    """The part of the body and what tells it, in words of this module's own vocabulary."""

    region: Region
    reason: str


MORE_BREAST_WORDS = re.compile(
    r"""
      \bbmri\b | \bmammo
    | \bvibrant | \b(dyn\ ?)?views\b | \bbliss\b | \brodeo\b  # sequences made for the breast
    | \bbryst | \brint[ao] | \brinna | \bprs[uya]\b | \bprsni  # Nordic; Czech
    | \bdojk | \bemlo | \bs[aâ]n(i|ul|ilor)\b | \bmeme\b   # Croatian; Hungarian; Romanian; Turkish
    | \bkrut | \bkruties | \brind(a|ade)\b | \bpiers       # Baltic; Polish
    | μαστ | груд(ь|и|ей|ных\ желез) | гърд                 # Greek; Russian; Bulgarian
    # Arabic; Hebrew; Thai; Malay; Vietnamese
    | ثدي | שדיים | שד\b | เต้านม | \bpayudara | \btuyen\ vu
    """,
    re.VERBOSE,
)
MORE_OTHER_WORDS = re.compile(
    r"""
      \bhirn | \bcran | \bcerveau | \bencef | \bcerebr | \bcabe[zç]a | \btesta\b
    | головн | 頭 | 脑 | 뇌
    | \b(hws|bws|lws)\b | \brachis | \bcolonn?[ae]\b | \bcolumna | \bcoluna
    | позвон | 脊 | 腰椎 | 頸椎
    | \bgenou | \brodilla | \bjoelho | \bginocchi | колен | 膝 | 무릎
    | \bhüft | \bhanche | \bcadera | \bquadril | \banca\b | 股関節
    | \bschulter | \b[eé]paule | \bhombro | \bombro | \bspalla | плеч | 肩
    | \bsprunggelenk | \bcheville | \btobillo | \bfu(ss|ß)\b | \bfoot\b | \bhand\b | \bpoignet
    | \bellbow | \belbow | \bellenbogen
    | \bfoie\b | \bh[ií]gado | \bf[ií]gado | \bfegato | печен | 肝
    | \bprostat | простат | 前立腺 | 前列腺
    | \buterus | \bbassin | \bpelv | малого\ таза | 骨盆 | 骨盤
    | \bherz | \bc[oœ]ur\b | \bcoraz | \bcora[çc] | \bcuore\b | 心臓 | 心脏
    | \babdom | \bbauch | \bniere | \brein\b | \bri[ñn][oó]n | \bthorax\b | \blung
    | \bthigh | \boberschenkel | \bpituit | \bhypoph | \borbit | \bsella\b | \bentero | \bfistul
    | \bt\ ?spine | \bl\ ?spine | \bc\ ?spine | \bspine | \bsacr | \bisg\b | \bangio
    """,
    re.VERBOSE,
)


def region_of(
    series: Sequence[SeriesAttributes], *, has_dynamic: bool, images_say: Sequence[str] = ()
) -> RegionTold:
    """The part of the body of one study, by the descriptions of the study and its series.

    ``images_say``: what images of it say beside, such as the name of the receive coil.

    Body Part Examined (0018,0015) decides nothing alone: scanners fill it from a list that the
    operator rarely changes. What no description tells is known to be the breast only where it
    says so beside a dynamic series.
    """
    described = {plain(t) for s in series for t in (s.study_description, s.series_description)}
    said = described | {plain(text) for text in images_say}
    if any(BREAST.search(t) or MORE_BREAST_WORDS.search(t) for t in said):
        return RegionTold(Region.BREAST, "a description says breast")
    found = [OTHER_BODY.search(t) for t in said]
    found += [MORE_OTHER_WORDS.search(t) for t in described]
    others = {match.group().strip() for match in found if match}
    if others:
        words = ", ".join(f"“{w}”" for w in sorted(others)[:3])
        return RegionTold(Region.OTHER, f"no description says breast, but {words}")
    says_breast = any(BREAST.search(plain(s.body_part)) for s in series)
    if says_breast and has_dynamic:
        return RegionTold(Region.BREAST, "Body Part Examined says breast, beside a dynamic")
    if says_breast:
        return RegionTold(Region.UNTOLD, "only Body Part Examined says breast")
    if has_dynamic:
        told = "no description says which part of the body, and there is a dynamic"
        return RegionTold(Region.UNTOLD, told)
    return RegionTold(Region.OTHER, "nothing says breast")
