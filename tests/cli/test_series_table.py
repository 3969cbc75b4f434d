"""`series --table`: a table of attributes gets role, phase and reason."""

from __future__ import annotations

import csv
import errno
import gzip
import os
from pathlib import Path

import pytest

HEAD = "StudyInstanceUID,SeriesInstanceUID,SeriesDescription,SeriesNumber,instanceCount,note"
ROWS = ["1.2,1.2.5,ax dyn,5,160,x", '1.2,1.2.6,Ph1/ax dyn,501,160,"a, b"', "1.2,1.2.7,,,,"]


def written(path: Path, *lines: str) -> Path:
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def rows_of(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def test_every_row_comes_back_with_role_phase_and_reason(run, tmp_path: Path) -> None:
    out = tmp_path / "out.csv"
    done = run("series", "--table", written(tmp_path / "in.csv", HEAD, *ROWS), "--out", out)
    assert (done.status, done.err) == (0, "")
    found = rows_of(out)
    assert [(r["role"], r["phase"]) for r in found] == [("dce", "0"), ("dce", "1"), ("other", "")]
    assert found[1]["note"] == "a, b"
    assert all(r["reason"] for r in found)


def test_tables_may_be_compressed_and_told_twice(run, tmp_path: Path) -> None:
    packed = tmp_path / "in.csv.gz"
    packed.write_bytes(gzip.compress("\n".join([HEAD, *ROWS]).encode("utf-8-sig")))
    once, twice = tmp_path / "once.csv.gz", tmp_path / "twice.csv"
    assert run("series", "--table", packed, "--out", once).status == 0
    assert run("series", "--table", once, "--out", twice).status == 0
    assert gzip.decompress(once.read_bytes()).decode() == twice.read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("lines", "why"),
    [
        (["StudyInstanceUID,SeriesInstanceUID"], "no column SeriesDescription"),
        ([""], "no column"),
        ([HEAD, "1.2,1.2.5"], "row 1 has 2 values, the header 6"),
        ([HEAD, f"1.2,1.2.5,{'x' * 2_000_000},5,1,"], "a line of more than"),
        ([HEAD, '1.2,1.2.5,"ax" dyn,5,1,'], "cannot be read as a table"),
    ],
)
def test_what_is_no_table_is_refused_and_leaves_nothing(
    run, tmp_path: Path, lines: list[str], why: str
) -> None:
    out = tmp_path / "out.csv"
    done = run("series", "--table", written(tmp_path / "in.csv", *lines), "--out", out)
    assert done.status == 1
    assert why in done.err
    assert [p.name for p in tmp_path.iterdir()] == ["in.csv"]


def test_a_broken_or_missing_file_is_told(run, tmp_path: Path) -> None:
    broken = tmp_path / "in.csv.gz"
    broken.write_bytes(gzip.compress(b"x" * 10_000)[:40])
    for table in (broken, tmp_path / "none.csv"):
        done = run("series", "--table", table, "--out", tmp_path / "out.csv")
        assert done.status == 1
        assert "cannot be read" in done.err


def test_what_is_no_file_is_not_replaced(run, tmp_path: Path) -> None:
    table = written(tmp_path / "in.csv", HEAD, *ROWS)
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    for out in (pipe, tmp_path):
        done = run("series", "--table", table, "--out", out)
        assert (done.status, "is no file" in done.err) == (1, True)
    assert pipe.is_fifo()


def test_a_full_disk_is_told_and_leaves_nothing(
    run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(Path, "replace", full)
    table, out = written(tmp_path / "in.csv", HEAD, *ROWS), tmp_path / "out.csv"
    done = run("series", "--table", table, "--out", out)
    assert (done.status, "No space left" in done.err) == (1, True)
    assert [p.name for p in tmp_path.iterdir()] == ["in.csv"]


def test_a_table_may_be_told_in_its_own_place(run, tmp_path: Path) -> None:
    table = written(tmp_path / "in.csv", HEAD, *ROWS)
    assert run("series", "--table", table, "--out", table).status == 0
    assert [r["role"] for r in rows_of(table)] == ["dce", "dce", "other"]


@pytest.mark.parametrize("options", [[], ["--out", "o.csv"], ["DIR", "--table", "t", "--out", "o"]])
def test_a_folder_or_a_table_with_out_is_asked_for(run, options: list[str]) -> None:
    assert run("series", *options).status == 2


def test_the_sites_names_are_tried_with_its_settings(run, tmp_path: Path) -> None:
    config = tmp_path / "node.toml"
    config.write_text('[[series_role]]\nrole = "dwi"\npattern = "^zebra"\n')
    table = written(tmp_path / "in.csv", HEAD, "1.2,1.2.5,ZEBRA 3,5,60,")
    out = tmp_path / "out.csv"
    assert run("series", "--table", table, "--out", out, "--config", config).status == 0
    assert rows_of(out)[0]["role"] == "dwi"
