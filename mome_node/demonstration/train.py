"""Train the demonstration weights on phantoms, from scratch, on a CPU.

    python -m mome_node.demonstration.make_package --work DIR --out PACKAGE

The loss is the exam's cross-entropy, and beside it two that only training has: which of the final
DCE tokens hold a malignant lesion, and which cells of the tokenizer's last convolution hold a
lesion and of which kind. Both are read off by linear maps that are thrown away afterwards; they
tell the network where to look long before the exam's label alone would.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import structlog
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn

from mome_node.demonstration.dataset import MALIGNANT, Dataset
from mome_node.mome.config import InputSize, ModelConfig
from mome_node.mome.network import Mome
from mome_node.mome.tokenizer import Tokenizer
from mome_node.volumes.volume import Modality

log = structlog.get_logger(__name__)

DEMONSTRATION = ModelConfig(
    width=64,
    heads=4,
    ffn=256,
    adapter=16,
    dce=InputSize(6, (96, 64, 32)),
    dwi=InputSize(1, (48, 32, 16)),
    t2=InputSize(1, (96, 64, 16)),
)
"""The architecture at the size that trains on two CPU cores; 3.35 M parameters."""

SUBSETS = tuple(
    tuple(m for m, bit in zip(Modality, (1, 2, 4), strict=True) if number & bit)
    for number in range(1, 8)
)


@dataclass(frozen=True, slots=True)
class Recipe:
    """Everything that the weights depend on besides the exams."""

    seed: int = 20261123
    epochs: int = 12
    batch: int = 8
    peak_rate: float = 8e-4
    weight_decay: float = 0.05
    drop_modalities: float = 0.25  # of the steps see a random subset of the modalities
    average: float = 0.995  # decay of the running mean of the weights, which is what is kept


class Guides(nn.Module):
    """The two linear maps that only training uses."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.token = nn.Linear(config.width, 1)
        self.cell = nn.Conv3d(config.width, 3, 1)


def train(data: Dataset, recipe: Recipe, config: ModelConfig = DEMONSTRATION) -> Mome:
    """The trained network, in eval mode. Reports the loss of each epoch to the log."""
    torch.manual_seed(recipe.seed)
    rng = np.random.default_rng(recipe.seed)
    network, guides = Mome(config), Guides(config)
    network.to(memory_format=torch.channels_last_3d)  # type: ignore[call-overload]  # stubs lack 3d
    mean = torch.optim.swa_utils.AveragedModel(
        network,
        multi_avg_fn=torch.optim.swa_utils.get_ema_multi_avg_fn(recipe.average),  # type: ignore[no-untyped-call]  # torch's own
    )
    parameters = [*network.parameters(), *guides.parameters()]
    optimizer = torch.optim.AdamW(parameters, lr=recipe.peak_rate, weight_decay=recipe.weight_decay)
    steps = recipe.epochs * (len(data.seeds) // recipe.batch)
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, recipe.peak_rate, steps, pct_start=0.15
    )
    for epoch in range(recipe.epochs):
        started, losses = time.monotonic(), []
        for batch in _batches(data, rng, recipe):
            optimizer.zero_grad(set_to_none=True)
            parts = _losses(network, guides, batch)
            torch.stack(parts).sum().backward()  # type: ignore[no-untyped-call]  # torch's own
            nn.utils.clip_grad_norm_(parameters, 1.0)
            optimizer.step()
            schedule.step()
            mean.update_parameters(network)
            losses.append([float(p.detach()) for p in parts])
        exam, token, cell = np.mean(losses, axis=0).round(4)
        seconds = round(time.monotonic() - started)
        log.info("epoch", n=epoch + 1, exam=exam, token=token, cell=cell, seconds=seconds)
    kept = mean.module
    assert isinstance(kept, Mome)
    return kept.eval()


@dataclass(frozen=True, slots=True, eq=False)
class Batch:
    """Inputs (B, C, x, y, z), exam labels (B,), lesion labels (B, x, y, z)."""

    inputs: dict[Modality, Tensor]
    malignant: Tensor
    lesions: Tensor


def _batches(data: Dataset, rng: np.random.Generator, recipe: Recipe) -> Iterator[Batch]:
    order = rng.permutation(len(data.seeds))
    for start in range(0, len(order) - recipe.batch + 1, recipe.batch):
        chosen = np.sort(order[start : start + recipe.batch])
        subset = tuple(Modality)
        if rng.random() < recipe.drop_modalities:
            subset = SUBSETS[int(rng.integers(len(SUBSETS)))]
        inputs = {m: data.inputs[m][chosen].astype(np.float32) for m in subset}
        yield _augment(inputs, data.malignant[chosen], data.lesions[chosen], rng)


def _augment(
    inputs: dict[Modality, NDArray[np.float32]],
    malignant: NDArray[np.bool_],
    lesions: NDArray[np.uint8],
    rng: np.random.Generator,
) -> Batch:
    """Flip left-right and head-feet, scale and shift: what another scan of her could look like."""
    flips = [axis for axis in (0, 2) if rng.random() < 0.5]
    shifts = rng.integers(-2, 3, 3)
    out = {}
    for modality, array in inputs.items():
        ratio = np.array(array.shape[2:]) / np.array(lesions.shape[1:])
        moved = np.roll(array, np.round(shifts * ratio).astype(int), axis=(2, 3, 4))
        moved = np.flip(moved, tuple(axis + 2 for axis in flips))
        scale = rng.normal(1, 0.08, (len(array), 1, 1, 1, 1)).astype(np.float32)
        out[modality] = torch.from_numpy(np.ascontiguousarray(moved * scale))
    labels = np.flip(np.roll(lesions, shifts, axis=(1, 2, 3)), tuple(axis + 1 for axis in flips))
    return Batch(
        inputs=out,
        malignant=torch.from_numpy(malignant.astype(np.int64)),
        lesions=torch.from_numpy(np.ascontiguousarray(labels)),
    )


def _losses(network: Mome, guides: Guides, batch: Batch) -> tuple[Tensor, Tensor, Tensor]:
    cells: list[Tensor] = []
    tokenizer = network.tokenizers[Modality.DCE.value]
    assert isinstance(tokenizer, Tokenizer)
    hook = tokenizer.pool.register_forward_pre_hook(lambda _m, given: cells.append(given[0]))
    with torch.autocast("cpu", dtype=torch.bfloat16):
        class_token, tokens = network.encode(batch.inputs)
        logits = network.head(network.head_norm(class_token))
    hook.remove()
    exam = F.cross_entropy(logits.float(), batch.malignant, label_smoothing=0.02)
    if Modality.DCE not in batch.inputs:
        nothing = exam.new_zeros(())
        return exam, nothing, nothing
    hot = F.max_pool3d((batch.lesions == MALIGNANT).float()[:, None], 16).flatten(1)  # (B, T)
    guess = guides.token(tokens[Modality.DCE].float())[..., 0]  # (B, T)
    token = F.binary_cross_entropy_with_logits(guess, hot, pos_weight=guess.new_tensor(8.0))
    kind = F.max_pool3d(batch.lesions.float()[:, None], 8)[:, 0].long()  # (B, x/8, y/8, z/8)
    weights = logits.new_tensor([1.0, 12.0, 12.0], dtype=torch.float32)
    cell = F.cross_entropy(guides.cell(cells[0].float()), kind, weight=weights)
    return exam, 0.5 * token, 0.5 * cell
