"""The documentation says what the code does: what can be checked, is checked here."""

from __future__ import annotations

import argparse
import importlib.util
import json
import re
import tomllib
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest
from pydantic import BaseModel

from mome_node.catalog.commitments import MAX_OPEN_REFERENCES
from mome_node.catalog.records import DeliveryState
from mome_node.catalog.states import StudyState
from mome_node.cli.main import _parser
from mome_node.dicom.commitment import COMMITMENT_CLASS, COMMITMENT_INSTANCE, FailureReason
from mome_node.dicom.commitment_report import ReportStatus
from mome_node.dicom.uids import IMPLEMENTATION_CLASS_UID, IMPLEMENTATION_VERSION_NAME
from mome_node.ingest.availability import (
    MAX_NOTICE_BYTES,
    MAX_REFERENCES,
    NOTICE_CLASS,
    NoticeStatus,
)
from mome_node.ingest.commitment import ActionStatus
from mome_node.ingest.outcome import Status
from mome_node.ingest.scp import ScpSettings
from mome_node.settings import Settings, parse_settings
from mome_node.settings_delivery import DeliverySettings, DestinationSettings

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
PAGES = (ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted(DOCS.rglob("*.md")))
LINK = re.compile(r"!?\[[^\]]*\]\(([^)\s]+)\)|<img src=\"([^\"]+)\"")
FENCE = re.compile(r"^```(\w*)\n(.*?)^```", re.DOTALL | re.MULTILINE)
HEADING = re.compile(r"^#+ (.+)$", re.MULTILINE)


@pytest.fixture(scope="module")
def generator() -> ModuleType:
    spec = importlib.util.spec_from_file_location("docs_generate", DOCS / "generate.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(DOCS)  # as it is when it is run
        spec.loader.exec_module(module)
    return module


def text_of(*paths: Path) -> str:
    return "\n".join(path.read_text(encoding="utf-8") for path in paths)


def anchors_of(path: Path) -> set[str]:
    """The anchors of a page's headings, as they are made where the pages are read."""
    headings = HEADING.findall(FENCE.sub("", text_of(path)))
    return {re.sub(r"[^\w\- ]", "", h.lower()).replace(" ", "-") for h in headings}


def commands() -> dict[str, argparse.ArgumentParser]:
    """Every command, and every verb of one, by the words that call it."""

    def below(parser: argparse.ArgumentParser, words: str) -> Iterator[tuple[str, object]]:
        for action in parser._actions:
            if isinstance(action, argparse._SubParsersAction):
                for name, inner in action.choices.items():
                    yield f"{words} {name}", inner
                    yield from below(inner, f"{words} {name}")

    return dict(below(_parser(), "mome-node"))  # type: ignore[arg-type]  # choices hold parsers


def sections(section: type[BaseModel]) -> Iterator[type[BaseModel]]:
    """A section of the settings with all below it."""
    yield section
    for field in section.model_fields.values():
        for kind in (field.annotation, *getattr(field.annotation, "__args__", ())):
            if isinstance(kind, type) and issubclass(kind, BaseModel):
                yield from sections(kind)


def test_generated_pages_are_what_the_code_says(generator: ModuleType) -> None:
    differing = [
        path.name for path, text in generator.pages().items() if path.read_text("utf-8") != text
    ]
    assert not differing, "run `.venv/bin/python docs/generate.py`"


def test_every_setting_has_a_meaning_and_is_on_the_page() -> None:
    page = text_of(DOCS / "settings.md")
    for section in sections(Settings):
        for key, field in section.model_fields.items():
            if section is Settings:
                assert f"[{key}]" in page
            else:
                assert field.description, f"{section.__name__}.{key} has no description"
                assert f"| `{key}` |" in page
                assert field.description in page


def test_every_choice_of_a_destination_comes_with_advice() -> None:
    keys = re.findall(
        r"^\| (`[^|]+`) \| [^|]+ \| [^|]+ \|$", text_of(DOCS / "results.md"), re.MULTILINE
    )
    told = set(re.findall(r"`(\w+)`", " ".join(keys)))
    assert told >= {*DestinationSettings.model_fields, *DeliverySettings.model_fields}


def test_every_state_of_a_delivery_is_explained() -> None:
    page = text_of(DOCS / "results.md")
    for state in DeliveryState:
        assert re.search(rf"^\| `{state}` \| [^|]+ \| [^|]+ \|$", page, re.MULTILINE), state


@pytest.mark.parametrize("page", PAGES, ids=lambda p: str(p.relative_to(ROOT)))
def test_relative_links_resolve(page: Path) -> None:
    for match in LINK.finditer(FENCE.sub("", text_of(page))):
        target = match.group(1) or match.group(2)
        if re.match(r"[a-z]+:", target):
            continue
        name, _, anchor = target.partition("#")
        path = (page.parent / name) if name else page
        assert path.exists(), f"{page.name} links to {target}"
        if anchor:
            assert anchor in anchors_of(path), f"{page.name} links to {target}"


def test_every_command_is_told() -> None:
    told = text_of(*PAGES)
    untold = [words for words in commands() if not re.search(rf"{words}\b", told)]
    assert not untold


def test_no_command_is_told_that_does_not_exist() -> None:
    known = {words.split()[1] for words in commands()}
    for page in PAGES:
        text = text_of(page)
        code = [body for _, body in FENCE.findall(text)]
        code += re.findall(r"`([^`\n]+)`", FENCE.sub("", text))
        for snippet in code:
            for word in re.findall(r"\bmome-node ([a-z]+)\b", snippet):
                assert word in known, f"{page.name} tells of `mome-node {word}`"


def test_every_option_that_is_told_exists() -> None:
    parsers = commands()
    for page in PAGES:
        lines = [line for _, body in FENCE.findall(text_of(page)) for line in body.splitlines()]
        lines += re.findall(r"`(mome-node [^`\n]+)`", text_of(page))
        for line in lines:
            found = re.search(r"mome-node ([a-z]+)(?: ([a-z]+))?([^#]*)", line)
            if not found or f"mome-node {found[1]}" not in parsers:
                continue
            verb = parsers.get(f"mome-node {found[1]} {found[2]}")
            parser = verb or parsers[f"mome-node {found[1]}"]
            for option in re.findall(r"(?<!\S)--[a-z-]+", found[3]):
                assert option in parser.format_help(), f"{page.name}: {line}"


def test_every_state_tells_an_administrator_what_to_do() -> None:
    page = text_of(DOCS / "operations.md")
    for state in StudyState:
        assert re.search(rf"^\| {state} \| [^|]+ \| [^|]+ \|$", page, re.MULTILINE), state


def test_every_status_that_is_answered_is_stated() -> None:
    page = text_of(DOCS / "conformance.md")
    for status in (*Status, *NoticeStatus, *ActionStatus, *FailureReason, *ReportStatus):
        assert re.search(rf"^\| {status:04X} ", page, re.MULTILINE), f"{status:04X}"


def test_conformance_statement_has_the_numbers_of_the_code() -> None:
    page = text_of(DOCS / "conformance.md")
    for number in (
        IMPLEMENTATION_CLASS_UID,
        IMPLEMENTATION_VERSION_NAME,
        f"{ScpSettings().max_pdu_bytes} bytes",
        f"default {Settings().dicom.port}",
        NOTICE_CLASS,
        COMMITMENT_CLASS,
        COMMITMENT_INSTANCE,
        f"{MAX_OPEN_REFERENCES:,} instances",
        f"{MAX_REFERENCES:,} references",
        f"{MAX_NOTICE_BYTES >> 20} MiB",
        f"default {Settings().dicom.max_associations}",
        f"default {Settings().dicom.network_timeout_s:g} s",
        f"default `{Settings().node.ae_title}`",
    ):
        assert number in page


@pytest.mark.parametrize("page", PAGES, ids=lambda p: str(p.relative_to(ROOT)))
def test_settings_that_are_shown_are_accepted(page: Path, tmp_path: Path) -> None:
    for language, body in FENCE.findall(text_of(page)):
        if language == "toml":
            parse_settings(tomllib.loads(body), base=tmp_path)


def test_container_settings_fit_each_other(tmp_path: Path) -> None:
    node = parse_settings(tomllib.loads(text_of(ROOT / "docker/node.toml")), base=tmp_path)
    archive = json.loads(text_of(ROOT / "docker/orthanc.json"))
    assert archive["DicomModalities"]["mome"] == [node.node.ae_title, "mome", node.dicom.port]
    (destination,) = node.destination
    assert (destination.ae, destination.port) == (archive["DicomAet"], archive["DicomPort"])
    assert [peer.ae for peer in node.dicom.allowed_peers] == [archive["DicomAet"]]
    assert f"EXPOSE {node.dicom.port}" in text_of(ROOT / "docker/Dockerfile")


def test_container_takes_pytorch_from_where_the_makefile_does() -> None:
    index = re.compile(r"TORCH_CPU_INDEX ?\??= ?(\S+)")
    makefile, dockerfile = (
        index.search(text_of(ROOT / name)) for name in ("Makefile", "docker/Dockerfile")
    )
    assert makefile is not None
    assert dockerfile is not None
    assert makefile[1] == dockerfile[1]
