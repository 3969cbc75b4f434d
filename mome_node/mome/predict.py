"""From tensors of the model's size to scores."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean, pstdev

import torch
from torch import Tensor

from mome_node.errors import ModelInputError, NotANumberError
from mome_node.mome.contributions import Subset, shapley_values, subsets
from mome_node.mome.layers import Streams
from mome_node.mome.network import Mome
from mome_node.mome.prediction import Prediction
from mome_node.volumes.volume import Modality


@dataclass(frozen=True, slots=True, eq=False)
class ExamRun:
    """One network's answers to one exam, and what an explanation starts from.

    ``logits`` (classes,) float64 from every non-empty subset of the exam's modalities;
    ``streams`` what came out of the sparse layers. ``tokens`` (1, T, D) are the DCE's, without
    positions, and ``places`` (1, D, x/16, y/16, z/16) the cell that each was pooled from; both
    None without DCE.
    """

    logits: Mapping[Subset, Tensor]
    streams: Streams
    tokens: Tensor | None
    places: Tensor | None


def predict(
    networks: Sequence[Mome],
    inputs: Mapping[Modality, Tensor],
    *,
    positive_class: int,
    prior: float,
    temperature: float = 1.0,
) -> Prediction:
    """Score one exam and share the score out among its modalities; see the two parts."""
    runs = run_exam(networks, inputs)
    return prediction_of(runs, positive_class=positive_class, prior=prior, temperature=temperature)


def run_exam(networks: Sequence[Mome], inputs: Mapping[Modality, Tensor]) -> tuple[ExamRun, ...]:
    """Run each network on one exam with every subset of its modalities.

    ``inputs`` are (1, C, x, y, z) for each modality that is there, on any device. Raises
    ModelInputError for inputs that do not fit, NotANumberError for an answer that is none.
    """
    if any(len(volume) != 1 for volume in inputs.values()):
        raise ModelInputError("one exam at a time is scored: every input is (1, C, x, y, z)")
    return tuple(_run(network, inputs) for network in networks)


def prediction_of(
    runs: Sequence[ExamRun], *, positive_class: int, prior: float, temperature: float = 1.0
) -> Prediction:
    """The mean of the networks' probabilities, and each modality's contribution to it.

    ``positive_class`` is an index. Logits are divided by ``temperature`` (Guo et al. 2017,
    arXiv 1706.04599) before the softmax. ``Prediction.logits`` are the networks' mean, as the
    weights give them.
    """
    whole = max(runs[0].logits, key=len)
    each = [_probabilities(run.logits[whole], temperature) for run in runs]
    positive = [float(row[positive_class]) for row in each]

    def value(subset: Subset) -> float:
        return fmean(
            float(_probabilities(run.logits[subset], temperature)[positive_class]) for run in runs
        )

    return Prediction(
        logits=tuple(torch.stack([run.logits[whole] for run in runs]).mean(dim=0).tolist()),
        probabilities=tuple(torch.stack(each).mean(dim=0).tolist()),
        probability=fmean(positive),
        prior=prior,
        contributions=shapley_values(tuple(m for m in Modality if m in whole), value, prior=prior),
        spread=pstdev(positive),
        networks=len(runs),
    )


def _probabilities(logits: Tensor, temperature: float) -> Tensor:
    return (logits / temperature).softmax(dim=-1)


def _run(network: Mome, inputs: Mapping[Modality, Tensor]) -> ExamRun:
    """Each modality runs once through its own layers; only the soft layers run for each subset."""
    device = network.class_token.device
    given = {m: inputs[m].to(device) for m in Modality if m in inputs}
    network.check(given)
    # On a GPU, cuDNN would otherwise round the convolutions' inputs to TF32 (10 bits of mantissa).
    full_precision = torch.backends.cudnn.flags(enabled=True, allow_tf32=False)
    # Not inference mode: its tensors could take no part in an explanation's gradients.
    with torch.no_grad(), full_precision:
        tokens, places = {}, {}
        streams: Streams = {}
        for m, volume in given.items():
            tokens[m], places[m] = network.tokenize(m, volume)
            streams[m] = network.specialise(m, network.place(m, tokens[m]))
        logits = _subset_logits(network, streams)
    for row in logits.values():
        if not torch.isfinite(row).all():
            raise NotANumberError("the network's answer holds NaN or infinite values")
    return ExamRun(logits, streams, tokens.get(Modality.DCE), places.get(Modality.DCE))


def _subset_logits(network: Mome, streams: Streams) -> dict[Subset, Tensor]:
    """Logits (classes,) float64 on the CPU from every non-empty subset of the streams."""
    projected = {m: network.project(m, x) for m, x in streams.items()}
    alone = network.class_stream(1)
    projected_alone = network.project(Modality.DCE, alone)
    logits: dict[Subset, Tensor] = {}
    for subset in subsets(tuple(streams)):
        chosen = {m: streams[m] for m in subset}
        known = {m: projected[m] for m in subset}
        if Modality.DCE not in subset:
            chosen[Modality.DCE], known[Modality.DCE] = alone, projected_alone
        logits[subset] = network.decide(chosen, known)[0].double().cpu()
    return logits
