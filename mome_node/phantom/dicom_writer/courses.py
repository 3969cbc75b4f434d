"""What happens to a dynamic in the scanner room, before any file is written."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from enum import StrEnum

import numpy as np

from mome_node.dicom.geometry import Grid
from mome_node.phantom.dicom_writer.series import ImageStack
from mome_node.phantom.exam import PhantomExam
from mome_node.volumes.volume import Volume

START_S = 840.0
"""When the dynamic begins, in seconds after the study began."""

AGAIN_AFTER_S = 900.0
"""A dynamic is begun again so long after its first beginning."""

ULTRAFAST_STEP_S = 2.5
ULTRAFAST_FROM_S = 62.0
"""An ultrafast run begins so long after the pre-contrast phase, which takes 60 s."""


class Course(StrEnum):
    """How the exam went."""

    USUAL = "usual"
    ABBREVIATED = "abbreviated"  # pre-contrast and two posts
    WITHOUT_PRE = "without-pre"  # the pre-contrast phase never came
    ULTRAFAST_INSIDE = "ultrafast-inside"  # of the same sequence and matrix, before the first post
    ULTRAFAST_COARSE = "ultrafast-coarse"  # the same with half the matrix
    REPEATED = "repeated"  # the whole dynamic twice, after motion
    INTERRUPTED = "interrupted"  # broken off in the third phase, then taken whole
    PRE_REPEATED = "pre-repeated"  # the pre-contrast phase twice
    UNEQUAL = "unequal"  # the last phase lacks slices
    DOUBLED = "doubled"  # the first post was archived twice
    SAGITTAL_PAIR = "sagittal-pair"  # right and left breast by turns


@dataclass(frozen=True, slots=True, eq=False)
class Run:
    """Phases that one start of the protocol took; only those from ``first`` to ``last`` arrive."""

    stacks: tuple[ImageStack, ...]
    first: int = 0
    last: int | None = None

    @property
    def is_whole(self) -> bool:
        """Whether all phases arrive."""
        return self.first == 0 and self.last is None


def runs_of(exam: PhantomExam, course: Course) -> tuple[Run, ...]:
    """The runs of the dynamic in the order in which they were begun."""
    return tuple(_runs(exam, course))


def _runs(exam: PhantomExam, course: Course) -> Iterator[Run]:
    phases = _phases(exam)
    if course is Course.ABBREVIATED:
        yield Run(phases[:3])
    elif course is Course.WITHOUT_PRE:
        yield Run(phases, first=1)
    elif course is Course.REPEATED:
        yield Run(phases)
        yield Run(_later(phases))
    elif course is Course.INTERRUPTED:
        yield Run((*phases[:2], _broken_off(phases[2])))
        yield Run(_later(phases))
    elif course is Course.PRE_REPEATED:
        yield Run((replace(phases[0], start_s=START_S - 120.0, acquisition=1),))
        yield Run(phases)
    elif course is Course.UNEQUAL:
        yield Run((*phases[:-1], _broken_off(phases[-1])))
    elif course is Course.DOUBLED:
        yield Run(phases)
        yield Run(phases, first=1, last=2)
    elif course is Course.SAGITTAL_PAIR:
        yield from _sides(phases)
    elif course in (Course.ULTRAFAST_INSIDE, Course.ULTRAFAST_COARSE):
        yield Run(phases)
        yield Run(_ultrafast(phases, coarse=course is Course.ULTRAFAST_COARSE))
    else:
        yield Run(phases)


def _phases(exam: PhantomExam) -> tuple[ImageStack, ...]:
    return tuple(
        ImageStack(v, start_s=START_S + t, offset_s=t, acquisition=n + 1, contrast=n > 0)
        for n, (v, t) in enumerate(zip(exam.dce, exam.phase_times_s, strict=True))
    )


def _later(phases: tuple[ImageStack, ...]) -> tuple[ImageStack, ...]:
    return tuple(replace(p, start_s=p.start_s + AGAIN_AFTER_S) for p in phases)


def _broken_off(stack: ImageStack) -> ImageStack:
    return replace(stack, kept=stack.slices - 2)


def _ultrafast(phases: tuple[ImageStack, ...], *, coarse: bool) -> tuple[ImageStack, ...]:
    """Fast volumes from the injection to the first post, which shows the contrast coming."""
    pre, post = phases[:2]
    seconds = np.arange(ULTRAFAST_FROM_S, post.offset_s - 1.0, ULTRAFAST_STEP_S)
    image = _coarse(pre.volume) if coarse else pre.volume
    return tuple(
        ImageStack(image, START_S + t, offset_s=t - seconds[0], acquisition=n + 1, contrast=True)
        for n, t in enumerate(float(s) for s in seconds)
    )


def _coarse(volume: Volume) -> Volume:
    affine = volume.grid.affine @ np.diag([2.0, 2.0, 1.0, 1.0])
    array = np.ascontiguousarray(volume.array[::2, ::2])
    return Volume(array, Grid((array.shape[0], array.shape[1], array.shape[2]), affine))


def _sides(phases: tuple[ImageStack, ...]) -> Iterator[Run]:
    """Right and left breast by turns, each with all phases, in sagittal slices."""
    for number, side in enumerate("RL"):
        yield Run(
            tuple(
                replace(
                    p,
                    volume=_sagittal(p.volume, right=side == "R"),
                    start_s=p.start_s + 30.0 * number,
                    laterality=side,
                )
                for p in phases
            )
        )


def _sagittal(volume: Volume, *, right: bool) -> Volume:
    """One half in sagittal slices, from left to right; rows follow each other to the feet."""
    columns, rows, slices = volume.grid.shape
    half = columns // 2
    part = volume.array[:half] if right else volume.array[half:]
    array = np.ascontiguousarray(part.transpose(1, 2, 0)[:, ::-1, ::-1])
    x, y, z = volume.grid.affine[:3, :3].T
    first = (half - 1 if right else columns - 1, 0, slices - 1)
    affine = np.eye(4)
    affine[:3, :3] = np.stack([y, -z, -x], axis=1)
    affine[:3, 3] = volume.grid.to_patient(tuple(float(v) for v in first))
    return Volume(array, Grid((rows, slices, len(part)), affine))
