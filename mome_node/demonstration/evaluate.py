"""How good the demonstration weights are on phantoms that they never saw.

    python -m mome_node.demonstration.evaluate --exams 300 --out evaluation.json

Every exam is rendered, written as DICOM in one vendor's habits, and evaluated from those files by
the node's own stages.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime
from multiprocessing import get_context
from pathlib import Path

import numpy as np

from mome_node.assembly.rules import AssemblyRules
from mome_node.assembly.study import plan_study
from mome_node.demonstration.statistics import auroc, proportion
from mome_node.dicom.geometry import Point
from mome_node.jobs.models import LoadedModel, ModelChoice, load_models
from mome_node.jobs.reading import SourceInstance, build_exam, read_study
from mome_node.logs import configure_logging
from mome_node.phantom.dicom_writer import write_study
from mome_node.phantom.exam import Lesion, Protocol, Vendor
from mome_node.phantom.render import render_exam

HELD_OUT = 3_000_000
"""First seed of the held-out exams; training starts at 1,000,000, the threshold at 2,000,000."""

NEAR_MM = 5.0
"""A region's centre so near to the lesion's edge still lies on it: one slice of the model."""

AUROC_NEEDED = 0.90
LOCALISED_NEEDED = 0.80


@dataclass(frozen=True, slots=True)
class Case:
    """One exam: its truth, its score, and where its strongest region lies."""

    seed: int
    vendor: str
    malignant: bool
    probability: float
    has_region: bool
    inside: bool  # the strongest region's centre lies inside the malignant lesion
    near: bool  # or at most NEAR_MM outside of it


def evaluate_seeds(
    seeds: Sequence[int],
    *,
    choice: ModelChoice | None = None,
    protocol: Protocol | None = None,
    workers: int = 2,
    progress: Callable[[int], None] = lambda _: None,
) -> tuple[Case, ...]:
    """Evaluate the exams of ``seeds``, vendors in turn, every second one enhanced."""
    choice = choice or ModelChoice()
    cases = []
    context = get_context("spawn")
    with ProcessPoolExecutor(
        workers, mp_context=context, initializer=_start, initargs=(choice, protocol)
    ) as pool:
        for done, case in enumerate(pool.map(_evaluate_seed, seeds), start=1):
            cases.append(case)
            progress(done)
    return tuple(cases)


def summarise(cases: Sequence[Case], threshold: float) -> dict[str, object]:
    """AUROC, and how often the strongest region of a true positive lies on its lesion."""
    scores = np.array([c.probability for c in cases])
    truth = np.array([c.malignant for c in cases])
    hits = [c for c in cases if c.malignant and c.probability >= threshold]
    rejected = [c for c in cases if not c.malignant and c.probability < threshold]
    return {
        "exams": len(cases),
        "malignant": int(truth.sum()),
        "first_seed": min(c.seed for c in cases),
        "auroc": auroc(scores, truth).to_json(),
        "auroc_by_vendor": {
            vendor.value: auroc(
                np.array([c.probability for c in cases if c.vendor == vendor.value]),
                np.array([c.malignant for c in cases if c.vendor == vendor.value]),
            ).to_json()
            for vendor in Vendor
        },
        "threshold": threshold,
        "sensitivity": proportion(len(hits), int(truth.sum())).to_json(),
        "specificity": proportion(len(rejected), int((~truth).sum())).to_json(),
        "strongest_region_inside_lesion": proportion(
            sum(c.inside for c in hits), len(hits)
        ).to_json(),
        "strongest_region_on_lesion": proportion(sum(c.near for c in hits), len(hits)).to_json(),
        "on_lesion_means": f"centre inside the lesion or at most {NEAR_MM:g} mm outside",
    }


class _Worker:
    """What a worker process keeps between exams."""

    model: LoadedModel
    protocol: Protocol | None


def _start(choice: ModelChoice, protocol: Protocol | None) -> None:
    import torch

    configure_logging()
    torch.set_num_threads(1)
    _Worker.model = load_models((choice,))[0]
    _Worker.protocol = protocol


def _evaluate_seed(seed: int) -> Case:
    from mome_node.jobs.evaluation import evaluate

    vendor = tuple(Vendor)[seed % 3]
    phantom = render_exam(seed, protocol=_Worker.protocol)
    with tempfile.TemporaryDirectory() as folder:
        written = write_study(phantom, Path(folder), vendor=vendor, enhanced=seed % 2 == 1)
        facts = read_study(SourceInstance(str(p), p, str(p)) for p in written)
        path_of = {f.sop_instance_uid: p for f, p in zip(facts.instances, written, strict=True)}
        plan = plan_study(facts.instances, AssemblyRules(), now=datetime.now(UTC))
        exam = build_exam(plan, path_of.__getitem__)
    findings = evaluate(
        plan, exam, (_Worker.model,), inputs_digest=str(seed), instances=facts.instances
    )
    lesions = [lesion for lesion in phantom.truth.lesions if lesion.malignant]
    center = findings.regions[0].center_mm if findings.regions else None
    return Case(
        seed=seed,
        vendor=vendor.value,
        malignant=phantom.truth.malignant,
        probability=findings.tasks[0].prediction.probability,
        has_region=center is not None,
        inside=center is not None and any(outside_mm(center, le) <= 0 for le in lesions),
        near=center is not None and any(outside_mm(center, le) <= NEAR_MM for le in lesions),
    )


def outside_mm(point: Point, lesion: Lesion) -> float:
    """How far outside a lesion's ellipsoid a point lies, along the line to its centre."""
    offset = np.subtract(point, lesion.center_mm)
    q = float(np.sqrt(((offset / lesion.radii_mm) ** 2).sum()))
    return float(np.linalg.norm(offset)) * (1 - 1 / q) if q > 1 else 0.0


def main() -> int:
    """Evaluate and write the report; 1 if the weights are not as good as they must be."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--exams", type=int, default=300)
    parser.add_argument("--first-seed", type=int, default=HELD_OUT)
    parser.add_argument("--model", default="demo")
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    from mome_node.cli.output import progress, say
    from mome_node.mome.package import ModelPackage

    choice = ModelChoice(options.model)
    points = ModelPackage.load(choice.path).statement.operating_points
    seeds = range(options.first_seed, options.first_seed + options.exams)
    with progress("evaluating phantoms", total=options.exams) as bar:
        cases = evaluate_seeds(
            seeds, choice=choice, progress=lambda n: bar.update(bar.task_ids[0], completed=n)
        )
    report = summarise(cases, points[0].threshold if points else 0.5)
    text = json.dumps(report, indent=2)
    say(text)
    if options.out:
        options.out.write_text(text + "\n")
    return 0 if is_good_enough(report) else 1


def is_good_enough(report: dict[str, object]) -> bool:
    """Whether the demonstration is what the project promises of it."""
    area, localised = report["auroc"], report["strongest_region_on_lesion"]
    assert isinstance(area, dict)
    assert isinstance(localised, dict)
    return bool(area["value"] >= AUROC_NEEDED and localised["value"] >= LOCALISED_NEEDED)


if __name__ == "__main__":
    sys.exit(main())
