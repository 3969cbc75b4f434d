"""Whether the regions come from what the weights learned, or from the images and masks alone.

    python -m mome_node.demonstration.sanity --exams 60 --out sanity.json

The strongest region of malignant phantoms, by each method, with the demonstration weights and with
random ones in their place ("Sanity Checks for Saliency Maps", Adebayo et al. 2018, arXiv
1810.03292). Preprocessing, breast masks and region rules are the same, so that a method which
merely finds what is bright would do as well with either.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Iterator, Sequence
from itertools import count, islice
from pathlib import Path

import torch

from mome_node.demonstration.dataset import TRAINING_PROTOCOL, to_exam
from mome_node.demonstration.evaluate import HELD_OUT, NEAR_MM, outside_mm
from mome_node.demonstration.statistics import proportion
from mome_node.logs import configure_logging
from mome_node.mome.explain import ExplainMethod, attribute
from mome_node.mome.network import Mome
from mome_node.mome.package import ModelPackage
from mome_node.mome.predict import run_exam
from mome_node.mome.preprocess import ModelInputs, PreprocessSpec, prepare
from mome_node.mome.regions import find_regions
from mome_node.phantom.exam import PhantomExam
from mome_node.phantom.render import render_exam
from mome_node.volumes.volume import Modality

METHODS: tuple[ExplainMethod, ...] = ("voxels", "tokens")
WITHIN_MM = {"voxels": NEAR_MM, "tokens": 15.0}
"""How far outside the lesion the strongest region's centre still hits it: one slice of the model;
at the tokens half a cell, which is 29 x 29 x 40 mm in the demonstration."""

FIRST_SEED = HELD_OUT + 500_000
RANDOM_SEED = 4


def hit_rates(
    package: ModelPackage,
    exams: int,
    progress: Callable[[int], None] = lambda _: None,
    methods: Sequence[ExplainMethod] = METHODS,
) -> dict[str, object]:
    """How often the strongest region lies on the malignant lesion, of so many malignant phantoms.

    No region counts as a miss, a score below its reference does not keep one from being looked for.
    """
    networks = [("trained", package.network()), ("random", _randomised(package))]
    hits = {(method, name): 0 for method in methods for name, _ in networks}
    gaps: dict[str, list[float]] = {method: [] for method in methods}
    spec = PreprocessSpec.from_json(dict(package.preprocessing))
    sizes = {m: package.config.input_of(m).shape for m in Modality}
    for done, phantom in enumerate(_malignant(exams), start=1):
        inputs = prepare(to_exam(phantom), spec, sizes)
        for method in methods:
            for name, network in networks:
                hit, gap = _look(network, package, method, inputs, phantom)
                hits[method, name] += hit
                if name == "trained":
                    gaps[method].append(gap)
        progress(done)
    return {
        "exams": exams,
        "first_seed": FIRST_SEED,
        "hit_means": "centre of the strongest region at most within_mm outside the lesion",
        **{
            method: {
                "within_mm": WITHIN_MM[method],
                **{name: proportion(hits[method, name], exams).to_json() for name, _ in networks},
                "median_completeness_error": sorted(gaps[method])[exams // 2],
            }
            for method in methods
        },
    }


def is_sane(report: dict[str, object], methods: Sequence[str] = METHODS) -> bool:
    """Whether random weights hit less than half as often as the trained ones."""
    for method in methods:
        found = report[method]
        assert isinstance(found, dict)
        if not found["random"]["value"] < found["trained"]["value"] / 2:
            return False
    return True


def _randomised(package: ModelPackage) -> Mome:
    torch.manual_seed(RANDOM_SEED)
    return Mome(package.config).eval().requires_grad_(False)


def _malignant(exams: int) -> Iterator[PhantomExam]:
    phantoms = (render_exam(seed, protocol=TRAINING_PROTOCOL) for seed in count(FIRST_SEED))
    return islice((p for p in phantoms if p.truth.malignant), exams)


def _look(
    network: Mome,
    package: ModelPackage,
    method: ExplainMethod,
    inputs: ModelInputs,
    phantom: PhantomExam,
) -> tuple[bool, float]:
    """Whether the strongest region lies on the lesion, and the completeness error."""
    tensors = {m: torch.from_numpy(a)[None] for m, a in inputs.arrays.items()}
    attribution = attribute(
        [network],
        run_exam([network], tensors),
        tensors,
        method=method,
        positive_class=package.statement.positive_index,
        dce_grid=inputs.dce_grid,
    )
    regions = find_regions(attribution, phantom.dce[1], inputs.breasts).regions
    lesions = [lesion for lesion in phantom.truth.lesions if lesion.malignant]
    hit = bool(regions) and any(
        outside_mm(regions[0].center_mm, le) <= WITHIN_MM[method] for le in lesions
    )
    return hit, attribution.completeness_gap


def main() -> int:
    """Measure and write the report; 1 if the regions do not depend on the weights."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--exams", type=int, default=60)
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    configure_logging()
    from mome_node.cli.output import progress, say
    from mome_node.jobs.models import ModelChoice

    package = ModelPackage.load(ModelChoice().path)
    with progress("explaining phantoms", total=options.exams) as bar:
        report = hit_rates(
            package, options.exams, lambda n: bar.update(bar.task_ids[0], completed=n)
        )
    text = json.dumps(report, indent=2)
    say(text)
    if options.out:
        options.out.write_text(text + "\n")
    return 0 if is_sane(report) else 1


if __name__ == "__main__":
    sys.exit(main())
