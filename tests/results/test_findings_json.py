"""The JSON of findings has the keys that programs were promised, and plain values."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from mome_node.fitness.checks import Outcome
from mome_node.results.findings import FitnessFinding
from mome_node.results.findings_json import findings_json

MODEL = {"name": "MOME malignancy", "version": "1.0", "digest": "ab" * 32}


def test_json_has_the_promised_keys(make_exam: Callable[..., Any]) -> None:
    value = json.loads(json.dumps(findings_json(make_exam(regions=2).findings)))
    assert {
        "tasks",
        "modalities_used",
        "modalities_missing",
        "channels",
        "regions",
        "warnings",
        "label",
        "synthetic",
        "tasks_not_run",
        "explanation",
    } <= set(value)
    (task,) = value["tasks"]
    assert task == {
        "task": "malignancy",
        "probability": 0.63,
        "prior": 0.5,
        "spread": 0.0,
        "networks": 1,
        "contribution": {"dce": 0.21, "dwi": -0.05, "t2": -0.03},
        "calibration": "no",
        "operating_points": [
            {
                "name": "rule-in 2025",
                "threshold": 0.7,
                "sensitivity": 0.85,
                "sensitivity_ci": [0.8, 0.89],
                "specificity": 0.91,
                "specificity_ci": [0.88, 0.94],
                "n": 812,
                "prevalence": 0.34,
                "population": "two sites, 2024",
                "modalities": ["dce", "dwi", "t2"],
            }
        ],
        "model": MODEL,
    }
    assert value["explanation"] == {
        "task": "malignancy",
        "method": "integrated gradients at the tokens",
        "steps": 3,
        "completeness_error": 0.02,
        "model": MODEL,
    }
    assert value["channels"][1:] == [
        {"channel": 1, "phase": 1, "seconds": 92.4},
        {"channel": 2, "phase": None, "seconds": None},
    ]
    assert set(value["regions"][0]) == {"tracking_uid", "center_mm", "laterality", "share"}
    assert value["tasks_not_run"] == [{"task": "tnbc", "reason": "condition unknown"}]
    assert value["synthetic"] is True


def test_contributions_add_up_to_probability_less_prior(make_exam: Callable[..., Any]) -> None:
    (task,) = findings_json(make_exam().findings)["tasks"]
    assert sum(task["contribution"].values()) == pytest.approx(task["probability"] - task["prior"])


def test_without_an_explanation_the_reason_stands_there(make_exam: Callable[..., Any]) -> None:
    findings = replace(make_exam(regions=0).findings, explanation=None, not_explained="no DCE")
    value = findings_json(findings)
    assert (value["explanation"], value["not_explained"]) == (None, "no DCE")


def test_numpy_numbers_become_plain(make_exam: Callable[..., Any]) -> None:
    exam = make_exam(regions=1)
    region = exam.findings.regions[0]
    object.__setattr__(region, "share", np.float32(0.25))
    assert json.loads(json.dumps(findings_json(exam.findings)))["regions"][0]["share"] == 0.25


def test_failed_checks_and_what_was_not_assessed_stand_there(
    make_exam: Callable[..., Any],
) -> None:
    failed = FitnessFinding("malignancy", "slice-gaps", Outcome.WARN, "slices lie 3 mm apart")
    findings = replace(
        make_exam().findings, fitness=(failed,), known=("implants",), not_assessed=("prior exams",)
    )
    value = findings_json(findings)
    assert value["fitness"] == [
        {
            "task": "malignancy",
            "code": "slice-gaps",
            "outcome": "warn",
            "text": "slices lie 3 mm apart",
        }
    ]
    assert (value["known"], value["not_assessed"]) == (["implants"], ["prior exams"])


def test_the_label_is_marked_as_on_every_other_result(make_exam: Callable[..., Any]) -> None:
    findings = make_exam().findings
    assert findings_json(findings, "for X")["label"] == "RESEARCH, for X"
    assert findings_json(findings, "for X", "clinical")["label"] == "for X"
