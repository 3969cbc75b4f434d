"""The tables of docs/conformance.md that the code itself knows; written by docs/generate.py."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from http import HTTPStatus
from typing import Final, get_args

from pydicom.datadict import dictionary_description, tag_for_keyword
from pydicom.sr.coding import Code
from pydicom.tag import Tag
from pydicom.uid import UID

from mome_node.delivery import commitment_request
from mome_node.delivery.status import STATUSES, judge, words_of
from mome_node.delivery.stow import StowSender
from mome_node.delivery.stow_answer import outcome
from mome_node.dicom import codes
from mome_node.dicom.classes import (
    PRIVATE_STORAGE_CLASSES,
    ROLE_CLASSES,
    decodable_transfer_syntaxes,
    storage_classes,
)
from mome_node.dicom.reason_codes import REASONS
from mome_node.errors import DeliveryError, PermanentDeliveryError
from mome_node.fitness.checks import CHECKS
from mome_node.http_client import Service
from mome_node.query.answers import INSTANCE_KEYS, SERIES_KEYS, STUDY_KEYS
from mome_node.query.cfind import REFUSALS
from mome_node.results.classes import STORAGE_CLASSES
from mome_node.results.classes import transfer_syntaxes as syntaxes_of
from mome_node.results.modules import written_modules
from mome_node.results.profile import DEFAULT_PROFILE, KINDS, Encoding, Kind
from mome_node.results.templates import TEMPLATES

MADE: Final[dict[Kind, str]] = {
    "sr": "for every evaluated revision; on a study that was not evaluated where "
    "`delivery.not_evaluable_report` is set",
    "seg": "where there is a region, and no more frames than `max_frames`",
    "summary": "for every evaluated revision, several images",
    "map": "where the score was explained",
    "key_objects": "for every evaluated revision; rejection notes, whatever `objects` says, when "
    "something sent holds no more",
}
ABBREVIATIONS: Final = ("sr", "sop", "sc", "voi")
LATER: Final = "tried again"
A_PERSON: Final = "waits for a person"
FOR_ALL: Final = ", with all that was to be sent"


def transfer_syntaxes() -> str:
    """The transfer syntaxes that are accepted."""
    rows = [(UID(uid).name, uid) for uid in decodable_transfer_syntaxes()]
    return table(("transfer syntax", "UID"), rows)


def sop_classes() -> str:
    """The storage SOP classes that are accepted."""
    rows = [
        (
            PRIVATE_STORAGE_CLASSES.get(uid) or UID(uid).name,
            uid,
            "evaluated" if uid in ROLE_CLASSES else "kept",
        )
        for uid in sorted(storage_classes(), key=lambda uid: (uid not in ROLE_CLASSES, uid))
    ]
    return (
        f"<details><summary>All {len(rows)} storage SOP classes</summary>\n\n"
        f"{table(('SOP class', 'UID', 'its instances are'), rows)}\n</details>\n"
    )


def sent_classes() -> str:
    """What is sent: of each kind of result the class, and what it may be encoded in."""
    rows = [
        (
            f"`{kind}`",
            UID(uid).name,
            str(uid),
            "yes" if kind in DEFAULT_PROFILE.objects else "no",
            MADE[kind],
            " or ".join(_encodings(kind)),
        )
        for kind, uid in STORAGE_CLASSES.items()
    ]
    columns = ("`objects`", "SOP class", "UID", "by default", "made", "transfer syntaxes")
    return table(columns, rows)


def _encodings(kind: Kind) -> Iterator[str]:
    """The ways to encode a kind: uncompressed ones are converted into each other."""
    told = []
    for encoding in get_args(Encoding):
        names = " or ".join(syntax.name for syntax in syntaxes_of(kind, encoding))
        if names not in told:
            told.append(names)
            yield names


def store_statuses() -> str:
    """What is made of each status of a C-STORE."""
    rows = [
        (f"{_numbers(low, high)} {words_of(high) if high else 'success'}", _stored(low))
        for low, high in sorted(STATUSES)
    ]
    return table(("status", "what is made of it"), [*rows, ("any other", _stored(0x0FFF))])


def _stored(status: int) -> str:
    receipt = judge("", status, "")
    if receipt.error is None:
        return "stored; noted" if receipt.note else "stored"
    return _when_again(receipt.error)


def _when_again(error: DeliveryError) -> str:
    return A_PERSON if isinstance(error, PermanentDeliveryError) else LATER


def _numbers(low: int, high: int) -> str:
    """Write a range of statuses as, e.g., A7xx."""
    if low == high:
        return f"{low:04X}"
    return f"{low:04X}".rstrip("0").ljust(4, "x")


def stow_statuses() -> str:
    """What is made of each status of a Store transaction that names no reason of a failure."""
    sender, by_words = StowSender("", Service("")), dict[str, list[int]]()
    for status in HTTPStatus:
        if status >= HTTPStatus.OK:
            fault = sender.service_fault(status)
            error = fault or outcome("1", status, None, "").error
            assert error is not None  # nothing is stored without a word of the instance
            words = f"{_when_again(error)}{FOR_ALL if fault else ''}"
            by_words.setdefault(words, []).append(status)
    rows = [(", ".join(map(str, some)), words) for words, some in by_words.items()]
    return table(("HTTP status", "what is made of it"), rows)


def action_statuses() -> str:
    """What is made of each status of an N-ACTION that asks for storage commitment."""
    taken = "taken: a report will follow"
    warnings = sorted(commitment_request.WARNINGS)
    rows = [
        ("0000 success", taken),
        (f"{', '.join(f'{s:04X}' for s in warnings if s < 0xB000)}, Bxxx warnings", taken),
        *(
            (f"{status:04X} {words}", "the peer takes no such requests: not asked again")
            for status, words in commitment_request.PERMANENT.items()
        ),
        *(
            (f"{status:04X} {words}", "asked again later")
            for status, words in commitment_request.TRANSIENT.items()
        ),
        ("any other", "asked again later"),
    ]
    return table(("N-ACTION status", "what is made of it"), rows)


def find_statuses() -> str:
    """What is made of each status of a C-FIND."""
    rows = [
        ("FF00, FF01", "a match"),
        ("0000", "the end of the answer"),
        *((f"{status:04X}", f"not asked again: {words}") for status, words in REFUSALS.items()),
        ("any other, none", "asked again later"),
    ]
    return table(("C-FIND status", "what is made of it"), rows)


def query_keys() -> str:
    """The return keys of a query, by level."""
    levels: Mapping[str, Sequence[str]] = {
        "STUDY": STUDY_KEYS,
        "SERIES": SERIES_KEYS,
        "IMAGE": INSTANCE_KEYS,
    }
    rows = [
        (level, dictionary_description(tag), str(Tag(tag)).replace(" ", "").upper())
        for level, keys in levels.items()
        for tag in (tag_for_keyword(key) for key in keys)
        if tag is not None
    ]
    return table(("level", "attribute", "tag"), rows)


def modules() -> str:
    """The modules of each kind of object."""
    rows = [
        (kind, module.entity, module_name(module.key), module.usage, module.when)
        for kind in KINDS
        for module in written_modules(kind)
    ]
    return table(("object", "entity", "module", "usage", "present"), rows)


def module_name(key: str) -> str:
    """Write sr-document-series as SR Document Series."""
    words = key.replace("multi-frame", "multi_frame").split("-")
    named = [w.upper() if w in ABBREVIATIONS else w[:1].upper() + w[1:] for w in words]
    return " ".join(named).replace("_", "-")


def templates() -> str:
    """The templates that reports and key object selections follow."""
    rows = [(f"TID {t.tid}", t.name, t.where, "yes" if t.identified else "no") for t in TEMPLATES]
    return table(("template", "name", "where", "identified in the object"), rows)


def public_codes() -> str:
    """The codes of public schemes that this node gives meaning to its results by."""
    found = dict.fromkeys(_public(vars(codes).values()))
    rows = sorted((c.scheme_designator, f"`{c.value}`", c.meaning) for c in found)
    return table(("coding scheme", "code value", "code meaning"), rows)


def _public(values: Iterable[object]) -> Iterator[Code]:
    for value in values:
        if isinstance(value, Code) and value.scheme_designator != codes.PRIVATE_SCHEME:
            yield value
        elif isinstance(value, dict):
            yield from _public(value.values())


def private_codes() -> str:
    """The concepts of our private coding scheme."""
    return _coded(codes.PRIVATE_CODES)


def reasons() -> str:
    """Why a study was not evaluated: values of the concept REASON."""
    return _coded(REASONS)


def _coded(concepts: Iterable[codes.PrivateCode]) -> str:
    rows = [(f"`{c.code.value}`", c.code.meaning, c.definition) for c in concepts]
    return table(("code value", "code meaning", "definition"), rows)


def fitness_checks() -> str:
    """The checks of an exam's fitness: the values of the concept FAILED_CHECK."""
    rows = [
        (
            f"`{check.code}`",
            check.meaning,
            check.failed_by,
            str(check.outcome),
            "nobody" if check.fixed else "site" if check.site_may_loosen else "package",
        )
        for check in CHECKS
    ]
    columns = ("code value", "code meaning", "failed by", "by default", "loosened by")
    return table(columns, rows)


def table(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table in Markdown."""
    lines = [columns, ["---"] * len(columns), *rows]
    cells = [[cell.replace("|", "\\|") for cell in line] for line in lines]
    return "".join(f"| {' | '.join(line)} |\n" for line in cells)


BLOCKS: Final[Mapping[str, Callable[[], str]]] = {
    "SOP classes": sop_classes,
    "transfer syntaxes": transfer_syntaxes,
    "SOP classes sent": sent_classes,
    "C-STORE statuses": store_statuses,
    "query keys": query_keys,
    "C-FIND statuses": find_statuses,
    "N-ACTION statuses": action_statuses,
    "HTTP statuses": stow_statuses,
    "modules": modules,
    "templates": templates,
    "public codes": public_codes,
    "private codes": private_codes,
    "reasons": reasons,
    "fitness checks": fitness_checks,
}
"""What makes each block, by the name between its marks."""
