"""The layers of MOME: sparse ones, in which a modality keeps to itself, and soft ones.

Norms, sums and activations run in float32; products in the type of their weights, which may be
narrower. What concerns a token by itself is done in blocks of tokens, so that the wide hidden
states stay in a CPU's cache and take little memory.

Shape comments: B exams, T tokens of one modality, N tokens of all modalities that are there,
D width, H heads, d = D / H, A adapter width, E experts, S slots.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cache, partial
from typing import Literal, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mome_node.mome.config import ModelConfig
from mome_node.volumes.volume import Modality

Streams = dict[Modality, Tensor]
"""Tokens (B, T, D) of each modality. DCE is always there: its first token is the class token."""

Projected = tuple[Tensor, Tensor, Tensor]
"""Queries, keys and values, each (B, H, T, d)."""

BLOCK = 1024
"""Tokens at a time on a CPU."""

QUERIES = 256
"""Queries at a time on a CPU, in attention in a narrow type: their weights fit into its cache."""


def by_blocks(work: Callable[..., Tensor], *parts: Tensor) -> Tensor:
    """Apply to some (B, T, ...) what treats each token by itself."""
    if parts[0].device.type != "cpu" or parts[0].shape[1] <= BLOCK:
        return work(*parts)
    blocks = zip(*(torch.split(part, BLOCK, dim=1) for part in parts), strict=True)
    return torch.cat([work(*block) for block in blocks], dim=1)


def linear(layer: nn.Module, x: Tensor, then: Literal["none", "gelu"] = "none") -> Tensor:
    """Run a linear layer in the type of its weights; GELU in float32 at any precision."""
    assert isinstance(layer, nn.Linear)
    x = x.to(layer.weight.dtype)
    if x.device.type == "cpu" and not torch.is_grad_enabled() and _has_product(x.dtype):
        # oneDNN's product, which torch.compile would choose, too: on many CPUs a sixth faster than
        # the BLAS behind nn.Linear, and GELU is applied to its float32 sums. It has no gradient.
        product = torch.ops.mkldnn._linear_pointwise
        return cast(Tensor, product(x, layer.weight, layer.bias, then, [], "none"))
    made = layer(x)
    return cast(Tensor, made if then == "none" else F.gelu(made.float()))


@cache
def _has_product(dtype: torch.dtype) -> bool:
    """Whether oneDNN multiplies in this type here: in bfloat16 it needs a CPU's instructions."""
    bfloat16 = torch.ops.mkldnn._is_mkldnn_bf16_supported
    return dtype is torch.float32 or (dtype is torch.bfloat16 and bool(bfloat16()))


def attend(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    """softmax(QK' / sqrt(d)) V, (B, H, T, d) each, in the type of their products."""
    if q.device.type != "cpu" or q.dtype == torch.float32 or torch.is_grad_enabled():
        return F.scaled_dot_product_attention(q, k, v)
    # In a narrow type a CPU's products are fast only when they are large, and those inside of
    # PyTorch's attention are not: a head at a time takes two thirds of its time.
    out = torch.empty_like(q)
    scaled = q * q.shape[-1] ** -0.5
    for exam in range(q.shape[0]):
        for head in range(q.shape[1]):
            keys = k[exam, head].t().contiguous()  # (d, T)
            values = v[exam, head].contiguous()  # (T, d)
            for first in range(0, q.shape[2], QUERIES):
                block = slice(first, first + QUERIES)
                weights = (scaled[exam, head, block] @ keys).softmax(dim=-1)
                out[exam, head, block] = weights @ values
    return out


def normed(norm: nn.Module, x: Tensor) -> Tensor:
    """Run a layer norm in float32."""
    return cast(Tensor, norm(x.float()))


class SoftMixture(nn.Module):
    """Soft-MoE: a slot reads a weighted mean of all tokens, a token one of all slots."""

    def __init__(self, width: int, experts: int, slots: int) -> None:
        super().__init__()
        self.phi = nn.Parameter(torch.empty(width, experts, slots))
        self.weight = nn.Parameter(torch.empty(experts, width, width))
        self.bias = nn.Parameter(torch.empty(experts, width))

    def forward(self, x: Tensor, readers: int | None = None) -> Tensor:
        """(B, N, A) to (B, N, A); with ``readers``, the answers of the first so many tokens."""
        x = x.to(self.phi.dtype)
        logits = torch.einsum("bna,aes->bnes", x, self.phi).float()  # (B, N, E, S)
        dispatch = logits.softmax(dim=1).to(x.dtype)  # over the tokens
        reading = logits[:, :readers]
        combine = reading.flatten(2).softmax(dim=-1).view_as(reading).to(x.dtype)  # over all slots
        slots = torch.einsum("bnes,bna->besa", dispatch, x)  # (B, E, S, A)
        answers = torch.einsum("besa,eac->besc", slots, self.weight) + self.bias[:, None]
        return torch.einsum("bnes,besa->bna", combine, answers)  # (B, N or readers, A)


class Adapter(nn.Module):
    """A narrow side path beside the feed-forward part; in soft layers with a mixture inside."""

    def __init__(self, config: ModelConfig, mixture: nn.Module) -> None:
        super().__init__()
        self.reduce = nn.Linear(config.width, config.adapter)
        self.mixture = mixture
        self.restore = nn.Linear(config.adapter, config.width)
        self.norm = nn.LayerNorm(config.width)

    def narrow(self, x: Tensor) -> Tensor:
        """(B, T, D) to (B, T, A)."""
        return linear(self.reduce, x, "gelu")

    def widen(self, narrow: Tensor) -> Tensor:
        """(B, T, A) to float32 (B, T, D)."""
        return normed(self.norm, linear(self.restore, narrow))


class Expert(nn.Module):
    """The weights that one layer keeps for one modality: attention and feed-forward, sub-LN."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        width = config.width
        self.heads = config.heads
        self.norm_attention = nn.LayerNorm(width)
        self.query = nn.Linear(width, width)
        self.key = nn.Linear(width, width)
        self.value = nn.Linear(width, width)
        self.norm_attended = nn.LayerNorm(width)
        self.output = nn.Linear(width, width)
        self.norm_feed = nn.LayerNorm(width)
        self.expand = nn.Linear(width, config.ffn)
        self.norm_hidden = nn.LayerNorm(config.ffn)
        self.contract = nn.Linear(config.ffn, width)

    def project(self, x: Tensor) -> Projected:
        """(B, T, D) to queries, keys and values, each (B, H, T, d)."""
        prepared = normed(self.norm_attention, x)
        q, k, v = (
            linear(layer, prepared)
            .view(*x.shape[:2], self.heads, -1)
            .transpose(1, 2)  # (B, H, T, d)
            for layer in (self.query, self.key, self.value)
        )
        return q, k, v

    def merge(self, x: Tensor, attended: Tensor) -> Tensor:
        """Add to x (B, T, D) what its queries found, (B, T, D)."""
        return x + linear(self.output, normed(self.norm_attended, attended))

    def feed(self, prepared: Tensor) -> Tensor:
        """(B, T, D) to (B, T, D); GELU in float32 at any precision, as the authors do."""
        hidden = linear(self.expand, prepared, "gelu")  # (B, T, ffn)
        return linear(self.contract, normed(self.norm_hidden, hidden))  # (B, T, D)


def _experts(config: ModelConfig) -> nn.ModuleDict:
    return nn.ModuleDict({modality.value: Expert(config) for modality in Modality})


def _joined(attended: Tensor) -> Tensor:
    """(B, H, T, d) to (B, T, D)."""
    return attended.transpose(1, 2).flatten(2)


class SparseLayer(nn.Module):
    """A layer in which a token sees its own modality only, so it takes one modality at a time."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.experts = _experts(config)
        self.adapters = nn.ModuleDict({m.value: Adapter(config, nn.Identity()) for m in Modality})

    def forward(self, modality: Modality, x: Tensor) -> Tensor:
        """(B, T, D) to (B, T, D)."""
        expert = cast(Expert, self.experts[modality])
        adapter = cast(Adapter, self.adapters[modality])
        attended = _joined(attend(*expert.project(x)))  # (B, T, D)

        def rest(x: Tensor, attended: Tensor) -> Tensor:
            h = expert.merge(x, attended)
            prepared = normed(expert.norm_feed, h)
            return h + expert.feed(prepared) + adapter.widen(adapter.narrow(prepared))

        return by_blocks(rest, x, attended)


class SoftLayer(nn.Module):
    """A layer in which every token sees all tokens, and one adapter serves all."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.experts = _experts(config)
        self.adapter = Adapter(config, SoftMixture(config.adapter, config.experts, config.slots))

    def expert(self, modality: Modality) -> Expert:
        """The weights of one modality."""
        return cast(Expert, self.experts[modality])

    def project(self, modality: Modality, x: Tensor) -> Projected:
        """Queries, keys and values of one modality, which no other has a part in."""
        return self.expert(modality).project(x)

    def forward(
        self,
        streams: Mapping[Modality, Tensor],
        projected: Mapping[Modality, Projected] | None = None,
    ) -> Streams:
        """(B, T, D) to (B, T, D) for each modality that is there.

        ``projected`` is what ``project`` gave for each, where it is known.
        """
        h, prepared, narrow = self._attend(streams, projected)
        mixed = torch.split(self.adapter.mixture(narrow), [x.shape[1] for x in h.values()], dim=1)

        def rest(expert: Expert, h: Tensor, prepared: Tensor, mixed: Tensor) -> Tensor:
            return h + expert.feed(prepared) + self.adapter.widen(mixed)

        return {
            m: by_blocks(partial(rest, self.expert(m)), h[m], prepared[m], part)
            for m, part in zip(h, mixed, strict=True)
        }

    def settle(
        self,
        streams: Mapping[Modality, Tensor],
        projected: Mapping[Modality, Projected] | None = None,
    ) -> Tensor:
        """The class token alone after this layer, (B, D): all that the last layer is asked for."""
        h, prepared, narrow = self._attend(streams, projected)
        first = prepared[Modality.DCE][:, :1]
        mixed = self.adapter.mixture(narrow, readers=1)  # (B, 1, A)
        fed = self.expert(Modality.DCE).feed(first)
        return (h[Modality.DCE][:, :1] + fed + self.adapter.widen(mixed))[:, 0]

    def _attend(
        self,
        streams: Mapping[Modality, Tensor],
        projected: Mapping[Modality, Projected] | None,
    ) -> tuple[Streams, Streams, Tensor]:
        """Tokens after attention, the same normed, and what the mixture reads of all (B, N, A)."""
        present = [m for m in Modality if m in streams]
        known = projected or {m: self.project(m, streams[m]) for m in present}
        q, k, v = (
            torch.cat(part, dim=2) for part in zip(*(known[m] for m in present), strict=True)
        )
        attended = _joined(attend(q, k, v))  # (B, N, D)
        shares = torch.split(attended, [streams[m].shape[1] for m in present], dim=1)
        h = {
            m: by_blocks(self.expert(m).merge, streams[m], share)
            for m, share in zip(present, shares, strict=True)
        }
        prepared = {m: normed(self.expert(m).norm_feed, x) for m, x in h.items()}
        narrow = [by_blocks(self.adapter.narrow, x) for x in prepared.values()]
        return h, prepared, torch.cat(narrow, dim=1)
