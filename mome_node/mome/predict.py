"""From tensors of the model's size to scores."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from mome_node.errors import ModelError, ModelInputError
from mome_node.mome.contributions import Subset, shapley_values, subsets
from mome_node.mome.network import Mome, Streams
from mome_node.mome.prediction import Prediction
from mome_node.volumes.volume import Modality


def predict(
    network: Mome, inputs: Mapping[Modality, Tensor], *, positive_class: int, prior: float
) -> Prediction:
    """Score one exam and share the score out among its modalities.

    ``inputs`` are (1, C, x, y, z) for each modality that is there, on any device;
    ``positive_class`` is an index. Raises ModelInputError for inputs that do not fit, ModelError
    for a score that is no number.
    """
    device = network.class_token.device
    given = {m: inputs[m].to(device, torch.float32) for m in Modality if m in inputs}
    if any(len(volume) != 1 for volume in given.values()):
        raise ModelInputError("one exam at a time is scored: every input is (1, C, x, y, z)")
    logits = subset_logits(network, given)
    probabilities = {subset: row.softmax(dim=-1) for subset, row in logits.items()}
    whole = frozenset(given)
    if not all(torch.isfinite(row).all() for row in logits.values()):
        raise ModelError("the network's answer is not a number; verify the model package")
    return Prediction(
        logits=tuple(logits[whole].tolist()),
        probabilities=tuple(probabilities[whole].tolist()),
        probability=float(probabilities[whole][positive_class]),
        prior=prior,
        contributions=shapley_values(
            tuple(given), lambda subset: float(probabilities[subset][positive_class]), prior=prior
        ),
    )


def subset_logits(network: Mome, inputs: Mapping[Modality, Tensor]) -> dict[Subset, Tensor]:
    """Logits (classes,) float64 of one exam from every non-empty subset of its modalities.

    Each modality runs once through its own layers; only the soft layers run for every subset.
    """
    # On a GPU, cuDNN would otherwise round the convolutions' inputs to TF32 (10 bits of mantissa).
    full_precision = torch.backends.cudnn.flags(enabled=True, allow_tf32=False)
    with torch.inference_mode(), full_precision:
        streams = network.streams(inputs)
        alone = network.class_stream(1)
        return {
            subset: network.decide(_of_subset(streams, alone, subset))[0].double().cpu()
            for subset in subsets(tuple(inputs))
        }


def _of_subset(streams: Streams, class_stream: Tensor, subset: Subset) -> Streams:
    chosen = {modality: streams[modality] for modality in subset}
    return chosen if Modality.DCE in subset else chosen | {Modality.DCE: class_stream}
