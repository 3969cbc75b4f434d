"""The character set of a finished object: the destination's, where all of its text fits in it.

A patient's name is never garbled: if one character of the object cannot be written in the wanted
repertoire (PS3.3 C.12.1.1.2), the object is written in UTF-8. Only typographic signs of our own
sentences are replaced by plain ones.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

from pydicom.dataelem import DataElement
from pydicom.dataset import Dataset
from pydicom.multival import MultiValue

from mome_node.results.identity import IDENTITY
from mome_node.results.label import LONG_STRING
from mome_node.results.profile import CharacterSet, ResultProfile

UTF_8: Final[CharacterSet] = "ISO_IR 192"

_CODECS: Final[dict[CharacterSet, str]] = {"ISO_IR 100": "iso8859-1", "ISO_IR 6": "ascii"}
_TEXT_VRS: Final = frozenset(("LO", "LT", "PN", "SH", "ST", "UC", "UT"))
"""Value representations that Specific Character Set applies to (PS3.5 6.1.2.2)."""

_PLAIN: Final = {
    "²": "2",
    "³": "3",
    "±": "+/-",
    "×": "x",
    "·": ".",
    "…": "...",
    "–": "-",
    "—": "-",
    "−": "-",
    "‑": "-",
    "“": '"',
    "”": '"',
    "„": '"',
    "‘": "'",
    "’": "'",
    "→": "->",
    "≤": "<=",
    "≥": ">=",
    "≈": "about",
    "°": " degrees",
    "µ": "u",
    "μ": "u",
    "\u00a0": " ",
    "\u202f": " ",
}
"""What stands for a sign that the wanted repertoire lacks."""


def settle_character_set(dataset: Dataset, profile: ResultProfile) -> None:
    """Set Specific Character Set, and make our own text such that it can be written in it.

    Sequences are gone through; what was copied of patient and study is not changed.
    """
    codec = _CODECS.get(profile.character_set)
    if codec is None or not all(_fits(text, codec) for text in _as_written(dataset, codec)):
        dataset.SpecificCharacterSet = UTF_8
        return
    for element in _elements(dataset, own=True):
        _write_plain(element, codec)
    _name(dataset, profile.character_set)


def _name(dataset: Dataset, character_set: CharacterSet) -> None:
    """The default repertoire (ISO 646) is what an absent Specific Character Set means."""
    if character_set == "ISO_IR 6":
        dataset.pop("SpecificCharacterSet", None)
    else:
        dataset.SpecificCharacterSet = character_set


def _as_written(dataset: Dataset, codec: str) -> Iterator[str]:
    """Every text as it would be written: ours with plain signs, what was copied as it is."""
    for element in _elements(dataset, own=True):
        yield from (_plain(text, codec) for text in _texts(element))
    for element in _elements(dataset, own=False):
        yield from _texts(element)


def _elements(dataset: Dataset, *, own: bool) -> Iterator[DataElement]:
    """The text elements of ours, or those that are copied of patient and study; items included."""
    for element in dataset:
        if (element.keyword in IDENTITY) is own:
            continue
        if element.VR == "SQ":
            yield from (e for item in element.value for e in item.iterall() if e.VR in _TEXT_VRS)
        elif element.VR in _TEXT_VRS:
            yield element


def _texts(element: DataElement) -> Iterator[str]:
    value: Any = element.value
    if value is not None:
        yield from map(str, value) if isinstance(value, MultiValue) else (str(value),)


def _fits(text: str, codec: str) -> bool:
    try:
        text.encode(codec)
    except UnicodeEncodeError:
        return False
    return True


def _plain(text: str, codec: str) -> str:
    """The text with a plain sign for each typographic one that the repertoire lacks."""
    return "".join(c if _fits(c, codec) else _PLAIN.get(c, c) for c in text)


def _write_plain(element: DataElement, codec: str) -> None:
    texts = [*_texts(element)]
    plain = [_plain(text, codec) for text in texts]
    if plain != texts:
        cut = [text[:LONG_STRING] if element.VR == "LO" else text for text in plain]
        element.value = cut if isinstance(element.value, MultiValue) else cut[0]
