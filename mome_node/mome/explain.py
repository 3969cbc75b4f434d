"""Which places of the DCE moved the score, by the method that a network's size allows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal

import numpy as np
from torch import Tensor

from mome_node.dicom.geometry import Grid
from mome_node.mome.network import Mome
from mome_node.mome.predict import ExamRun
from mome_node.mome.prediction import Attribution
from mome_node.mome.token_gradients import token_gradients
from mome_node.mome.voxel_gradients import integrated_gradients
from mome_node.volumes.volume import Modality

ExplainMethod = Literal["auto", "voxels", "tokens"]

MOST_TOKENS_FOR_VOXELS = 512
"""Networks with more DCE tokens are explained at the tokens: at the voxels it takes some two
hundred passes, which is minutes for a small network and hours for a large one."""

VOXEL_STEPS = 64
TOKEN_STEPS = 2
"""On a CPU, where an explanation may cost four passes at full size."""

TOKEN_STEPS_ON_GPU = 32


def attribute(
    networks: Sequence[Mome],
    runs: Sequence[ExamRun],
    inputs: Mapping[Modality, Tensor],
    *,
    method: ExplainMethod = "auto",
    positive_class: int,
    dce_grid: Grid,
) -> Attribution:
    """The mean of the networks' attributions for an exam that they were run on.

    ``inputs`` are the tensors (1, C, x, y, z) of those ``runs``. The completeness gap is the
    largest one. Raises ModelInputError where there is no DCE, NotANumberError for gradients that
    are no numbers.
    """
    found = [
        _attribution(network, run, inputs, method, positive_class, dce_grid)
        for network, run in zip(networks, runs, strict=True)
    ]
    return Attribution(
        array=np.mean([a.array for a in found], axis=0, dtype=np.float32),
        grid=dce_grid,
        completeness_gap=max(a.completeness_gap for a in found),
        method=found[0].method,
        steps=found[0].steps,
    )


def _attribution(
    network: Mome,
    run: ExamRun,
    inputs: Mapping[Modality, Tensor],
    method: ExplainMethod,
    positive_class: int,
    dce_grid: Grid,
) -> Attribution:
    device = network.class_token.device
    small = network.config.dce.tokens <= MOST_TOKENS_FOR_VOXELS
    if method == "voxels" or (method == "auto" and small):
        return integrated_gradients(
            network,
            {m: x.to(device) for m, x in inputs.items()},
            positive_class=positive_class,
            dce_grid=dce_grid,
            steps=VOXEL_STEPS,
        )
    steps = TOKEN_STEPS if device.type == "cpu" else TOKEN_STEPS_ON_GPU
    return token_gradients(
        network, run, positive_class=positive_class, dce_grid=dce_grid, steps=steps
    )
