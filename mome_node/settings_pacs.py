"""Settings of the archives around that may be asked what they hold."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Annotated, Literal
from urllib.parse import urlsplit

from pydantic import Field

from mome_node.settings_values import (
    LOOPBACK,
    AETitle,
    FilePath,
    Host,
    Number,
    Port,
    Section,
    Text,
    WebUrl,
)


class PacsSettings(Section):
    """An archive that may be asked what it holds. A destination may have the same name."""

    name: Annotated[Text, Field(max_length=64)] = Field(description="What we call it.")
    kind: Literal["dimse", "dicomweb"] = Field(
        "dimse",
        description="How we ask: by C-FIND at `ae`, `host` and `port`, or by QIDO-RS at `url`.",
    )
    ae: AETitle | None = Field(None, description="Its AE title.")
    host: Host | None = Field(None, description="Its address.")
    port: Port | None = Field(None, description="Its port.")
    url: WebUrl | None = Field(
        None, description="Its DICOMweb service: the address that `/studies` is added to."
    )
    token_file: FilePath | None = Field(
        None, description="A file that holds the bearer token for `url`, and nothing else."
    )
    ca_file: FilePath | None = Field(
        None, description="The certificates (PEM) that `url` is trusted by, not the public ones."
    )
    requests_per_s: Annotated[float, Number, Field(gt=0, le=1000)] = Field(
        5.0, description="Questions a second at most."
    )
    timeout_s: Annotated[float, Number, Field(gt=0, le=3600)] = Field(
        30.0, description="An archive that says nothing for so long is given up."
    )
    counts: bool = Field(
        False,
        description="Ask it how many images each MR series of an arriving study has: a study is "
        "complete when they are here. For one archive, which has to forward whole studies.",
    )


def with_absolute_pacs_files(pacs: PacsSettings, base: Path) -> PacsSettings:
    """Take relative paths from the folder of the settings file."""
    files = {"token_file": pacs.token_file, "ca_file": pacs.ca_file}
    return pacs.model_copy(update={k: (base / f).resolve() for k, f in files.items() if f})


def archive_contradictions(archives: Sequence[PacsSettings]) -> Iterator[str]:
    """What each value allows and all of them together do not."""
    names = [p.name for p in archives]
    if len(set(names)) < len(names):
        yield f"pacs.name: found {names}; allowed: each name once"
    if sum(p.counts for p in archives) > 1:
        yield "pacs.counts: found true for several archives; allowed: for one"
    for number, pacs in enumerate(archives):
        yield from _pacs_contradictions(f"pacs.{number}", pacs)


def _pacs_contradictions(place: str, pacs: PacsSettings) -> Iterator[str]:
    needed = ("url",) if pacs.kind == "dicomweb" else ("ae", "host", "port")
    for key in needed:
        if getattr(pacs, key) is None:
            yield f'{place}.{key}: missing; kind = "{pacs.kind}" needs it'
    url = urlsplit(pacs.url or "")
    if pacs.token_file and url.scheme == "http" and url.hostname not in LOOPBACK:
        yield (
            f"{place}.url: found http with a token_file; allowed: https, as the token would "
            "cross the network in the clear"
        )
