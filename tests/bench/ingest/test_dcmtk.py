"""DCMTK's programs are found whatever else is called like them."""

from __future__ import annotations

import os
from pathlib import Path

from mome_node.bench.ingest.dcmtk import dcmtk_program, version_of


def program(folder: Path, says: str) -> Path:
    folder.mkdir()
    path = folder / "storescp"
    path.write_text(f"#!/bin/sh\ncat <<'END'\n{says}\nEND\n")
    path.chmod(0o755)
    return path


def test_program_of_the_same_name_that_is_not_dcmtks_is_passed_over(tmp_path):
    other = program(tmp_path / "venv", "storescp.py v0.7.0")
    ours = program(tmp_path / "bin", "$dcmtk: storescp v3.6.7 2022-04-22 $\n\nstorescp: an SCP")
    path = os.pathsep.join(str(p.parent) for p in (other, ours))
    assert dcmtk_program("storescp", path) == str(ours)
    assert version_of(str(ours)) == "3.6.7"


def test_without_dcmtk_there_is_none(tmp_path):
    other = program(tmp_path / "venv", "")
    assert dcmtk_program("storescp", str(other.parent)) is None
    assert dcmtk_program("storescu", str(other.parent)) is None
    assert version_of(str(tmp_path / "nothing")) is None
