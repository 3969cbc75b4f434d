"""Settings of where results go: what each destination gets, how, and who says what it has."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Annotated, Final, Literal
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field, StringConstraints

from mome_node.settings_pacs import PacsSettings
from mome_node.settings_values import (
    LOOPBACK,
    AETitle,
    FilePath,
    Host,
    Label,
    Number,
    Port,
    Section,
    Text,
    WebUrl,
)

NOBODY: Final = "none"
"""``verify`` where nobody can be asked what a destination has."""

_CODECS: Final = {"ISO_IR 192": "utf-8", "ISO_IR 100": "latin-1", "ISO_IR 6": "ascii"}


def _name_or_nothing(value: str) -> str:
    if not value.isprintable():
        raise ValueError('the name of a [[pacs]], "none", or ""')
    return value


Verifier = Annotated[
    str,
    StringConstraints(strip_whitespace=True, max_length=64),
    AfterValidator(_name_or_nothing),
]


class DestinationSettings(Section):
    """Where results are sent to: a PACS, by C-STORE or STOW-RS."""

    name: Annotated[Text, Field(max_length=64)] = Field(description="What we call it.")
    kind: Literal["dimse", "dicomweb"] = Field(
        "dimse",
        description="How we send: by C-STORE to `ae`, `host` and `port`, or by STOW-RS to `url`.",
    )
    ae: AETitle | None = Field(None, description="Its AE title.")
    host: Host | None = Field(None, description="Its address.")
    port: Port | None = Field(None, description="Its port.")
    tls: bool = Field(
        False,
        description="Speak TLS to `port`; its certificate must name `host`. Ours is that of "
        "dicom.tls, where there is one.",
    )
    url: WebUrl | None = Field(
        None, description="Its DICOMweb service: the address that `/studies` is added to."
    )
    token_file: FilePath | None = Field(
        None, description="A file that holds the bearer token for `url`, and nothing else."
    )
    ca_file: FilePath | None = Field(
        None,
        description="The certificates (PEM) that it is trusted by, with `tls` or at `url`, not "
        "the public ones.",
    )
    timeout_s: Annotated[float, Number, Field(gt=0, le=3600)] = Field(
        60.0,
        description="A destination that says nothing for so long is given up, and tried again.",
    )
    visibility: Literal["held", "research", "clinical"] = Field(
        "held",
        description="Who sees the results there: nobody, they are kept in the node until they are "
        "let go (held); those who do research, and every result says so (research); those who "
        "treat the patient (clinical).",
    )
    objects: Annotated[
        tuple[Literal["sr", "seg", "summary", "map", "key_objects"], ...], Field(min_length=1)
    ] = Field(
        ("sr", "seg"),
        description="What is sent: the report (sr), the regions (seg), pictures that every viewer "
        "shows (summary), the map of what influenced the score (map), the slices that matter "
        "(key_objects). `mome-node check` tells which of them it takes.",
    )
    commitment: bool = Field(
        True,
        description="Ask it to commit to what was sent, where it takes such requests (DIMSE "
        "only); where not, it is asked what it has.",
    )
    verify: Verifier = Field(
        "",
        description="The [[pacs]] that is asked whose study it is before results are sent, and "
        "whether they arrived. Empty: the one of the same name, else the destination itself, by "
        'C-FIND or QIDO-RS. "none": nobody can be asked, and whose study it is there is not '
        "checked.",
    )
    study_scores: Literal["field", "group"] = Field(
        "field",
        description="Where the report has the scores of the exam: around the field that was "
        "evaluated, which viewers draw (field), or in a group without a place (group), for "
        "readers that follow IHE AIR strictly.",
    )
    encoding: Literal["explicit", "implicit", "rle"] = Field(
        "explicit",
        description="The transfer syntax: Explicit or Implicit VR Little Endian; rle compresses "
        "the pictures, the rest is explicit.",
    )
    character_set: Literal["ISO_IR 192", "ISO_IR 100", "ISO_IR 6"] = Field(
        "ISO_IR 192", description="Of the texts in results: UTF-8, Latin 1 or ASCII."
    )
    max_frames: Annotated[int, Number, Field(ge=0, le=100_000)] = Field(
        0,
        description="A seg that would have more frames is left out, and the report says so; 0: no "
        "limit.",
    )
    empty_frames: bool = Field(
        False,
        description="Give every slice of the source a frame in the seg, not only where a "
        "region is.",
    )
    series_number: Annotated[int, Number, Field(ge=1, le=2_000_000_000)] = Field(
        9901, description="Series Number of the report; those of other objects follow it."
    )
    series_name: Annotated[Text, Field(max_length=16)] = Field(
        "MOME", description="Begins the Series Description of every result."
    )
    label: Label | None = Field(
        None, description="Printed in every result for it; by default node.label."
    )


class DeliverySettings(Section):
    """How results are sent: when a delivery is tried again, and what is waited for."""

    first_s: Annotated[float, Number, Field(gt=0, le=3600)] = Field(
        5.0, description="A delivery that failed is tried again after so long, then after twice it."
    )
    longest_s: Annotated[float, Number, Field(gt=0, le=86400)] = Field(
        900.0, description="The longest pause between two tries."
    )
    give_up_h: Annotated[float, Number, Field(gt=0, le=30 * 24)] = Field(
        72.0, description="A delivery that fails for so many hours waits for a person."
    )
    confirm_wait_s: Annotated[float, Number, Field(gt=0, le=86400)] = Field(
        120.0,
        description="A report on storage commitment is waited for so long; then the destination "
        "is asked what it has.",
    )
    not_evaluable_report: bool = Field(
        False, description="Send a report, too, on a study that cannot be evaluated: it says why."
    )


def with_absolute_destination_files(
    destination: DestinationSettings, base: Path
) -> DestinationSettings:
    """Take relative paths from the folder of the settings file."""
    files = {"token_file": destination.token_file, "ca_file": destination.ca_file}
    return destination.model_copy(update={k: (base / f).resolve() for k, f in files.items() if f})


def verifier_of(
    destination: DestinationSettings, archives: Sequence[PacsSettings]
) -> PacsSettings | DestinationSettings | None:
    """Who is asked what a destination has: an archive, the destination itself, or nobody."""
    if destination.verify == NOBODY:
        return None
    name = destination.verify or destination.name
    return next((pacs for pacs in archives if pacs.name == name), destination)


def delivery_contradictions(delivery: DeliverySettings) -> Iterator[str]:
    """Pauses that contradict each other."""
    if delivery.longest_s < delivery.first_s:
        yield (
            f"delivery.longest_s: found {delivery.longest_s:g}; allowed: at least "
            f"delivery.first_s, which is {delivery.first_s:g}"
        )


def destination_contradictions(
    destinations: Sequence[DestinationSettings],
    archives: Sequence[PacsSettings],
    label: str,
    loose: Sequence[int],
) -> Iterator[str]:
    """What each value allows and all of them together do not.

    ``label``: that of the node. ``loose``: the numbers of the models that may evaluate patients
    although they are synthetic.
    """
    names = [d.name for d in destinations]
    if len(set(names)) < len(names):
        yield f"destination.name: found {names}; allowed: each name once"
    known = [p.name for p in archives]
    if NOBODY in known:
        yield f"pacs.name: found {NOBODY!r}; allowed: another name, as `verify` means nobody by it"
    for number, destination in enumerate(destinations):
        place = f"destination.{number}"
        yield from _address_faults(place, destination)
        yield from _text_faults(place, destination, label)
        if destination.verify not in ("", NOBODY, *known):
            listed = ", ".join(repr(name) for name in ("", NOBODY, *known))
            yield f"{place}.verify: found {destination.verify!r}; allowed: one of {listed}"
        if len(set(destination.objects)) < len(destination.objects):
            yield f"{place}.objects: found {list(destination.objects)}; allowed: each once"
        if destination.visibility == "clinical" and loose:
            yield (
                f"{place}.visibility: found 'clinical'; allowed: 'held' or 'research', as "
                f"model.{loose[0]}.allow_synthetic_on_patients is true"
            )


def _address_faults(place: str, destination: DestinationSettings) -> Iterator[str]:
    is_web = destination.kind == "dicomweb"
    for key in ("url",) if is_web else ("ae", "host", "port"):
        if getattr(destination, key) is None:
            yield f'{place}.{key}: missing; kind = "{destination.kind}" needs it'
    if is_web and destination.tls:
        yield f'{place}.tls: found true; allowed: false, as kind = "dicomweb" has https in its url'
    url = urlsplit(destination.url or "")
    if destination.token_file and url.scheme == "http" and url.hostname not in LOOPBACK:
        yield (
            f"{place}.url: found http with a token_file; allowed: https, as the token would "
            "cross the network in the clear"
        )


def _text_faults(place: str, destination: DestinationSettings, label: str) -> Iterator[str]:
    """Texts that the character set cannot hold."""
    texts = {"label": destination.label or label, "series_name": destination.series_name}
    for key, text in texts.items():
        try:
            text.encode(_CODECS[destination.character_set])
        except UnicodeEncodeError:
            own = key != "label" or destination.label is not None
            yield (
                f"{place if own else 'node'}.{key}: found {text!r}; allowed: text that "
                f'character_set = "{destination.character_set}" of {destination.name!r} can hold'
            )
