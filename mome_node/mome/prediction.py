"""What the model says of one exam."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mome_node.dicom.geometry import Grid
from mome_node.volumes.volume import Modality


@dataclass(frozen=True, slots=True)
class Prediction:
    """Scores of one task for one exam.

    ``probability`` is that of the package's positive class; ``contributions`` are Shapley values
    of the modalities that were given, which add up to ``probability - prior``. All are means over
    as many ``networks``; ``spread`` is the standard deviation of their probabilities.
    """

    logits: tuple[float, ...]
    probabilities: tuple[float, ...]
    probability: float
    prior: float
    contributions: tuple[tuple[Modality, float], ...]
    spread: float = 0.0
    networks: int = 1


@dataclass(frozen=True, slots=True, eq=False)
class Attribution:
    """Which places of the DCE moved the score, by integrated gradients.

    ``array`` (x, y, z) float32 on ``grid`` (the model's DCE grid in the patient), summed over the
    channels, not smoothed. ``completeness_gap`` is the relative difference between the sum of the
    attributions and the difference of the outputs (0: exact). ``method`` names it in words,
    ``steps`` is how many gradients were taken.
    """

    array: NDArray[np.float32]
    grid: Grid
    completeness_gap: float
    method: str
    steps: int


@dataclass(frozen=True, slots=True)
class ChannelUse:
    """Which phase fills a DCE channel of the model: channel from 0, phase 0 = pre-contrast.

    ``phase`` and ``time_s`` are None for a channel that nothing fills (zeros).
    """

    channel: int
    phase: int | None
    time_s: float | None
