from __future__ import annotations

import csv
import json
import os
import signal
from collections.abc import Callable
from datetime import date, timedelta
from pathlib import Path

import pytest

from mome_node.cli import survey as command
from mome_node.query.doubles import MemoryArchive
from mome_node.query.records import SeriesRecord, StudyRecord

Config = Callable[[str], Path]

DIMSE = '[[pacs]]\nname = "pacs"\nae = "PACS"\nhost = "127.0.0.1"\nport = 104\n'
WEB = '[[pacs]]\nname = "web"\nkind = "dicomweb"\nurl = "http://127.0.0.1:1/dicom-web"\n'


class Source:
    """An archive that gives the one file for every series, or does ``instead``."""

    def __init__(self, path: Path, instead: Callable[[], None] | None = None) -> None:
        self.path, self.instead = path, instead
        self.folders: list[Path] = []

    def one_of_series(self, _study: str, _series: str, into: Path) -> bool:
        self.folders.append(into.parent)
        if self.instead is not None:
            self.instead()
        into.write_bytes(self.path.read_bytes())
        return True


@pytest.fixture
def archive(monkeypatch: pytest.MonkeyPatch) -> MemoryArchive:
    """Two breast exams and one of the knee, made today, in place of a real archive."""
    day = date.today()  # noqa: DTZ011
    names = {1: "MRI BREAST", 2: "MRI BREAST", 3: "MRI KNEE"}
    studies = [
        StudyRecord(f"1.2.{n}", day, ("MR",), name, f"ID{n}", "", f"Secret^Name{n}")
        for n, name in names.items()
    ]
    series = [
        SeriesRecord("1.2.1", "1.2.1.1", "MR", "t1_fl3d_dyn\x1b[31m", 1, instance_count=480),
        SeriesRecord("1.2.2", "1.2.2.1", "MR", "t2_tse", 1),
        SeriesRecord("1.2.3", "1.2.3.1", "MR", "pd_tse", 1),
    ]
    double = MemoryArchive(studies, series)
    monkeypatch.setattr(command, "archive", lambda *_: (double, None))
    return double


def test_the_forecast_of_each_study_and_the_load_are_told(run, config: Config, archive) -> None:
    done = run("survey", "--config", config(DIMSE), "--peer", "pacs", "--days", 2)
    assert (done.status, done.err) == (0, "")
    table, _, summary = done.out.partition("\n\n")
    assert [line.split("\t")[4] for line in table.splitlines()] == [
        "forecast",
        "a required series is missing",
        "would be evaluated",
    ]
    assert "3 MR studies" in summary
    assert "1 not breast" in summary
    assert "expected load: 0.5 studies a day, 1 on the busiest day" in summary
    assert "the images decide" in summary


def test_nobody_is_named_unless_it_is_asked_for(run, config: Config, archive, tmp_path) -> None:
    arguments = ("survey", "--config", config(DIMSE), "--peer", "pacs", "--days", 1, "--json")
    done = run(*arguments, "--csv", tmp_path / "out.csv")
    for text in (done.out, done.err, (tmp_path / "out.csv").read_text()):
        assert "Secret" not in text
        assert "ID1" not in text
    assert "Secret^Name1" in run(*arguments, "--identify").out


def test_json_and_csv_tell_the_same(run, config: Config, archive, tmp_path) -> None:
    path = tmp_path / "out.csv"
    done = run("survey", "--config", config(DIMSE), "--peer", "pacs", "--days", 1, "--json",
               "--csv", path)  # fmt: skip
    told = json.loads(done.out)
    rows = list(csv.DictReader(path.open(encoding="utf-8")))
    assert [s["StudyInstanceUID"] for s in told["studies"]] == ["1.2.2", "1.2.1"]
    assert [r["StudyInstanceUID"] for r in rows] == ["1.2.2", "1.2.1"]
    assert told["studies"][1]["series"][0]["SeriesDescription"] == "t1_fl3d_dyn [31m"
    assert rows[1]["role"] == "dce"
    assert path.stat().st_mode & 0o077 == 0


def test_an_archive_that_fails_leaves_what_it_told_and_a_status(
    run, config: Config, archive, monkeypatch
) -> None:
    monkeypatch.setattr("mome_node.survey.run.PAUSES_S", ())
    archive.away = True
    done = run("survey", "--config", config(DIMSE), "--peer", "pacs", "--days", 1, "--json")
    assert done.status == 1
    assert "the archive did not tell all: away" in done.err
    assert json.loads(done.out)["complete"] is False


@pytest.mark.parametrize("arguments", [
    ("--peer", "other", "--days", 1),
    ("--peer", "pacs", "--days", 0),
    ("--peer", "pacs", "--days", "1e3"),
    ("--peer", "pacs", "--days", 1, "--sample", -1),
    ("--peer", "pacs"),
    ("--peer", "pacs", "--days", 1, "--csv", "/nowhere/at/all.csv"),
])  # fmt: skip
def test_wrong_usage_has_its_own_status(run, config: Config, arguments) -> None:
    done = run("survey", "--config", config(DIMSE), *arguments)
    assert (done.status, done.out) == (2, "")
    assert "allowed" in done.err or "required" in done.err or "no folder" in done.err


def test_a_sample_from_a_dimse_peer_is_refused_with_the_reason(run, config: Config) -> None:
    done = run("survey", "--config", config(DIMSE), "--peer", "pacs", "--days", 1, "--sample", 3)
    assert (done.status, done.out) == (2, "")
    assert "--sample needs a DICOMweb peer" in done.err


def test_an_unreadable_token_is_told_without_its_content(run, config: Config, tmp_path) -> None:
    (tmp_path / "token").write_text("two words")
    content = WEB + 'token_file = "token"\n'
    done = run("survey", "--config", config(content), "--peer", "web", "--days", 1)
    assert done.status == 1
    assert "holds no bearer token" in done.err
    assert "two words" not in done.err


def test_sampling_deletes_its_images_when_a_signal_ends_it(
    run, config: Config, archive, monkeypatch, exam: Path
) -> None:
    source = Source(next(exam.glob("*.dcm")), lambda: os.kill(os.getpid(), signal.SIGTERM))
    monkeypatch.setattr(command, "archive", lambda *_: (archive, source))
    before = signal.getsignal(signal.SIGTERM)
    done = run("survey", "--config", config(WEB), "--peer", "web", "--days", 1, "--sample", 1)
    assert done.status == 128 + signal.SIGTERM
    assert source.folders
    assert not source.folders[0].exists()
    assert signal.getsignal(signal.SIGTERM) is before


def test_sampled_images_that_are_of_another_study_change_nothing(
    run, config: Config, archive, monkeypatch, exam: Path
) -> None:
    source = Source(next(exam.glob("*.dcm")))
    monkeypatch.setattr(command, "archive", lambda *_: (archive, source))
    arguments = ("survey", "--config", config(WEB), "--peer", "web", "--days", 1, "--json")
    done = run(*arguments, "--sample", 5)
    assert done.status == 0
    assert "an instance of another series" in done.err
    assert json.loads(done.out)["forecasts"]["would be evaluated"] == 1
    assert {f.exists() for f in source.folders} == {False}


def test_check_asks_each_archive(run, config: Config, monkeypatch) -> None:
    monkeypatch.setattr("mome_node.cli.install.inference_process", _NoModels)
    done = run("check", "--config", config(DIMSE.replace("104", "1") + WEB))
    assert done.status == 1
    lines = [line for line in done.out.splitlines() if "archives:" in line]
    assert [line.split()[0] for line in lines] == ["FAILED", "FAILED"]
    assert "is the peer running" in lines[0]
    assert "is the archive running" in lines[1]


class _NoModels:
    def __init__(self, _settings: object) -> None:
        pass

    def start(self) -> tuple[()]:
        return ()

    def stop(self) -> None:
        pass


def test_days_end_today(run, config: Config, archive) -> None:
    done = run("survey", "--config", config(DIMSE), "--peer", "pacs", "--days", 7, "--json")
    told = json.loads(done.out)
    until = date.fromisoformat(told["until"])
    assert date.fromisoformat(told["since"]) == until - timedelta(days=6)
    assert told["days"] == 7
