"""`quarantine`, `release`, `reject`, as a person types them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from mome_node.catalog.catalog import Catalog
from mome_node.catalog.changes import HoldReason
from mome_node.catalog.records import Arrival
from mome_node.catalog.states import StudyState
from mome_node.dicom.patient import patient_mark
from mome_node.settings import load_settings

NOW = datetime(2026, 1, 1, 12, tzinfo=UTC)
S = StudyState


@pytest.fixture
def config_path(config) -> Path:
    return config("")


@pytest.fixture
def catalog(config_path: Path) -> Iterator[Catalog]:
    with Catalog.open(load_settings(config_path).database_url) as opened:
        yield opened


@pytest.fixture
def on(run, config_path: Path):
    """Run a command on the catalogue."""
    return lambda *arguments: run(*arguments, "--config", config_path)


@pytest.fixture
def mixed(catalog: Catalog) -> Catalog:
    """A quarantined study of two patients: 1.2.1, 1.2.2 of one, 1.2.3 of another."""
    for number, patient in enumerate(("DOE^JANE", "DOE^JANE", "ROE^RITA"), 1):
        arrival = Arrival(
            *("1.2", "1.2.9", f"1.2.{number}", "1.2.840.10008.5.1.4.1.1.4", "1.2.840.10008.1.2.1"),
            *(f"key-{number}", f"{number}", 100, "PACS", NOW),
            patient_id=patient,
            patient_mark=patient_mark(patient, "", "", ""),
        )
        catalog.record_instance(arrival)
    catalog.hold("1.2", {"1.2.3": HoldReason.PATIENT}, NOW)
    catalog.transition("1.2", S.RECEIVING, S.QUARANTINED, "two", NOW, reason="two patients")
    return catalog


def test_an_empty_quarantine_lists_nothing(on) -> None:
    assert json.loads(on("quarantine", "--json").out) == []


def test_list_names_studies_counts_reasons_and_no_patient(on, mixed: Catalog) -> None:
    (study,) = json.loads(on("quarantine", "--json").out)
    assert study["StudyInstanceUID"] == "1.2"
    assert study["instances"] == 3
    assert study["held"] == {"contradicts the study's patient": ["1.2.3"]}
    assert [(p["instances"], p["held"], p["example"]) for p in study["patients"]] == [
        (2, 0, "1.2.1"),
        (1, 1, "1.2.3"),
    ]
    for text in (on("quarantine").out, on("quarantine", "--json").out, on("show", "1.2").out):
        assert "DOE" not in text
        assert "ROE" not in text
        assert "two" in text


def test_release_asks_whose_contradicting_images_are(on, mixed: Catalog) -> None:
    done = on("release", "1.2")
    assert (done.status, done.out) == (1, "")
    assert "--as-patient-of" in done.err
    assert mixed.study("1.2").state is S.QUARANTINED


def test_release_with_a_patient_reopens_the_study(on, mixed: Catalog) -> None:
    done = on("release", "1.2", "--as-patient-of", "1.2.1")
    assert (done.status, done.err) == (0, "")
    assert mixed.study("1.2").state is S.RECEIVING
    assert (
        mixed.events_of("1.2")[-1].cause == "released by hand: 1 instances as the patient of 1.2.1"
    )
    assert "1 released" in on("show", "1.2").out


@pytest.mark.parametrize("arguments", [(), ("--instance", "1.2.3"), ("--keep-patient-of", "1.2.2")])
def test_reject_takes_what_is_held_or_named(on, mixed: Catalog, arguments) -> None:
    done = on("reject", "1.2", *arguments)
    assert (done.status, done.out) == (0, "1 instance is rejected: kept, and not read any more\n")
    assert mixed.studies_with_late_input()[0].change.cause == "instances rejected"
    shown = json.loads(on("show", "1.2", "--json").out)
    assert shown["set_aside"] == [{"standing": "rejected", "reason": "by hand", "instances": 1}]
    assert "1 instances rejected by hand" in [a["cause"] for a in shown["acts"]]
    assert mixed.instance_counts()["1.2"] == 3


def test_rejected_instances_can_be_read_again(on, mixed: Catalog) -> None:
    on("reject", "1.2", "--instance", "1.2.1")
    done = on("release", "1.2", "--instance", "1.2.1")
    assert (done.status, done.out) == (0, "1 instance is read again\n")
    assert json.loads(on("show", "1.2", "--json").out)["set_aside"][0]["standing"] == "held"


@pytest.mark.parametrize("command", ["release", "reject"])
def test_unknown_studies_are_told(on, mixed: Catalog, command: str) -> None:
    done = on(command, "9.9")
    assert (done.status, done.out) == (1, "")
    assert "the catalogue holds no study" in done.err


def test_reject_says_when_there_is_nothing_to_reject(on, catalog: Catalog, mixed: Catalog) -> None:
    on("reject", "1.2")
    done = on("reject", "1.2")
    assert done.status == 1
    assert "--instance" in done.err
