"""What holds for every test here, in tests/ and in conformance/: none is left out in silence.

A test that is skipped, expected to fail or deselected fails the run. Tests marked ``long`` are
collected only with ``--long``, which `make prove` gives.
"""

# ruff: noqa: D102, D103  # hooks are named and told by pytest

from __future__ import annotations

import logging
import os
import warnings
from collections.abc import Iterator, Sequence

import pytest
import structlog

LONG = pytest.StashKey[int]()
LOGGERS = ("", "pynetdicom", "pydicom", "highdicom", "apscheduler", "alembic")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--long", action="store_true", help="run the tests marked `long`, too")


def pytest_configure(config: pytest.Config) -> None:
    config.stash[LONG] = 0
    # One thread a test process: several run beside each other, and sums come out the same.
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    config.pluginmanager.register(LeftOut(), "left-out")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if not config.getoption("--long"):
        kept = [item for item in items if item.get_closest_marker("long") is None]
        config.stash[LONG] += len(items) - len(kept)
        items[:] = kept


@pytest.fixture(scope="module", autouse=True)
def _logging_as_before() -> Iterator[None]:
    """A command that a test runs sets up logging, to a standard error that ends with the test."""
    levels = {name: logging.getLogger(name).level for name in LOGGERS}
    with warnings.catch_warnings():
        yield
    structlog.reset_defaults()
    for name, level in levels.items():
        logging.getLogger(name).setLevel(level)


class LeftOut:
    """Watches a session for tests that did not really run."""

    def __init__(self) -> None:
        self._found: list[str] = []

    def pytest_deselected(self, items: Sequence[pytest.Item]) -> None:
        self._found += [f"deselected: {item.nodeid}" for item in items]

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        if report.skipped:
            self._found.append(f"skipped: {report.nodeid}")

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if hasattr(report, "wasxfail"):
            self._found.append(f"expected to fail: {report.nodeid}")
        elif report.skipped:
            self._found.append(f"skipped: {report.nodeid}")

    @pytest.hookimpl(trylast=True)
    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        if hasattr(session.config, "workeroutput"):  # pytest-xdist: the controller decides
            session.config.workeroutput["left_out"] = self._found
        elif self._found and session.exitstatus == pytest.ExitCode.OK:
            session.exitstatus = pytest.ExitCode.TESTS_FAILED

    @pytest.hookimpl(optionalhook=True)
    def pytest_testnodedown(self, node: object) -> None:
        told = getattr(node, "workeroutput", {}).get("left_out", [])
        # Each worker deselects the same tests; skipped ones the controller has seen itself.
        self._found += [line for line in told if line not in self._found]

    def pytest_terminal_summary(
        self, terminalreporter: pytest.TerminalReporter, config: pytest.Config
    ) -> None:
        if config.stash[LONG]:
            terminalreporter.write_line(f"{config.stash[LONG]} long tests wait for --long")
        if self._found:
            terminalreporter.section("left out: this run fails", red=True)
            for line in self._found[:20]:
                terminalreporter.write_line(line)
            if len(self._found) > 20:
                terminalreporter.write_line(f"and {len(self._found) - 20} more")
