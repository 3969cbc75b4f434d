"""Integrated gradients: which voxels of the dynamic moved the score (arXiv 1703.01365)."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from mome_node.dicom.geometry import Grid
from mome_node.errors import ModelInputError, NotANumberError
from mome_node.mome.network import Mome
from mome_node.mome.prediction import Attribution
from mome_node.volumes.volume import Modality

FIRST_PLACES = (0.0, 1e-8, 1e-7, 1e-6, 1e-5, 1e-4, 1e-3, 1e-2, 1e-1, 1.0)
"""Where the score is looked at first along the path from the baseline (0) to the exam (1)."""

PLACES_A_ROUND = 8
"""How many places are added at a time where the score changes most."""

SMALLEST_DIFFERENCE = 0.1
"""The completeness gap is relative to the change of the score, or to this (in logits) if it is
less: a change that small moves no probability by more than 2.5 percentage points."""

METHOD = "integrated gradients at the voxels"

Score = Callable[[Tensor], Tensor]


def integrated_gradients(
    network: nn.Module,
    inputs: Mapping[Modality, Tensor],
    *,
    positive_class: int,
    dce_grid: Grid,
    steps: int = 64,
    batch: int = 8,
) -> Attribution:
    """Attribution of one exam's score to its DCE voxels.

    ``inputs`` are (1, C, x, y, z) tensors on the network's device; ``dce_grid`` is where the DCE
    lies. The path runs from a DCE of zeros (nothing enhances) to the exam's; the other modalities
    are held. ``steps`` gradients are taken (at least as many as FIRST_PLACES), ``batch`` at a
    time, which bounds the memory; about as many outputs are computed first to place them.

    The output explained is the logit of the positive class's probability, log p / (1 - p); for
    two classes that is the difference of their logits.

    Raises ModelInputError where there is no DCE, NotANumberError for such an answer.
    """
    if network.training:
        raise ValueError("the network is in training mode; call eval() first")
    if steps < len(FIRST_PLACES) or batch < 1:
        raise ValueError(f"steps = {steps}, batch = {batch}: at least {len(FIRST_PLACES)} and 1")
    if Modality.DCE not in inputs:
        raise ModelInputError("without DCE there is no attribution: it is taken to the DCE voxels")
    dce = inputs[Modality.DCE].detach()
    if dce.shape[0] != 1 or tuple(dce.shape[2:]) != dce_grid.shape:
        raise ModelInputError(
            f"DCE of shape {tuple(dce.shape)} is not one exam on the grid {dce_grid.shape}"
        )
    score = _score(network, inputs, positive_class)
    ends, scores = _path(score, dce, steps, batch)
    change = scores[-1] - scores[0]
    places, weights = _nodes(ends)
    total = torch.zeros_like(dce[0])  # (C, x, y, z)
    for first in range(0, steps, batch):
        points = _points(dce, places[first : first + batch]).requires_grad_()  # (b, C, x, y, z)
        (gradients,) = torch.autograd.grad(score(points).sum(), points)  # (b, C, x, y, z)
        weight = torch.tensor(weights[first : first + batch], dtype=dce.dtype, device=dce.device)
        total += torch.einsum("b,bcxyz->cxyz", weight, gradients)
    voxels = (total * dce[0]).double().sum(dim=0)  # (x, y, z)
    array = voxels.to(torch.float32).cpu().numpy()
    if not np.isfinite(array).all():
        raise NotANumberError("the network's gradient holds NaN or infinite values")
    gap = abs(float(voxels.sum()) - change) / max(abs(change), SMALLEST_DIFFERENCE)
    return Attribution(array, dce_grid, gap, METHOD, steps)


def _path(
    score: Score, dce: Tensor, steps: int, batch: int
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """The ends of ``steps`` intervals of the path, and the scores there, (steps + 1,) each.

    The tokenizer's instance norms take the scale out of their input. So the score changes in a
    small stretch of the path, where the signal is about as small as the norms' epsilon, and it may
    jump there: evenly spread nodes would miss it. Where it lies depends on weights and exam, so it
    is searched for, by the score alone: intervals are split where it changes most.
    """
    ends = np.array(FIRST_PLACES)
    scores = _scores(score, dce, ends, batch)
    while len(ends) - 1 < steps:
        added = _splits(ends, scores, min(PLACES_A_ROUND, steps - len(ends) + 1))
        scores = np.concatenate([scores, _scores(score, dce, added, batch)])
        ends = np.concatenate([ends, added])
        order = np.argsort(ends)
        ends, scores = ends[order], scores[order]
    return ends, scores


def _splits(
    ends: NDArray[np.float64], scores: NDArray[np.float64], count: int
) -> NDArray[np.float64]:
    """``count`` new ends, evenly spread in the logarithm where the score changes most."""
    change = np.abs(np.diff(scores))
    parts = np.ones(len(change), dtype=np.int64)
    for _ in range(count):
        parts[np.argmax(change / parts)] += 1
    added: list[float] = []
    for low, high, n in zip(ends, ends[1:], parts, strict=False):
        lowest = low if low > 0 else high / 10**n  # no logarithm of zero: decades below
        added += np.geomspace(lowest, high, n + 1)[1:-1].tolist()
    return np.array(added)


def _nodes(ends: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """One place in each interval and its weight: the midpoint rule in the path's logarithm."""
    low, high = ends[1:-1], ends[2:]
    places = np.sqrt(low * high)
    weights = places * np.log(high / low)
    return np.append(ends[1] / 2, places), np.append(ends[1], weights)


def _scores(
    score: Score, dce: Tensor, places: NDArray[np.float64], batch: int
) -> NDArray[np.float64]:
    found: list[float] = []
    with torch.no_grad():
        for first in range(0, len(places), batch):
            found += score(_points(dce, places[first : first + batch])).tolist()
    if not np.isfinite(found).all():
        raise NotANumberError("the network's answer holds NaN or infinite values")
    return np.array(found)


def _points(dce: Tensor, places: NDArray[np.float64]) -> Tensor:
    """The exam (1, C, x, y, z) at places of the path, (b, C, x, y, z)."""
    factors = torch.tensor(places, dtype=dce.dtype, device=dce.device)
    return factors.view(-1, 1, 1, 1, 1) * dce


def _score(network: nn.Module, inputs: Mapping[Modality, Tensor], positive_class: int) -> Score:
    """The score (B,) as a function of DCE (B, C, x, y, z), everything else held."""
    held: dict[Modality, Tensor] = {
        m: x.detach() for m, x in inputs.items() if m is not Modality.DCE
    }
    if isinstance(network, Mome):
        # The streams of the other modalities do not depend on DCE before the soft layers.
        with torch.no_grad():
            held = {m: network.stream(m, x) for m, x in held.items()}

    def score(dce: Tensor) -> Tensor:
        others = {m: x.expand(len(dce), *x.shape[1:]) for m, x in held.items()}
        if isinstance(network, Mome):
            logits = network.decide({Modality.DCE: network.stream(Modality.DCE, dce), **others})
        else:
            logits = network({Modality.DCE: dce, **others})  # (B, classes)
        return log_odds(logits, positive_class)

    return score


def log_odds(logits: Tensor, positive_class: int) -> Tensor:
    """Logits (B, classes) to the logit of one class's probability, (B,).

    A single logit means nothing by itself: adding a constant to all changes no probability.
    """
    rest = [c for c in range(logits.shape[1]) if c != positive_class]
    positive = logits[:, positive_class]  # (B,)
    return positive - logits[:, rest].logsumexp(dim=1) if rest else positive
