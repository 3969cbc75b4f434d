"""Make the demonstration package from nothing: exams, training, threshold, weights.

    python -m mome_node.demonstration.make_package --work DIR --out PACKAGE

About two hours on two CPU cores: half an hour of rendering, the rest training.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from mome_node.demonstration.card import LICENSE_TEXT, demonstration_statement
from mome_node.demonstration.dataset import Dataset, build
from mome_node.demonstration.statistics import proportion
from mome_node.demonstration.train import DEMONSTRATION, Recipe, train
from mome_node.logs import configure_logging
from mome_node.mome.network import Mome
from mome_node.mome.package import ModelPackage, write_package
from mome_node.mome.preprocess_spec import demonstration_spec
from mome_node.mome.statement import OperatingPoint
from mome_node.volumes.volume import Modality

TRAINING_SEED = 1_000_000
THRESHOLD_SEED = 2_000_000
TRAINING_EXAMS = 1296
THRESHOLD_EXAMS = 150


def package_from(network: Mome, held_out: Dataset, out: Path) -> ModelPackage:
    """Write the package, with the threshold that the held-out exams give."""
    scores = _scores(network, held_out)
    point = operating_point(scores, held_out.malignant)
    return write_package(
        out,
        network,
        demonstration_statement((point,)),
        license_text=LICENSE_TEXT,
        weights="float16",
    )


def operating_point(scores: NDArray[np.float64], positive: NDArray[np.bool_]) -> OperatingPoint:
    """The threshold with the largest sum of sensitivity and specificity (Youden, 1950).

    Where several have it, the one nearest to one half.
    """
    ordered = np.unique(scores)
    between = (ordered[:-1] + ordered[1:]) / 2
    sums = [(scores[positive] >= t).mean() + (scores[~positive] < t).mean() for t in between]
    best = between[np.isclose(sums, max(sums))]
    threshold = round(float(best[np.abs(best - 0.5).argmin()]), 3)  # what is printed is used
    sensitivity = proportion(int((scores[positive] >= threshold).sum()), int(positive.sum()))
    specificity = proportion(int((scores[~positive] < threshold).sum()), int((~positive).sum()))
    return OperatingPoint(
        name="demonstration threshold",
        threshold=threshold,
        sensitivity=sensitivity.value,
        sensitivity_ci=(sensitivity.low, sensitivity.high),
        specificity=specificity.value,
        specificity_ci=(specificity.low, specificity.high),
        n=len(scores),
        prevalence=float(positive.mean()),
        population="the phantoms that set it",
    )


def _scores(network: Mome, data: Dataset) -> NDArray[np.float64]:
    scores: list[float] = []
    with torch.inference_mode():
        for start in range(0, len(data.seeds), 10):
            chosen = slice(start, start + 10)
            inputs = {
                m: torch.from_numpy(data.inputs[m][chosen].astype(np.float32)) for m in Modality
            }
            scores += network(inputs).softmax(dim=1)[:, 1].tolist()
    return np.array(scores)


def main() -> int:
    """Make the package."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--work", type=Path, required=True, help="where the exams are kept")
    parser.add_argument("--out", type=Path, required=True, metavar="PACKAGE")
    parser.add_argument("--exams", type=int, default=TRAINING_EXAMS)
    parser.add_argument("--epochs", type=int, default=Recipe().epochs)
    options = parser.parse_args()
    configure_logging(verbose=True)
    from mome_node.cli.output import progress, say

    sizes = {m: DEMONSTRATION.input_of(m).shape for m in Modality}

    def exams(name: str, first: int, count: int) -> Dataset:
        with progress(f"rendering {name} exams", total=count) as bar:
            return build(
                options.work / name,
                range(first, first + count),
                demonstration_spec(),
                sizes,
                progress=lambda n: bar.update(bar.task_ids[0], completed=n),
            )

    network = train(exams("training", TRAINING_SEED, options.exams), Recipe(epochs=options.epochs))
    held_out = exams("threshold", THRESHOLD_SEED, THRESHOLD_EXAMS)
    package = package_from(network, held_out, options.out)
    say(f"{package.path}, digest {package.digest}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
