from __future__ import annotations

import json
import logging
import sys
import warnings

import pytest
import structlog
from pydicom.dataset import Dataset

from mome_node.logs import configure_logging

LOGGERS = ("", "pynetdicom", "pydicom", "highdicom", "apscheduler", "alembic")


def test_a_line_is_one_json_object_on_standard_error(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logging()
    structlog.get_logger("any").warning("refused", peer="PACS", text="a\nb")
    said = capsys.readouterr()
    assert said.out == ""
    (line,) = said.err.splitlines()
    told = json.loads(line)
    assert {"event": "refused", "peer": "PACS", "text": "a\nb", "level": "warning"}.items() <= (
        told.items()
    )
    assert told["timestamp"].endswith("Z")


@pytest.mark.parametrize(("verbose", "lines"), [(False, 1), (True, 2)])
def test_what_is_no_fault_is_logged_only_if_asked(
    capsys: pytest.CaptureFixture[str], verbose: bool, lines: int
) -> None:
    configure_logging(verbose=verbose)
    structlog.get_logger().info("receiving")
    structlog.get_logger().error("failed")
    assert len(capsys.readouterr().err.splitlines()) == lines


def test_a_terminal_gets_readable_lines_without_local_variables(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    configure_logging()

    def fail(patient: str) -> None:
        raise ValueError(len(patient))

    try:
        fail("DOE^JANE")
    except ValueError:
        structlog.get_logger().error("failed", exc_info=True)  # not a stdlib logger
    err = capsys.readouterr().err
    assert "failed" in err
    assert not err.startswith("{")
    assert "ValueError" in err
    assert err.count("DOE^JANE") == 1, "the line of code itself, and no value"


def test_libraries_that_quote_values_are_not_heard(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logging(verbose=True)
    dataset = Dataset()
    dataset.AccessionNumber = "DOE^JANE and more than sixteen letters"
    dataset.PatientBirthDate = "DOE^JANE"
    warnings.warn("DOE^JANE, laid at our module", stacklevel=1)
    for name in LOGGERS:
        logging.getLogger(name).error("DOE^JANE")
    said = capsys.readouterr()
    assert (said.out, said.err) == ("", "")
