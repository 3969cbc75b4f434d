"""The sizes of a MOME network, as data.

Nothing else in this package knows a width, a number of layers or an input size.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from mome_node.errors import ModelError
from mome_node.volumes.volume import Modality

PATCH = 16
"""Voxels along each axis that become one token: four steps of stride 2."""


@dataclass(frozen=True, slots=True)
class InputSize:
    """What one modality's volume must look like: ``channels`` and ``size`` (x, y, z) in voxels."""

    channels: int
    size: tuple[int, int, int]

    def __post_init__(self) -> None:
        if self.channels < 1:
            raise ModelError(f"{self.channels} channels: at least 1 is needed")
        if len(self.size) != 3 or any(n < PATCH or n % PATCH for n in self.size):
            raise ModelError(
                f"input size {self} is not three positive multiples of {PATCH} (x, y, z)"
            )

    @property
    def shape(self) -> tuple[int, int, int, int]:
        """(channels, x, y, z)."""
        return (self.channels, *self.size)

    @property
    def tokens(self) -> int:
        """How many tokens the tokenizer makes of the volume."""
        x, y, z = (n // PATCH for n in self.size)
        return x * y * z

    def __str__(self) -> str:
        return "x".join(str(n) for n in self.size)


@dataclass(frozen=True, slots=True)
class ModelConfig:
    """Everything that fixes the network's weights' shapes, and the number of heads.

    ``width`` is D of the tokens, ``ffn`` the hidden width of the feed-forward part, ``adapter``
    that of the adapters. The first ``sparse_layers`` of ``layers`` keep the modalities apart, the
    others are soft, with ``experts`` of ``slots`` each. ``stem`` is the channels after the
    tokenizer's first two convolutions. The defaults are the authors' base variant.
    """

    width: int = 768
    heads: int = 12
    ffn: int = 3072
    layers: int = 12
    sparse_layers: int = 9
    adapter: int = 192
    experts: int = 128
    slots: int = 1
    stem: tuple[int, int] = (64, 128)
    classes: int = 2
    dce: InputSize = InputSize(6, (384, 256, 128))
    dwi: InputSize = InputSize(1, (256, 128, 32))
    t2: InputSize = InputSize(1, (384, 256, 48))

    def __post_init__(self) -> None:
        for name in ("width", "heads", "ffn", "adapter", "experts", "slots"):
            if getattr(self, name) < 1:
                raise ModelError(f"{name} = {getattr(self, name)}: it must be at least 1")
        if len(self.stem) != 2 or min(self.stem) < 1:
            raise ModelError(f"stem = {self.stem}: two positive channel counts are needed")
        if self.width % self.heads:
            raise ModelError(f"{self.heads} heads do not divide a width of {self.width}")
        if not 0 <= self.sparse_layers < self.layers:
            raise ModelError(
                f"{self.sparse_layers} sparse of {self.layers} layers: "
                "at least one layer must be soft, or the modalities never meet"
            )
        if self.classes < 2:
            raise ModelError(f"{self.classes} classes: at least 2 are needed")

    def input_of(self, modality: Modality) -> InputSize:
        """Return the input size of one modality."""
        match modality:
            case Modality.DCE:
                return self.dce
            case Modality.DWI:
                return self.dwi
            case Modality.T2:
                return self.t2


BASE = ModelConfig()
"""The variant that the authors' training script uses; 290.75 M parameters."""

LARGE = replace(BASE, width=1024, heads=16, ffn=4096, layers=24, adapter=256)
"""The authors' larger variant: layers 0-8 sparse, 9-23 soft."""

TINY = ModelConfig(
    width=64,
    heads=4,
    ffn=256,
    adapter=16,
    dce=InputSize(6, (96, 64, 16)),
    dwi=InputSize(1, (48, 32, 16)),
    t2=InputSize(1, (96, 64, 16)),
)
"""A variant of the same architecture that trains on a laptop."""
