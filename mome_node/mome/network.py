"""MOME: a mixture of modality experts over multiparametric breast MRI.

Luo et al., "A large model for non-invasive and personalized management of breast cancer from
multiparametric MRI", Nature Communications 2025 (arXiv 2408.12606). It joins the multiway
transformer with sub-LayerNorm of BEiT-3 (2208.10442) and Soft-MoE (2308.00951).

Shape comments: B exams, C channels, T tokens of one modality, N tokens of all modalities that are
there, D width, H heads, d = D / H, A adapter width, E experts, S slots.

An exam goes ``embed`` -> sparse layers (each modality by itself: ``stream``, computed once for all
subsets of the modalities) -> soft layers (all together) -> ``classify``.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mome_node.errors import ModelInputError
from mome_node.mome.config import InputSize, ModelConfig
from mome_node.volumes.volume import Modality

Streams = dict[Modality, Tensor]
"""Tokens (B, T, D) of each modality. DCE is always there: its first token is the class token."""


class Tokenizer(nn.Module):
    """One token for each 16 x 16 x 16 voxels, from three strided convolutions and a pooling."""

    def __init__(self, config: ModelConfig, channels: int) -> None:
        super().__init__()
        first, second = config.stem
        self.stem = nn.Sequential(
            nn.Conv3d(channels, first, 3, stride=2, padding=1, bias=False),
            nn.InstanceNorm3d(first),
            nn.ReLU(inplace=True),
            nn.Conv3d(first, second, 3, stride=2, padding=1, bias=False),
            nn.InstanceNorm3d(second),
            nn.ReLU(inplace=True),
            nn.Conv3d(second, config.width, 3, stride=2, padding=1, bias=False),
            nn.InstanceNorm3d(config.width),
            nn.ReLU(inplace=True),
            nn.MaxPool3d(3, stride=2, padding=1),
        )

    def forward(self, volume: Tensor) -> Tensor:
        """(B, C, x, y, z) to (B, T, D), z fastest."""
        patches: Tensor = self.stem(volume)  # (B, D, x/16, y/16, z/16)
        return patches.flatten(2).transpose(1, 2)  # (B, T, D)


class SoftMixture(nn.Module):
    """Soft-MoE: a slot reads a weighted mean of all tokens, a token one of all slots."""

    def __init__(self, width: int, experts: int, slots: int) -> None:
        super().__init__()
        self.phi = nn.Parameter(torch.empty(width, experts, slots))
        self.weight = nn.Parameter(torch.empty(experts, width, width))
        self.bias = nn.Parameter(torch.empty(experts, width))

    def forward(self, x: Tensor) -> Tensor:
        """(B, N, A) to (B, N, A)."""
        logits = torch.einsum("bna,aes->bnes", x, self.phi)  # (B, N, E, S)
        dispatch = logits.softmax(dim=1)  # over the tokens
        combine = logits.flatten(2).softmax(dim=-1).view_as(logits)  # over all slots
        slots = torch.einsum("bnes,bna->besa", dispatch, x)  # (B, E, S, A)
        answers = torch.einsum("besa,eac->besc", slots, self.weight) + self.bias[:, None]
        return torch.einsum("bnes,besa->bna", combine, answers)  # (B, N, A)


class Adapter(nn.Module):
    """A narrow side path beside the feed-forward part; in soft layers with a mixture inside."""

    def __init__(self, config: ModelConfig, mixture: nn.Module) -> None:
        super().__init__()
        self.reduce = nn.Linear(config.width, config.adapter)
        self.mixture = mixture
        self.restore = nn.Linear(config.adapter, config.width)
        self.norm = nn.LayerNorm(config.width)

    def forward(self, x: Tensor) -> Tensor:
        """(B, N, D) to (B, N, D)."""
        narrow = self.mixture(F.gelu(self.reduce(x)))  # (B, N, A)
        return cast(Tensor, self.norm(self.restore(narrow)))  # (B, N, D)


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

    def project(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """(B, T, D) to queries, keys and values, each (B, H, T, d)."""
        normed = self.norm_attention(x)
        q, k, v = (
            linear(normed).unflatten(-1, (self.heads, -1)).transpose(1, 2)  # (B, H, T, d)
            for linear in (self.query, self.key, self.value)
        )
        return q, k, v

    def merge(self, x: Tensor, attended: Tensor) -> Tensor:
        """Add to x (B, T, D) what its queries found, (B, H, T, d)."""
        joined = attended.transpose(1, 2).flatten(2)  # (B, T, D)
        return cast(Tensor, x + self.output(self.norm_attended(joined)))

    def feed(self, normed: Tensor) -> Tensor:
        """(B, T, D) to (B, T, D); GELU in float32 at any precision, as the authors do."""
        hidden = F.gelu(self.expand(normed).float()).to(normed.dtype)  # (B, T, ffn)
        return cast(Tensor, self.contract(self.norm_hidden(hidden)))  # (B, T, D)


def _experts(config: ModelConfig) -> nn.ModuleDict:
    return nn.ModuleDict({modality.value: Expert(config) for modality in Modality})


class SparseLayer(nn.Module):
    """A layer in which a token sees its own modality only, so it takes one modality at a time."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.experts = _experts(config)
        self.adapters = nn.ModuleDict({m.value: Adapter(config, nn.Identity()) for m in Modality})

    def forward(self, modality: Modality, x: Tensor) -> Tensor:
        """(B, T, D) to (B, T, D)."""
        expert = cast(Expert, self.experts[modality])
        h = expert.merge(x, F.scaled_dot_product_attention(*expert.project(x)))
        normed = expert.norm_feed(h)
        return cast(Tensor, h + expert.feed(normed) + self.adapters[modality](normed))


class SoftLayer(nn.Module):
    """A layer in which every token sees all tokens, and one adapter serves all."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.experts = _experts(config)
        self.adapter = Adapter(config, SoftMixture(config.adapter, config.experts, config.slots))

    def forward(self, streams: Mapping[Modality, Tensor]) -> Streams:
        """(B, T, D) to (B, T, D) for each modality that is there."""
        experts = {m: cast(Expert, self.experts[m]) for m in Modality if m in streams}
        lengths = [streams[m].shape[1] for m in experts]
        projected = [expert.project(streams[m]) for m, expert in experts.items()]
        q, k, v = (torch.cat(part, dim=2) for part in zip(*projected, strict=True))  # (B, H, N, d)
        attended = F.scaled_dot_product_attention(q, k, v)  # (B, H, N, d)
        shares = zip(experts, torch.split(attended, lengths, dim=2), strict=True)  # (B, H, T, d)
        h = {m: experts[m].merge(streams[m], share) for m, share in shares}
        normed = {m: expert.norm_feed(h[m]) for m, expert in experts.items()}
        adapted = self.adapter(torch.cat(list(normed.values()), dim=1))  # (B, N, D)
        parts = zip(experts, torch.split(adapted, lengths, dim=1), strict=True)  # (B, T, D)
        return {m: h[m] + experts[m].feed(normed[m]) + part for m, part in parts}


class Mome(nn.Module):
    """The network. ``forward`` takes any non-empty subset of the modalities."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.config = config
        width, soft_layers = config.width, config.layers - config.sparse_layers
        self.tokenizers = nn.ModuleDict(
            {m.value: Tokenizer(config, config.input_of(m).channels) for m in Modality}
        )
        self.class_token = nn.Parameter(torch.empty(1, 1, width))
        self.positions = nn.ParameterDict(
            {m.value: torch.empty(position_rows(config, m), width) for m in Modality}
        )
        self.sparse = nn.ModuleList(SparseLayer(config) for _ in range(config.sparse_layers))
        self.soft = nn.ModuleList(SoftLayer(config) for _ in range(soft_layers))
        self.head_norm = nn.LayerNorm(width)
        self.head = nn.Linear(width, config.classes)
        if not self.class_token.is_meta:  # weights that are about to be loaded need no start values
            self.apply(_initialise)

    def forward(self, inputs: Mapping[Modality, Tensor]) -> Tensor:
        """Volumes (B, C, x, y, z) float32 of at least one modality to logits (B, classes).

        Raises ModelInputError for no modality, or one that has not the configured size.
        """
        return self.decide(self.streams(inputs))

    def streams(self, inputs: Mapping[Modality, Tensor]) -> Streams:
        """Run each modality through its own layers. Without DCE, the class token goes alone."""
        batch = _batch_size(inputs)
        streams = {m: self.stream(m, inputs[m]) for m in Modality if m in inputs}
        if Modality.DCE not in streams:
            streams[Modality.DCE] = self.class_stream(batch)
        return streams

    def stream(self, modality: Modality, volume: Tensor) -> Tensor:
        """One modality's volume (B, C, x, y, z) to its tokens after the sparse layers (B, T, D)."""
        return self.specialise(modality, self.embed(modality, volume))

    def class_stream(self, batch: int) -> Tensor:
        """Make the DCE stream of exams without DCE: the class token alone, (B, 1, D)."""
        alone = self.class_token + self.positions[Modality.DCE][1:2]  # (1, 1, D)
        return self.specialise(Modality.DCE, alone).expand(batch, -1, -1)  # (B, 1, D)

    def embed(self, modality: Modality, volume: Tensor) -> Tensor:
        """(B, C, x, y, z) to tokens with positions (B, T, D); DCE starts with the class token."""
        _check_size(modality, volume, self.config.input_of(modality))
        tokens = self.tokenizers[modality](volume)  # (B, T, D)
        table = self.positions[modality]
        if modality is Modality.DCE:
            first = self.class_token.expand(len(tokens), -1, -1)  # (B, 1, D)
            tokens = torch.cat((first, tokens), dim=1)  # (B, 1 + T, D)
            table = table[1:]  # the authors' DCE table is read from row 1; row 0 is never used
        return cast(Tensor, tokens + table)

    def specialise(self, modality: Modality, x: Tensor) -> Tensor:
        """Run one modality's tokens (B, T, D) through the sparse layers."""
        for layer in self.sparse:
            x = layer(modality, x)
        return x

    def join(self, streams: Mapping[Modality, Tensor]) -> Streams:
        """Run the tokens of all modalities that are there through the soft layers."""
        for layer in self.soft:
            streams = layer(streams)
        return dict(streams)

    def classify(self, joint: Mapping[Modality, Tensor]) -> Tensor:
        """Tokens after the last layer to logits (B, classes), read off the class token."""
        class_token = joint[Modality.DCE][:, 0]  # (B, D)
        return cast(Tensor, self.head(self.head_norm(class_token)))  # (B, classes)

    def decide(self, streams: Mapping[Modality, Tensor]) -> Tensor:
        """Logits (B, classes) from some ``streams``; without DCE, ``class_stream`` in its place."""
        return self.classify(self.join(streams))

    def encode(self, inputs: Mapping[Modality, Tensor]) -> tuple[Tensor, Streams]:
        """Class token (B, D) and each given modality's own tokens (B, T, D), after all layers.

        For losses beside the class: ``head(head_norm(class token))`` gives the logits.
        """
        joint = self.join(self.streams(inputs))
        tokens = {m: x[:, 1:] if m is Modality.DCE else x for m, x in joint.items() if m in inputs}
        return joint[Modality.DCE][:, 0], tokens


def position_rows(config: ModelConfig, modality: Modality) -> int:
    """Rows of a modality's position table; DCE's has one for the class token and an unused one."""
    tokens = config.input_of(modality).tokens
    return tokens + 2 if modality is Modality.DCE else tokens


def _initialise(module: nn.Module) -> None:
    """Start values for training from scratch; LayerNorm keeps its ones and zeros."""
    match module:
        case nn.Linear():
            nn.init.trunc_normal_(module.weight, std=0.02)
            nn.init.zeros_(module.bias)
        case nn.Conv3d():
            nn.init.kaiming_normal_(module.weight, nonlinearity="relu")
        case SoftMixture():
            width = module.phi.shape[0]
            nn.init.normal_(module.phi, std=width**-0.5)
            nn.init.trunc_normal_(module.weight, std=width**-0.5)
            nn.init.zeros_(module.bias)
        case Mome():
            for table in (module.class_token, *module.positions.values()):
                nn.init.trunc_normal_(table, std=0.02)


def _batch_size(inputs: Mapping[Modality, Tensor]) -> int:
    sizes = {len(volume) for volume in inputs.values()}
    if not sizes:
        raise ModelInputError("no modality was given; at least one of dce, dwi, t2 is needed")
    if len(sizes) > 1:
        raise ModelInputError(f"the modalities hold different numbers of exams: {sorted(sizes)}")
    return sizes.pop()


def _check_size(modality: Modality, volume: Tensor, wanted: InputSize) -> None:
    if volume.dim() != 5 or tuple(volume.shape[1:]) != wanted.shape:
        raise ModelInputError(
            f"{modality} has the shape {tuple(volume.shape)}; the model takes (exams, "
            f"channels, x, y, z) = (B, {', '.join(str(n) for n in wanted.shape)})"
        )
