"""Findings as the JSON that ``mome-node analyze`` writes for programs."""

from __future__ import annotations

from typing import Any

from mome_node.results.findings import Findings, Region, TaskScore
from mome_node.results.wording import DEFAULT_LABEL, marked_label


def findings_json(findings: Findings, label: str = DEFAULT_LABEL) -> dict[str, Any]:
    """Plain values that ``json.dumps`` takes; probabilities and contributions are not rounded."""
    return {
        "study_uid": findings.study_uid,
        "label": marked_label(findings, label),
        "synthetic": findings.synthetic,
        "tasks": [_task(score) for score in findings.tasks],
        "not_run": [{"task": t.task, "reason": t.reason} for t in findings.not_run],
        "modalities_used": [m.value for m in findings.modalities_used],
        "modalities_missing": [m.value for m in findings.modalities_missing],
        "channels": [
            {"channel": c.channel, "phase": c.phase, "seconds": c.time_s} for c in findings.channels
        ],
        "regions": [_region(region) for region in findings.regions],
        "share_outside_breast": float(findings.share_outside_breast),
        "warnings": list(findings.warnings),
    }


def _task(score: TaskScore) -> dict[str, Any]:
    prediction, model = score.prediction, score.model
    return {
        "task": score.task,
        "probability": float(prediction.probability),
        "prior": float(prediction.prior),
        "contribution": {m.value: float(value) for m, value in prediction.contributions},
        "model": {"name": model.name, "version": model.version, "digest": model.digest},
    }


def _region(region: Region) -> dict[str, Any]:
    return {
        "tracking_uid": region.tracking_uid,
        "center_mm": [float(c) for c in region.center_mm],
        "laterality": region.laterality,
        "share": float(region.share),
    }
