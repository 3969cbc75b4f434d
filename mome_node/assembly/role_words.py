r"""The words by which series are named, one vocabulary for each thing that a name can say.

Names are free text in the site's language. ``plain`` brings them into one form: lower case, no
accents, full-width letters made narrow, separators turned into blanks. The patterns are written
for that form; their ``\b``, ``\w`` and ``\d`` know ASCII only, so that a word ends where Chinese
or Cyrillic begins. None of them knows a site's descriptions: only what techniques, contrast agents
and processing are called by makers and by radiographers.
"""

from __future__ import annotations

import re
import unicodedata
from functools import lru_cache

READ_AT_MOST = 256
"""Characters of a text that are read: an LO value has 64 (PS3.5 6.2), a hostile one any number."""

_SEPARATORS = re.compile(r"[_^\-\s]+")
_ACCENTS = re.compile(r"[\u0300-\u036f]")


@lru_cache(maxsize=4096)
def plain(text: str) -> str:
    """Free text in the form that the patterns are written for."""
    parted = unicodedata.normalize("NFKD", text[:READ_AT_MOST].casefold())
    # Accents of Latin and Cyrillic letters go, marks that make another kana of one do not.
    joined = unicodedata.normalize("NFC", _ACCENTS.sub("", parted))
    return _SEPARATORS.sub(" ", joined).strip()


def words(*patterns: str) -> re.Pattern[str]:
    """One pattern out of several that mean the same."""
    return re.compile("|".join(patterns), re.ASCII)


# Made from images, not acquired

SUBTRACTION = words(
    r"\bsub(s|b?ed|tr\w*)?\b(?!.?mucos)", r"\bsub ?\d", r"\b(dyn|a|post ?\d?)sub\b", r"\bsubt",
    r"\bsoust", r"\bsous\b", r"\bsustr", r"\bsottr", r"\bodejm", r"субтр", r"вычит",
    r"减影", r"減影", r"剪影", r"差分", r"サブトラ", r"감산",
)  # fmt: skip
PROJECTION = words(
    r"\bmips?\b", r"\b3?d?mip\b", r"\bmip\d", r"\bpjn\b", r"\bm(ax|in) ?ip\b", r"projection",
    r"projektion", r"proyecc", r"最大密度", r"最大値", r"投影",
)  # fmt: skip
REFORMAT = words(
    r"\bc?mpr(s|\d)?\b", r"\breform", r"\bre?fmt\b", r"\bresampl", r"\breslic", r"\bcurved\b",
    r"\bvrt?\b", r"volume ?render", r"\bssd\b", r"\bthick slab", r"processed images?$",
    r"\brekonstr", r"^(3d )?recons?\b", r"重建", r"再構成",
)  # fmt: skip
PROCESSED = words(
    r"\bvolser\b", r"\b(dyna ?)?cad\b", r"\bcad ?stream\b", r"\bdyna ?suite\b", r"\bmoco\b",
    r"motion.?corr", r"\balign(ed)?\b", r"\bcoreg", r"\bfus(ed|ion)\b", r"\bmerged", r"stripped",
    r"\baverage", r"\bstd ?dev", r"not diagnostic", r"summary", r"\bcolou?r\b", r"\boverlay",
    r"\bmovie\b", # GE's image arithmetic: (exam/series/images)+(exam/series/images)
    r"\(\d+/\d+/\d+",
)  # fmt: skip
REGISTERED = words(r"\bregist(ered|rated|ration)\b", r"^d?reg\b")
COPY = words(r"\b(registered|registration|registrated|stripped)\b")
"""What keeps a copy like its original."""

COMPUTED_B_VALUE = words(
    r"\b(calc\w*|comput\w*|synth\w*|virtual|extrapol\w*)[ .:]?(b ?\d|b\b|b.?val|dwi|diff)",
    r"\bb ?=? ?\d{3,4} ?(s/mm2? ?)?(calc|comp|synth)", r"\b(s|c|cb|syn|comp)dwi\b",
    r"magic ?dwi", r"\bc(alc)?b ?\d{3,4}\b",
)  # fmt: skip
PARAMETRIC_MAP = words(
    r"\bser$", r"\bser (map|image)", r"\bpe ?\d$", r"wash.?(in|out)", r"\bi?auc\b", r"\biaugc",
    r"\bttp\b", r"time ?to ?peak", r"\bmax(imum)? ?slope", r"\bk ?trans\b", r"\bkep\b",
    r"\bv[ep]\b map", r"parametri", r"\bkinetic", r"\bpos(itive)? enh",
    r"(relative|rel|signal|percent|peak|max) ?enh", r"enhancement (ratio|integral|map)",
    r"\bcurve type", r"\btissue ?4d", r"\btram\b",
)  # fmt: skip
SCREEN = words(
    r"screen ?(s(ave|hot)|cap)", r"\bsaved? ?(image|state|screen)", r"snap ?shot", r"\bcapture",
    r"secondary ?cap", r"\bkey ?(image|object)", r"\breport", r"\bdose (info|sr|sum)",
    r"presentation ?state", r"\bgsps\b", r"\bphoenix", r"\bposdisp", r"\bexam ?card",
    r"\bpatient ?protocol",
)  # fmt: skip
SEGMENTATION = words(
    r"\bmask ?:", r"\b(dwi|tumou?r|lesion|breast|voi|roi|air|skin|tissue|manual) ?masks?\b",
    r"\bsegment", r"\bseg\b", r"\broi\b", r"\bvoi\b", r"\bcontour",
)  # fmt: skip
OTHER_DIFFUSION_MAP = words(
    r"\be ?adc\b", r"\bexp(onential)?\b.*(adc|apparent|atten)", r"\bexponential",
    r"fractional aniso", r"\bfa( map|$)", r"\bcolfa\b", r"\btensor$", r"kurtosis map",
    r"\bperf(usion)? frac", r"mean diffusivity", r"ratio aniso",
)  # fmt: skip
ADC = words(
    r"\bd?adc(\d|\b)", r"apparent diff", r"\baverage dc\b", r"\bdiff(usion)? coef",
    r"表观", r"表観", r"見かけの拡散", r"икд", r"겉보기",
)  # fmt: skip

# Preparation

LOCALIZER = words(
    r"\blocali[sz]", r"\blocator\b", r"\bscou(ts?)?\b", r"\baah?scout", r"\bsurvey", r"\blocs?\b",
    r"\b(3|three|tri) ?(planes?|pl|p)\b", r"\btriplan", r"\bplan(ning)? ?scan", r"\bpilot\b",
    r"\btopogram", r"\bscano", r"\bpositioning\b", r"\blokal", r"\brepe?r(age)?\b", r"\bubersicht",
    r"\bloca(l|lizador|lizzatore)\b", r"定位", r"位置決", r"локал", r"위치",
)  # fmt: skip
SERVICE = words(
    r"\bcalib", r"\bcal\b", r"(^|: ?)shim\b", r"\b(coil )?sens(itivity)? ?(ref|map)",
    r"\bref(erence)? ?scan", r"\bsense ?ref", r"\bb[01] ?map", r"^b[01]$", r"field ?map",
    r"\bpre ?scan\b", r"\bsmart ?prep", r"\bbolus ?track", r"\bcare ?bolus", r"\bfluoro",
    r"\b(test|timing) ?bolus", r"\bbolus ?timing", r"\btest\b.*\b(acf|bolus)\b", r"\bphantom\b",
    r"\bqa\b", r"\bsnr\b", r"\bnoise\b", r"\bspectro", r"\bmrs\b", r"\bsvs\b", r"\bcsi\b",
    r"\belastogr", r"\bmre\b", r"\bbold\b", r"\bfiesta\b", r"\btru ?fi(sp)?\b",
    r"\bbssfp\b", r"\bswi\b", r"\bt2 ?\*", r"\bt2 ?star\b", r"\br2 ?\*", r"校准", r"匀场",
)  # fmt: skip
MAPPING = words(
    r"\bt[12] ?map", r"\bmap(ping)? t[12]\b", r"multi.?flip", r"variable flip", r"\bvfa\b",
    r"\bmolli\b", r"\bmyomaps", r"\bsynthetic t[12]", r"\bmagic\b",
)  # fmt: skip
SILICONE = words(
    r"sili[ck]on", r"\bsil(i|ic)?\b", r"water ?(sat|supp)", r"\bwat ?sat", r"\bws\b",
    r"シリコン", r"硅胶", r"силик", r"실리콘",
)  # fmt: skip

# Members of a Dixon or IDEAL set: GE names them before, Siemens and Philips after the sequence.

NOT_WATER = words(
    r"(^|: ?)(fat|ip|op|in ?phase|out ?(of )?phase|opp(osed)? ?(phase)?|field ?map)( ?\(hz\))? ?:",
    r"[\[(](fat|f|ip|op|in|opp|out|in ?phase|out ?phase|opp(osed)? ?phase)[\])]",
    r" (f|in|ip|op|opp|out|in ?phase|opp(osed)? ?phase|out ?(of )?phase|inph|outph)$",
    r"(?<!no)(?<!non)(?<!without)(?<!w/o)(?<!sans)(?<!sin)(?<!sem) fat$",
    r"\bfat ?(image|only|frac)", r"\bpdff\b", r"\bff\b", r"\bfettbild",
    r" (fett|graisse|grasa|gordura|grasso)$", r"脂像", r"脂肪像", r"反相", r"同相", r"逆位相",
)  # fmt: skip
WATER = words(
    r"(^|: ?)(water|w) ?:", r"[\[(](water|w)[\])]", r" (w|water|wasser|eau|agua|acqua)$", r"水像",
)  # fmt: skip

# Weighting and technique

DIFFUSION = words(
    r"\b[es]?dwi", r"diffus", r"\bdif+\b", r"\bdw\b", r"\bdti", r"\bep2d\b", r"\bresolve",
    r"\bdw ?ssfse", r"\bdw ?epi", r"\bivim\b", r"\bdki\b", r"\bmuse\b", r"\bzoomit\b",
    # Two digits alone are a software version (B17).
    r"\bb ?\d{3,4}\b", r"\bb ?= ?\d", r"\bb ?50\b", r"\bb ?val", r"\bbvals?\b", r"\btracew?\b",
    r"\bdifus", r"диффуз", r"двв", r"弥散", r"彌散", r"扩散", r"擴散", r"拡散", r"확산",
)  # fmt: skip
TRACE = words(r"\btracew?\b")
SURE_DIFFUSION = words(r"\b[es]?dwi", r"diffus", r"\bdw ?ssfse", r"\bdifus", r"[弥彌扩擴拡]散")
T2 = words(
    r"\b[sw]?t2(?! ?\*)(?! ?star)(?! ?map)", r"\b(ax|sag|cor|tra)t2", r"\bstir", r"stir\b",
    r"\btirm\b", r"\bfr ?fse", r"т2",
)  # fmt: skip
T2_TECHNIQUE = words(
    r"\bir\b", r"[ft]se", r"\bvista\b", r"\bblade\b", r"\bpropeller\b", r"\bmulti ?vane\b",
    r"\bhaste\b", r"\bspace\b", r"\bspc\b", r"\brare\b", r"water ?: ?(ideal|flex)",
)  # fmt: skip
DYNAMIC = words(
    r"\bdyn", r"\bdinami", r"vibrant", r"\bvibe", r"views\b", r"e?thrive", r"\bfl(ash)? ?3d",
    r"\b3d ?flash", r"\bbliss", r"\blava", r"\bdisco\b", r"\btwist", r"quick ?3d", r"\brodeo\b",
    r"spgr", r"\be?f?gre ?3d", r"3d ?e?f?(gre|ffe|tfe|spoil)", r"\btigre\b", r"\bgrasp\b",
    r"\bstar ?vibe", r"\bultra ?fast", r"\b4d\b", r"\btricks\b", r"multi ?phase", r"\bdce",
    r"\bperf(usion)?\b", r"\bph ?\d+ ?/", r"(1st|2nd|3rd|[4-9]th) ?pass?\b", r"\bm ?dixon",
    r"динам", r"动态", r"動態", r"ダイナミック", r"역동",
)  # fmt: skip
SPIN_ECHO = words(r"\ba?[ft]se", r"\bse\b")
T1 = words(r"\bw?t1", r"\b(ax|sag|cor|tra)t1", r"т1")
GRADIENT_ECHO = words(r"gradient ?echo", r"gre\b", r"\bt?ffe\b", r"\btfe\b", r"flash")
THREE_D = words(r"3d\b", r"\b3d", r"\biso(tropic)?\b", r"\bvolumetric\b", r"\bcube\b")
FAT_SUPPRESSED = words(
    r"(?<!no )(?<!non )(?<!sin )(?<!sans )(?<!ohne )\bf/?s\b", r"\bspair", r"\ba?spir\b",
    r"(?<!non )(?<!no )(?<!without )(?<!w/o )(?<!sans )(?<!ohne )\bfat ?\.?(sat|supp?|free|null)",
    r"\bstir\b", r"\btirm\b", r"\bfettsat", r"\bfett(unter|supp)", r"\bsat ?(de )?gra",
    r"\bsup\w* ?(de )?gra", r"\bsat gord", r"\bwater ?exc",
    r"脂肪抑制", r"压脂", r"抑脂", r"지방 ?억제",
)  # fmt: skip
NOT_FAT_SUPPRESSED = words(
    r"\b(non?|without|w/o|w/out|ohne|sans|sin|sem|senza|zonder) ?(fat|f/?s\b|spair|spir|sat)",
    r"\bnfs\b", r"\bunsup", r"不压脂", r"非压脂",
)  # fmt: skip

# Contrast agent and phase

BEFORE_CONTRAST = words(
    r"\bpre ?\d?\b(?! ?meno)", r"\bpre ?(contr|gad|gd|inj|km|dyn|con)", r"\bprae\b", r"\bnativ",
    r"\bmask\b", r"\bbefore\b", r"\bavant\b", r"\bante?s\b", r"\bvoor\b", r"\bunenhanced",
    r"\bnon ?contr",
    r"\b(sans|sem|sin|senza|ohne|zonder|utan|uden|bez|without|w/o|no) ?"
    r"(inj|contr|kontr|km\b|gad|gd\b|mdc|civ\b|iv\b)",
    r"до контр", r"без контр", r"平扫", r"造影前", r"增强前", r"조영 ?전", r"単純",
)  # fmt: skip
AFTER_CONTRAST = words(
    r"\bpost ?\d*\b(?! ?(bx|biops|op|meno|surg|m\.))", r"\d ?posts?\b",
    r"\bpost ?(contr|gad|gd|inj|km|con|dyn)",
    r"\+ ?c\b", r"\bc ?\+", r"\bce\b", r"\bgad", r"\bgd\b", r"\bomni", r"\bdotarem", r"\bmagnev",
    r"\bmulti ?hance", r"\bprohance", r"\bkm\b", r"\bkontrast", r"\bapres\b", r"\bapos\b",
    r"\bpos\b", r"\bdespues\b", r"\bdopo\b", r"\bna contrast", r"\binj(ect\w*|ecte|ection)?\b",
    r"\b(con|com|avec|met|mit|med|with|w|z) ?(contr|kontr|inj|gad|mdc|km\b|iv\b)", r"\bmdc\b",
    r"\bdelay", r"\bspat", r"\btardi", r"после контр", r"с контр",
    r"增强", r"增強", r"造影", r"조영",
)  # fmt: skip
PHASE_ONLY = words(
    r"\bph(ase)? ?\d+\b", r"\b\d+ ?(min|secs?|s)\b", r"\bpass ?\d", r"\bpre\b", r"\bpost\b"
)  # fmt: skip

# What an exam is of and for

BREAST = words(
    r"breast", r"\bbrst", r"mamm", r"\bmama", r"brust", r"\bsein", r"\bborst", r"\bseno",
    r"\bbrost", r"\bbryst", r"piersi", r"\bprs[ua]\b", r"\bmeme\b", r"молочн", r"груд",
    r"乳", r"유방",
)  # fmt: skip
OTHER_BODY = words(
    r"brain", r"\bhead\b", r"headneck", r"\bkopf", r"schadel", r"\bneuro", r"cereb", r"\bcerv",
    r"\b[ctl]?spine", r"\blumbar", r"thoracic sp", r"\bwirbel", r"\bknee", r"\bknie", r"\bgenou",
    r"\brodilla", r"should", r"\bschulter", r"\bhip\b", r"ankle", r"\bfoot\b", r"wrist", r"\belbow",
    r"prostat", r"\bliver", r"\bleber", r"\babdom", r"pelvi", r"becken", r"\bheart", r"cardia",
    r"\bkidney", r"\brenal", r"uter", r"rect(al|um)", r"\bpancrea", r"\bmrcp\b", r"\bneck\b",
)  # fmt: skip
BIOPSY = words(
    r"(?<!post )(?<!after )(?<!prior )(?<!s/p )\bbiops", r"\bvab\b", r"\bvacora",
    r"needle (loc|place)", r"wire (loc|place)", r"draht", r"stanz", r"guided",
    r"穿刺", r"活检", r"生検",
)  # fmt: skip
