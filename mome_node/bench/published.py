"""A forward pass the published way, to compare ours with: one sequence, one mask, no shortcuts.

Same weights. The tokenizers run as they are written in the paper's figure, and attention as
softmax(QK' + mask) V with every score in memory, also where the mask hides it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor

from mome_node.mome.layers import Adapter, Expert, SoftLayer, SparseLayer
from mome_node.mome.network import Mome
from mome_node.mome.tokenizer import EPSILON, Tokenizer
from mome_node.volumes.volume import Modality


@torch.inference_mode()
def published_logits(network: Mome, inputs: Mapping[Modality, Tensor]) -> Tensor:
    """Volumes (B, C, x, y, z) of all three modalities to logits (B, classes)."""
    streams = [network.place(m, _tokens(network, m, inputs[m])) for m in Modality]
    lengths = [x.shape[1] for x in streams]
    x = torch.cat(streams, dim=1)  # (B, N, D)
    mask = _mask(lengths, x)
    for layer in network.sparse:
        x = _sparse(cast(SparseLayer, layer), x, lengths, mask)
    for layer in network.soft:
        x = _soft(cast(SoftLayer, layer), x, lengths)
    return network.classify(x[:, 0])


def _tokens(network: Mome, modality: Modality, volume: Tensor) -> Tensor:
    x = volume
    for convolution in cast(Tokenizer, network.tokenizers[modality]).stem.values():
        x = F.relu(F.instance_norm(convolution(x), eps=EPSILON))
    return F.max_pool3d(x, 3, stride=2, padding=1).flatten(2).transpose(1, 2)  # (B, T, D)


def _mask(lengths: list[int], like: Tensor) -> Tensor:
    """(N, N): 0 within a modality, minus infinity between two."""
    owner = torch.repeat_interleave(torch.arange(len(lengths)), torch.tensor(lengths))
    apart = (owner[:, None] != owner[None, :]).to(like.device)
    return torch.zeros_like(apart, dtype=like.dtype).masked_fill_(apart, float("-inf"))


def _attend(
    experts: list[Expert], x: Tensor, lengths: list[int], mask: Tensor | None
) -> tuple[Tensor, Tensor]:
    """Tokens after attention and the same normed, (B, N, D) each."""
    parts = torch.split(x, lengths, dim=1)
    projected = [expert.project(part) for expert, part in zip(experts, parts, strict=True)]
    q, k, v = (torch.cat(part, dim=2) for part in zip(*projected, strict=True))  # (B, H, N, d)
    scores = q * q.shape[-1] ** -0.5 @ k.transpose(-2, -1)  # (B, H, N, N)
    if mask is not None:
        scores = scores + mask
    attended = (scores.softmax(dim=-1) @ v).transpose(1, 2).flatten(2)  # (B, N, D)
    shares = torch.split(attended, lengths, dim=1)
    merged = [e.merge(a, b) for e, a, b in zip(experts, parts, shares, strict=True)]
    normed = [e.norm_feed(h) for e, h in zip(experts, merged, strict=True)]
    return torch.cat(merged, dim=1), torch.cat(normed, dim=1)


def _sparse(layer: SparseLayer, x: Tensor, lengths: list[int], mask: Tensor) -> Tensor:
    experts = [cast(Expert, layer.experts[m]) for m in Modality]
    h, normed = _attend(experts, x, lengths, mask)
    parts = []
    for m, expert, part in zip(Modality, experts, torch.split(normed, lengths, dim=1), strict=True):
        adapter = cast(Adapter, layer.adapters[m])
        parts.append(expert.feed(part) + adapter.widen(adapter.narrow(part)))
    return h + torch.cat(parts, dim=1)


def _soft(layer: SoftLayer, x: Tensor, lengths: list[int]) -> Tensor:
    experts = [layer.expert(m) for m in Modality]
    h, normed = _attend(experts, x, lengths, None)
    fed = [e.feed(p) for e, p in zip(experts, torch.split(normed, lengths, dim=1), strict=True)]
    mixed = layer.adapter.widen(layer.adapter.mixture(layer.adapter.narrow(normed)))
    return h + torch.cat(fed, dim=1) + mixed
