"""MOME: a mixture of modality experts over multiparametric breast MRI.

Luo et al., "A large model for non-invasive and personalized management of breast cancer from
multiparametric MRI", Nature Communications 2025 (arXiv 2408.12606). It joins the multiway
transformer with sub-LayerNorm of BEiT-3 (2208.10442) and Soft-MoE (2308.00951).

Shape comments: B exams, C channels, T tokens of one modality, N tokens of all modalities that are
there, D width, H heads, d = D / H, A adapter width, E experts, S slots.

An exam goes ``tokenize`` -> ``place`` -> sparse layers (each modality by itself: ``stream``,
computed once for all subsets of the modalities) -> soft layers (all together) -> ``classify``.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import cast

import torch
from torch import Tensor, nn

from mome_node.errors import ModelInputError
from mome_node.mome.config import InputSize, ModelConfig
from mome_node.mome.layers import Projected, SoftLayer, SoftMixture, SparseLayer, Streams
from mome_node.mome.tokenizer import Tokenizer
from mome_node.volumes.volume import Modality


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
        self._unenhanced: Tensor | None = None
        if not self.class_token.is_meta:  # weights that are about to be loaded need no start values
            self.apply(_initialise)

    def forward(self, inputs: Mapping[Modality, Tensor]) -> Tensor:
        """Volumes (B, C, x, y, z) float32 of at least one modality to logits (B, classes).

        Raises ModelInputError for no modality, or one that has not the configured size.
        """
        return self.decide(self.streams(inputs))

    def streams(self, inputs: Mapping[Modality, Tensor]) -> Streams:
        """Run each modality through its own layers. Without DCE, the class token goes alone."""
        self.check(inputs)
        streams = {m: self.stream(m, inputs[m]) for m in Modality if m in inputs}
        if Modality.DCE not in streams:
            streams[Modality.DCE] = self.class_stream(_batch_size(inputs))
        return streams

    def stream(self, modality: Modality, volume: Tensor) -> Tensor:
        """One modality's volume (B, C, x, y, z) to its tokens after the sparse layers (B, T, D)."""
        tokens, _ = self.tokenize(modality, volume)
        return self.specialise(modality, self.place(modality, tokens))

    def class_stream(self, batch: int) -> Tensor:
        """Make the DCE stream of exams without DCE: the class token alone, (B, 1, D)."""
        alone = self.class_token + self.positions[Modality.DCE][1:2]  # (1, 1, D)
        return self.specialise(Modality.DCE, alone).expand(batch, -1, -1)  # (B, 1, D)

    def check(self, inputs: Mapping[Modality, Tensor]) -> None:
        """Raise ModelInputError for no modality, or one that has not the configured size."""
        _batch_size(inputs)
        for modality, volume in inputs.items():
            _check_size(modality, volume, self.config.input_of(modality))

    def tokenize(self, modality: Modality, volume: Tensor) -> tuple[Tensor, Tensor]:
        """(B, C, x, y, z) to tokens without positions (B, T, D), and the cells they come from."""
        return cast(tuple[Tensor, Tensor], self.tokenizers[modality](volume))

    def place(self, modality: Modality, tokens: Tensor) -> Tensor:
        """Add positions to tokens (B, T, D); DCE's get the class token before them."""
        table = self.positions[modality]
        if modality is Modality.DCE:
            first = self.class_token.expand(len(tokens), -1, -1)  # (B, 1, D)
            tokens = torch.cat((first, tokens), dim=1)  # (B, 1 + T, D)
            table = table[1:]  # the authors' DCE table is read from row 1; row 0 is never used
        return cast(Tensor, tokens + table)

    def unenhanced_stream(self) -> Tensor:
        """The DCE stream (1, 1 + T, D) of an exam in which nothing enhances.

        The same for every exam, so it is computed once; the weights must not change any more.
        """
        if self._unenhanced is None:
            tokens = self.class_token.new_zeros(1, self.config.dce.tokens, self.config.width)
            with torch.no_grad():
                self._unenhanced = self.specialise(Modality.DCE, self.place(Modality.DCE, tokens))
        return self._unenhanced

    def specialise(self, modality: Modality, x: Tensor) -> Tensor:
        """Run one modality's tokens (B, T, D) through the sparse layers."""
        for layer in self.sparse:
            x = layer(modality, x)
        return x

    def classify(self, class_token: Tensor) -> Tensor:
        """The class token (B, D) after the last layer to logits (B, classes)."""
        return cast(Tensor, self.head(self.head_norm(class_token)))

    def project(self, modality: Modality, stream: Tensor) -> Projected:
        """What ``decide`` asks of one stream first, whichever others are there."""
        return cast(SoftLayer, self.soft[0]).project(modality, stream)

    def decide(
        self,
        streams: Mapping[Modality, Tensor],
        projected: Mapping[Modality, Projected] | None = None,
    ) -> Tensor:
        """Logits (B, classes) from some ``streams``; without DCE, ``class_stream`` in its place.

        ``projected`` is what ``project`` gave for each of them, where it is known.
        """
        *layers, last = (cast(SoftLayer, layer) for layer in self.soft)
        for layer in layers:
            streams, projected = layer(streams, projected), None
        return self.classify(last.settle(streams, projected))

    def encode(self, inputs: Mapping[Modality, Tensor]) -> tuple[Tensor, Streams]:
        """Class token (B, D) and each given modality's own tokens (B, T, D), after all layers.

        For losses beside the class: ``head(head_norm(class token))`` gives the logits.
        """
        joint = self.streams(inputs)
        for layer in self.soft:
            joint = layer(joint)
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
