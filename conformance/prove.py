"""The long forms: every test with full counts, and the held-out evaluation, into one report.

    python -m conformance.prove --out docs/proof.json
    python -m conformance.prove --tests conformance/test_delivery_kills.py

What a test measures it says with ``record_property``; those figures are collected here: of the unit
tests together, of the others for each file. The report is written after each, so that what was
proved stays when the rest breaks off.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import sys
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import mome_node

ROOT = Path(__file__).resolve().parent.parent
EXAMS = 300
PARTS = ("tests", "weights", "sanity")
SANITY_EXAMS = 60


def main() -> int:
    """Run everything, write the report; 1 if anything failed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=ROOT / "docs" / "proof.json")
    parser.add_argument("--exams", type=int, default=EXAMS)
    parser.add_argument(
        "--part", choices=PARTS, help="run one part only and keep the report's other parts"
    )
    parser.add_argument(
        "--tests", nargs="+", metavar="FILE", help="run these files of tests, keep everything else"
    )
    options = parser.parse_args()
    if options.tests:
        options.part = "tests"
    report: dict[str, Any] = {}
    if options.part and options.out.exists():
        report = json.loads(options.out.read_text())
    report |= {"version": mome_node.__version__, "machine": _machine()}
    with tempfile.TemporaryDirectory() as folder:
        work = Path(folder)
        if options.part in {None, "tests"}:
            files = report.get("tests", {}) if options.tests else {}
            for name in options.tests or _files():
                files |= {name: _dated(_tests(name, work / "junit.xml"))}
                report["tests"] = dict(sorted(files.items()))
                options.out.write_text(json.dumps(report, indent=2) + "\n")
        if options.part in {None, "weights"}:
            report["weights"] = _dated(
                _program("evaluate", work / "evaluation.json", options.exams)
            )
        if options.part in {None, "sanity"}:
            report["sanity"] = _dated(_program("sanity", work / "sanity.json", SANITY_EXAMS))
    report["passed"] = _passed(report)
    options.out.write_text(json.dumps(report, indent=2) + "\n")
    sys.stdout.write(f"{options.out}: {'passed' if report['passed'] else 'FAILED'}\n")
    return 0 if report["passed"] else 1


def _dated(part: dict[str, Any]) -> dict[str, Any]:
    return {"made": datetime.now(UTC).isoformat(timespec="seconds"), "commit": _commit()} | part


def _machine() -> dict[str, Any]:
    return {
        "cores": os.cpu_count(),
        "system": platform.platform(terse=True),
        "python": platform.python_version(),
    }


def _files() -> list[str]:
    """What is run apart, by its path from the root: the unit tests, and each file of the others."""
    files = (ROOT / "conformance").rglob("test_*.py")
    return ["tests", *sorted(str(path.relative_to(ROOT)) for path in files)]


def _passed(report: dict[str, Any]) -> bool:
    """Whether everything was run, and passed."""
    tests = report.get("tests", {})
    parts = [report.get(part, {}) for part in PARTS if part != "tests"]
    return set(_files()) <= set(tests) and all(p.get("passed") for p in (*tests.values(), *parts))


def _tests(file: str, junit: Path) -> dict[str, Any]:
    began = time.monotonic()
    code = subprocess.call(
        [sys.executable, "-m", "pytest", file, "--long", f"--junit-xml={junit}"], cwd=ROOT
    )
    cases = list(ET.parse(junit).iter("testcase"))
    bad = [c for c in cases if c.find("failure") is not None or c.find("error") is not None]
    figures = {
        f"{case.get('name')}: {item.get('name')}": item.get("value")
        for case in cases
        for item in case.iter("property")
    }
    return {
        "passed": code == 0,
        "run": len(cases),
        "failed": [f"{c.get('classname')}::{c.get('name')}" for c in bad],
        "seconds": round(time.monotonic() - began),
        "measured": figures,
    }


def _program(name: str, out: Path, exams: int) -> dict[str, Any]:
    """Run one of the demonstration's programs, which writes its report to ``out``."""
    began = time.monotonic()
    module = f"mome_node.demonstration.{name}"
    command = [sys.executable, "-m", module, "--exams", str(exams), "--out", str(out)]
    code = subprocess.call(command, cwd=ROOT)
    report: dict[str, Any] = json.loads(out.read_text())
    return {"passed": code == 0} | report | {"seconds": round(time.monotonic() - began)}


def _commit() -> str:
    answer = subprocess.run(
        ["git", "rev-parse", "HEAD"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    return answer.stdout.strip()


if __name__ == "__main__":
    sys.exit(main())
