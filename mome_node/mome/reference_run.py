"""Runs whose results a model package stores, so that any machine can check that it agrees."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from mome_node.mome.config import ModelConfig
from mome_node.mome.network import Mome
from mome_node.volumes.volume import Modality

TOLERANCE = 1e-3
"""Largest difference of a logit: float32 sums differ by 1e-5 or so between processors."""


@dataclass(frozen=True, slots=True)
class ReferenceRun:
    """The logits that the package's weights give for the inputs that ``seed`` makes.

    ``logits`` has one row a weight file, in the order of the package's ``weights``.
    """

    seed: int
    logits: tuple[tuple[float, ...], ...]
    tolerance: float = TOLERANCE

    def to_json(self) -> dict[str, Any]:
        """Return the ``reference_run`` entry of the package's metadata."""
        return {
            "seed": self.seed,
            "logits": [list(row) for row in self.logits],
            "tolerance": self.tolerance,
        }

    @staticmethod
    def from_json(entry: Mapping[str, Any]) -> ReferenceRun:
        """Read an entry that the schema has accepted."""
        rows = tuple(tuple(row) for row in entry["logits"])
        return ReferenceRun(entry["seed"], rows, entry["tolerance"])

    def difference(self, logits: Tensor, *, file: int = 0) -> float:
        """Return the largest difference of logits (1, classes) from those of one weight file."""
        return float((logits[0].double().cpu() - torch.tensor(self.logits[file])).abs().max())


def run_reference(network: Mome, seed: int) -> Tensor:
    """Logits (1, classes) for the inputs that ``seed`` makes, all modalities there."""
    device = network.class_token.device
    with torch.inference_mode():
        inputs = reference_inputs(network.config, seed)
        return network({m: volume.to(device) for m, volume in inputs.items()})  # type: ignore[no-any-return]  # Module.__call__ is untyped


def reference_inputs(config: ModelConfig, seed: int) -> dict[Modality, Tensor]:
    """Noise of the model's size, (1, C, x, y, z) float32, mean 0 and deviation 1.

    The same numbers on every machine and with every NumPy: a bit generator's raw output is fixed,
    whereas the distributions made from it may change between releases.
    """
    return {m: _noise(config.input_of(m).shape, seed + n) for n, m in enumerate(Modality)}


def _noise(shape: tuple[int, ...], seed: int) -> Tensor:
    count = int(np.prod(shape))
    words = np.random.PCG64(seed).random_raw(-(-count // 8)).astype("<u8")
    levels = words.view(np.uint8)[:count].astype(np.float32)
    return torch.from_numpy((levels - 127.5) / np.float32(73.9)).reshape(1, *shape)
