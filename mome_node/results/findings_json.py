"""Findings as the JSON that ``mome-node analyze`` writes for programs."""

from __future__ import annotations

from typing import Any

from mome_node.results.findings import (
    Findings,
    ModelIdentity,
    OperatingPoint,
    Region,
    TaskScore,
)
from mome_node.results.label import DEFAULT_LABEL, Audience, marked_label


def findings_json(
    findings: Findings, label: str = DEFAULT_LABEL, audience: Audience = "research"
) -> dict[str, Any]:
    """Plain values that ``json.dumps`` takes; probabilities and contributions are not rounded."""
    not_run = [{"task": t.task, "reason": t.reason} for t in findings.not_run]
    return {
        "study_uid": findings.study_uid,
        "label": marked_label(findings, label, audience),
        "synthetic": findings.synthetic,
        "tasks": [_task(score) for score in findings.tasks],
        "tasks_not_run": not_run,
        "modalities_used": [m.value for m in findings.modalities_used],
        "modalities_missing": [m.value for m in findings.modalities_missing],
        "channels": [
            {"channel": c.channel, "phase": c.phase, "seconds": c.time_s} for c in findings.channels
        ],
        "regions": [_region(region) for region in findings.regions],
        "share_outside_breast": float(findings.share_outside_breast),
        "explanation": _explanation(findings),
        "not_explained": findings.not_explained,
        "warnings": list(findings.warnings),
        "fitness": [
            {"task": f.task, "code": f.code, "outcome": f.outcome.value, "text": f.text}
            for f in findings.fitness
        ],
        "known": list(findings.known),
        "not_assessed": list(findings.not_assessed),
    }


def _task(score: TaskScore) -> dict[str, Any]:
    prediction = score.prediction
    return {
        "task": score.task,
        "probability": float(prediction.probability),
        "prior": float(prediction.prior),
        "spread": float(prediction.spread),
        "networks": prediction.networks,
        "contribution": {m.value: float(value) for m, value in prediction.contributions},
        "calibration": score.calibration,
        "operating_points": [_operating_point(point) for point in score.operating_points],
        "model": _model(score.model),
    }


def _model(model: ModelIdentity) -> dict[str, Any]:
    return {"name": model.name, "version": model.version, "digest": model.digest}


def _operating_point(point: OperatingPoint) -> dict[str, Any]:
    return {
        "name": point.name,
        "threshold": point.threshold,
        "sensitivity": point.sensitivity,
        "sensitivity_ci": list(point.sensitivity_ci),
        "specificity": point.specificity,
        "specificity_ci": list(point.specificity_ci),
        "n": point.n,
        "prevalence": point.prevalence,
        "population": point.population,
        "modalities": list(point.modalities),
    }


def _explanation(findings: Findings) -> dict[str, Any] | None:
    if findings.explanation is None:
        return None
    return {
        "task": findings.tasks[0].task,
        "method": findings.explanation.method,
        "steps": findings.explanation.steps,
        "completeness_error": float(findings.explanation.completeness_error),
        "model": _model(findings.tasks[0].model),
    }


def _region(region: Region) -> dict[str, Any]:
    return {
        "tracking_uid": region.tracking_uid,
        "center_mm": [float(c) for c in region.center_mm],
        "laterality": region.laterality,
        "share": float(region.share),
    }
