"""From one modality's voxels to tokens: three strided convolutions, each normalised, and a pooling.

At full size this is a quarter of a forward pass and all of its peak memory, so that where no
gradient is wanted it runs channels-last, in slabs, and normalises in place.
"""

from __future__ import annotations

from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mome_node.mome.config import ModelConfig

EPSILON = 1e-5
"""Of the instance norms, as in the authors' network."""

SLAB_BYTES = 1 << 26
"""A volume that has to be laid out anew, channels last, is copied at most so much at a time."""

ROWS = 1 << 14
"""Voxels that are normalised at a time on a CPU: they stay in its cache from step to step."""


class Tokenizer(nn.Module):
    """One token for each 16 x 16 x 16 voxels."""

    def __init__(self, config: ModelConfig, channels: int) -> None:
        super().__init__()
        widths = (channels, *config.stem, config.width)
        self.stem = nn.ModuleDict(
            {
                name: nn.Conv3d(taken, made, 3, stride=2, padding=1, bias=False)
                # The places that the convolutions have in the authors' sequence.
                for name, taken, made in zip("036", widths, widths[1:], strict=False)
            }
        )
        self.pool = nn.MaxPool3d(3, stride=2, padding=1, return_indices=True)

    def forward(self, volume: Tensor) -> tuple[Tensor, Tensor]:
        """(B, C, x, y, z) to tokens, float32 (B, T, D), z fastest, and where they come from.

        That is, for each value the cell that it was pooled from: (B, D, x/16, y/16, z/16), an
        index into the cells of its exam and channel, z fastest.
        """
        patches, places = self.pool(self.cells(volume))
        return patches.flatten(2).transpose(1, 2).float(), places

    def cells(self, volume: Tensor) -> Tensor:
        """(B, C, x, y, z) to what the tokens are pooled from, (B, D, x/8, y/8, z/8)."""
        x = volume
        for layer in self.stem.values():
            convolution = cast(nn.Conv3d, layer)
            if torch.is_grad_enabled():
                made = convolution(x.to(convolution.weight.dtype)).float()
                x = F.relu(F.instance_norm(made, eps=EPSILON))
            else:
                x = _normalise(_convolve(convolution, x))
        return x


def _convolve(convolution: nn.Conv3d, x: Tensor) -> Tensor:
    """(B, C, x, y, z) to (B, C', x/2, y/2, z/2), channels last: several times as fast on a CPU."""
    weight = _channels_last(convolution.weight)
    if x.is_contiguous(memory_format=torch.channels_last_3d) and x.dtype == weight.dtype:
        return F.conv3d(_channels_last(x), weight, stride=2, padding=1)
    batch, _, *size = x.shape
    halved = [n // 2 for n in size]
    out = torch.empty((batch, *halved, len(weight)), dtype=weight.dtype, device=x.device)
    step = max(1, halved[0] * SLAB_BYTES // (x.numel() * weight.element_size()))
    for first in range(0, halved[0], step):
        last = min(first + step, halved[0])
        # A place reads one voxel before its own two; before the first there is the padding.
        slab = _laid_anew(x[:, :, max(0, 2 * first - 1) : 2 * last].to(weight.dtype))
        part = F.conv3d(slab, weight, stride=2, padding=(0 if first else 1, 1, 1))
        out[:, first:last] = part.permute(0, 2, 3, 4, 1)
    return out.permute(0, 4, 1, 2, 3)


def _laid_anew(x: Tensor) -> Tensor:
    """The same (B, C, x, y, z) channels last; as a transposed matrix several times as fast."""
    rows = x.flatten(2).transpose(1, 2).contiguous()  # (B, voxels, C)
    return rows.view(len(x), *x.shape[2:], -1).permute(0, 4, 1, 2, 3)


def _channels_last(x: Tensor) -> Tensor:
    x = x.contiguous(memory_format=torch.channels_last_3d)
    if x.shape[1] == 1:
        # Both layouts are the same then; by the strides alone PyTorch tells which kernel to take.
        rows, columns = x.shape[3:]
        x = x.as_strided(x.shape, (x[0].numel(), 1, rows * columns, columns, 1))
    return x


def _normalise(x: Tensor) -> Tensor:
    """Instance norm without weights, then ReLU, in place; sums and differences in float32."""
    step = ROWS if x.device.type == "cpu" else x[0, 0].numel()
    for exam in torch.split(x, 1):
        mean, variance = _moments(exam)
        scale = (variance + EPSILON).rsqrt()
        rows = exam.permute(0, 2, 3, 4, 1).flatten(0, 3)  # (voxels, C), a view
        for part in torch.split(rows, step):
            if part.dtype == torch.float32:
                part.sub_(mean).mul_(scale).relu_()
            else:
                part.copy_(part.float().sub_(mean).mul_(scale).relu_())
    return x


def _moments(exam: Tensor) -> tuple[Tensor, Tensor]:
    """Mean and variance of each channel, (C,) each, float32, of one exam (1, C, x, y, z).

    By the operator behind batch norm: of all in PyTorch the fastest one on channels-last voxels.
    """
    running = torch.zeros(2, exam.shape[1], dtype=torch.float32, device=exam.device)
    mean, variance = torch.batch_norm_update_stats(exam, running[0], running[1], 0.0)
    return mean, variance
