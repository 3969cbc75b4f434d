"""The series of a study before they become files: which volumes, in which order, when acquired."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum

import numpy as np
from numpy.typing import NDArray

from mome_node.volumes.volume import Volume


class Kind(StrEnum):
    """What a series of the phantom study is."""

    LOCALIZER = "localizer"
    T2 = "t2"
    DWI = "dwi"
    ADC = "adc"
    DCE = "dce"
    SUBTRACTION = "subtraction"


class Mark(StrEnum):
    """What tells the phases of one series apart beside their clock."""

    POSITION = "TemporalPositionIdentifier"
    TRIGGER = "TriggerTime"


@dataclass(frozen=True, slots=True, eq=False)
class ImageStack:
    """One volume of a series.

    ``start_s`` is when its acquisition began, in seconds after the study began; ``offset_s`` the
    same in seconds after the first phase of the dynamic. ``minus`` is subtracted plane by plane.
    ``acquisition`` is its AcquisitionNumber where the vendor counts acquisitions. ``clock_s`` is
    what AcquisitionTime says where it is not ``start_s``. Of an interrupted one only the first
    ``kept`` planes were acquired. ``position`` is its temporal position and how many there are,
    where that is not its place in the series.
    """

    volume: Volume
    start_s: float
    offset_s: float = 0.0
    acquisition: int = 1
    b_value: float | None = None
    contrast: bool = False
    minus: Volume | None = None
    clock_s: float | None = None
    kept: int | None = None
    laterality: str = ""
    position: tuple[int, int] | None = None

    @property
    def slices(self) -> int:
        """Number of image planes."""
        return self.volume.grid.shape[2] if self.kept is None else self.kept

    def plane(self, index: int) -> NDArray[np.float32]:
        """Image plane ``index`` as (rows, columns)."""
        plane = self.volume.array[:, :, index]
        if self.minus is not None:
            plane = plane - self.minus.array[:, :, index]
        return plane.T


@dataclass(frozen=True, slots=True, eq=False)
class Series:
    """One series: its volumes and how they are numbered.

    ``interleaved``: images are numbered by time (or b-value) first, then by slice.
    ``object_per_stack``: as enhanced MR, each volume is an object of its own.
    ``sequence_name`` stands for that of the technique, where a map names its sources.
    ``marks`` stand for the vendor's usual way to tell the phases of a series apart.
    ``sources`` are (series number, instance number) of the enhanced objects it was derived from.
    """

    number: int
    kind: Kind
    description: str
    protocol: str
    stacks: tuple[ImageStack, ...]
    interleaved: bool = False
    object_per_stack: bool = False
    sequence_name: str = ""
    sources: tuple[tuple[int, int], ...] = ()
    marks: frozenset[Mark] | None = None

    @property
    def images(self) -> int:
        """Number of image planes of all volumes."""
        return sum(stack.slices for stack in self.stacks)

    def instance_number(self, stack: int, plane: int) -> int:
        """InstanceNumber of one plane of the single-frame form, counted from 1."""
        if self.interleaved:
            return plane * len(self.stacks) + stack + 1
        return sum(s.slices for s in self.stacks[:stack]) + plane + 1

    def planes(self) -> Iterator[tuple[int, int]]:
        """(stack, plane) in the order of their instance numbers."""
        every = [(s, p) for s, stack in enumerate(self.stacks) for p in range(stack.slices)]
        return iter(sorted(every, key=lambda at: self.instance_number(*at)))
