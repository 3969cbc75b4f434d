"""Commands run in this process; one small phantom for all of them."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date
from pathlib import Path

import pytest

from mome_node.cli.main import main
from mome_node.phantom.dicom_writer import write_study
from mome_node.phantom.exam import PhantomExam, Protocol, Vendor
from mome_node.phantom.render import render_exam

SMALL = Protocol((96, 96, 24), (48, 48, 12), (64, 64, 16))


@dataclass(frozen=True)
class Outcome:
    """How a command ended."""

    status: int
    out: str
    err: str


Run = Callable[..., Outcome]


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Run:
    """Run one command."""

    def run(*arguments: object) -> Outcome:
        capsys.readouterr()
        try:
            status = main([str(a) for a in arguments])
        except SystemExit as ended:
            status = ended.code if isinstance(ended.code, int) else 1
        said = capsys.readouterr()
        return Outcome(status, said.out, said.err)

    return run


@pytest.fixture(scope="session")
def rendered() -> PhantomExam:
    return render_exam(7, protocol=SMALL)


@pytest.fixture(scope="session")
def exam(rendered: PhantomExam, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with one phantom's DICOM files. Not to be changed."""
    folder = tmp_path_factory.mktemp("exam")
    write_study(rendered, folder, vendor=Vendor.SIEMENS, study_date=date(2026, 3, 1))
    return folder


@pytest.fixture
def exam_copy(exam: Path, tmp_path: Path) -> Path:
    """The same, to be changed."""
    return Path(shutil.copytree(exam, tmp_path / "exam"))


@pytest.fixture
def small_phantoms(monkeypatch: pytest.MonkeyPatch) -> None:
    """`phantom` renders small matrices: the same women in a fraction of the time."""
    monkeypatch.setattr("mome_node.phantom.render.Protocol", lambda: SMALL)


@pytest.fixture
def config(tmp_path: Path) -> Callable[[str], Path]:
    """Write a node.toml."""

    def write(content: str = "") -> Path:
        path = tmp_path / "node.toml"
        path.write_text(content, encoding="utf-8")
        return path

    return write
