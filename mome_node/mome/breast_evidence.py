"""What the images of an exam show of two breasts on a chest: a check of plausibility.

It is no classifier. It looks at the outline of the body on a grid of some millimetres: air in
front, two lobes side by side with a valley between them, a trunk behind. It was tried on phantoms
and on one slice of a real exam. It does not tell breasts from another pair of lobes on a broad
body, nor a chest without breasts from an abdomen, which is why the header has a say where lobes
are not found. Small breasts, breasts that touch in the midline, strong shading by the coil or an
arm in the field make it answer "unclear". The heart's side is only told where it enhances and
lies in the field; it is also right in situs inversus, where nothing is exchanged.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from mome_node.errors import ModelInputError
from mome_node.mome.breast_mask import Anatomy, Side, find_anatomy
from mome_node.volumes.resample import inside, resample
from mome_node.volumes.volume import Volume

LOBE_MM: Final = 15.0
"""A lobe that stands out less before the skin over the sternum is not told from a chest wall."""

HANGING_MM: Final = 40.0
"""Lobes that both stand out so far hang; on a woman's back they lie flat."""

NARROWEST_CHEST_MM: Final = 200.0
"""Heads, knees and arms are narrower; the narrowest chests of women are wider (CT atlases: 230)."""

LIKE_BEHIND: Final = 0.6
"""Lobes that stand out this much behind, as a part of in front, are limbs that touch each other."""

LEAST_CONTRAST: Final = 1.5
"""Mean signal of tissue over that of air; in MR images it is 3 at the least, in noise about 1."""

AIR_IN_FRONT: Final = 0.5
"""Part of the field's front that may be body: breasts hang into air."""

CUT_CM2: Final = 8.0
"""Breast tissue on a border of the field, in front or at one side, from which it is cut."""

CUT_SHARE: Final = 0.35
"""Breast tissue in the lowest slice, as a part of the fullest one's, from which it is cut."""

HEART_ML: Final = 50.0
"""Less enhancing volume behind the sternum is a vessel or noise, not the heart."""

HEART_OFF_MM: Final = 12.0
"""A heart nearer to the midline tells no side."""

HEART_DEPTH_MM: Final = (25.0, 130.0)
"""How far behind the skin over the sternum the heart is looked for."""

Seen = Literal["two breasts", "one breast", "unclear", "nothing like it"]


@dataclass(frozen=True, slots=True)
class BreastEvidence:
    """What is seen, and why if it is not two breasts.

    ``facing`` is -1 where they point to where the header says the back is. ``hanging_mm`` is how
    far the lesser of both stands out. ``cut`` names the borders of the field that cut them: front,
    left, right (of the patient, as the header has it), below. ``heart`` is the side that the heart
    is on, None where that cannot be told.
    """

    seen: Seen
    why: str = ""
    facing: Literal[1, -1] = 1
    hanging_mm: float = 0.0
    cut: tuple[str, ...] = ()
    heart: Side | None = None


def breast_evidence(before: Volume, after: Volume | None = None) -> BreastEvidence:
    """What a bilateral image without contrast shows; ``after`` is the same with contrast.

    Voxels must be finite. Raises ModelInputError where the field is larger than a scanner's.
    """
    if not before.array.max() > before.array.min():
        return BreastEvidence("nothing like it", "the image has no contrast")
    try:
        anatomy = find_anatomy(before)
    except ModelInputError as error:
        if "body" not in str(error):
            raise
        return BreastEvidence("nothing like it", str(error))
    seen, why, hanging = _seen(anatomy, before)
    if seen == "nothing like it":
        return BreastEvidence(seen, why)
    return BreastEvidence(
        seen,
        why,
        anatomy.facing,
        hanging,
        _cut(anatomy, before),
        None if after is None else _heart(anatomy, before, after),
    )


def _seen(anatomy: Anatomy, image: Volume) -> tuple[Seen, str, float]:
    """What is seen, why, and how far the lesser breast stands out."""
    body, grid = anatomy.body, anatomy.grid
    field = inside(image.grid, grid)
    at_front = _bordering(body, field, axis=1, step=-1).sum()
    if at_front > AIR_IN_FRONT * max(1, _bordering(field, field, axis=1, step=-1).sum()):
        return "nothing like it", "there is no air in front of the body", 0.0
    if _contrast(anatomy, image) < LEAST_CONTRAST:
        return "nothing like it", "no body stands out from the air in the image", 0.0
    columns = body.any(axis=1)
    width = float(np.percentile(columns.sum(axis=0)[columns.any(axis=0)], 75)) * grid.spacing[0]
    alone = anatomy.parts == 1
    if width < NARROWEST_CHEST_MM and alone:
        return "nothing like it", f"the body is {width:.0f} mm wide, which is no chest", 0.0
    low, high = anatomy.lobes_mm
    if max(low, high) < LOBE_MM:
        return "unclear", "no two lobes stand out before the chest", 0.0
    if anatomy.lobes_behind_mm > max(LOBE_MM, LIKE_BEHIND * max(low, high)):
        return "unclear", "the lobes stand out in front and behind, as limbs do", 0.0
    if min(low, high) < LOBE_MM:
        return "one breast", "one lobe stands out before the chest", 0.0
    return "two breasts", "", min(low, high)


def _contrast(anatomy: Anatomy, image: Volume) -> float:
    overview = resample(image, anatomy.grid).array
    air = ~anatomy.body & inside(image.grid, anatomy.grid)
    if not air.any():
        return 0.0
    return float(overview[anatomy.tissue].mean()) / max(float(overview[air].mean()), 1e-6)


def _bordering(
    mask: NDArray[np.bool_], field: NDArray[np.bool_], *, axis: int, step: Literal[1, -1]
) -> NDArray[np.bool_]:
    """The voxels of a mask whose neighbour that way is not in the field."""
    padded = np.pad(field, [(1, 1) if a == axis else (0, 0) for a in range(3)])
    window = [slice(None)] * 3
    window[axis] = slice(1 + step, 1 + step + field.shape[axis])
    return mask & field & ~padded[tuple(window)]


def _cut(anatomy: Anatomy, image: Volume) -> tuple[str, ...]:
    """The borders of the field that the breasts reach. Lower in the array is not always below."""
    grid = anatomy.grid
    breasts, field = anatomy.breasts & anatomy.body, inside(image.grid, grid)
    step_x, step_y, step_z = grid.spacing
    left = 1 if anatomy.facing == 1 else -1  # of rising x in an array that is turned round
    cut = []
    for name, axis, step, face_mm2 in (
        ("front", 1, -1, step_x * step_z),
        ("left", 0, left, step_y * step_z),
        ("right", 0, -left, step_y * step_z),
    ):
        area = _bordering(breasts, field, axis=axis, step=1 if step == 1 else -1).sum() * face_mm2
        if area / 100 >= CUT_CM2:
            cut.append(name)
    areas = breasts.sum(axis=(0, 1))
    lowest = int(np.flatnonzero(field.any(axis=(0, 1)))[0])
    if areas[lowest] >= CUT_SHARE * areas.max() > 0:
        cut.append("below")
    return tuple(cut)


def _heart(anatomy: Anatomy, before: Volume, after: Volume) -> Side | None:
    """The side of what enhances most behind the sternum, as the header has the sides."""
    grid = anatomy.grid
    uptake = resample(after, grid).array - resample(before, grid).array
    uptake = ndimage.gaussian_filter(uptake, 1.0)
    x = np.arange(grid.shape[0])[:, None, None]
    y = np.arange(grid.shape[1])[None, :, None]
    middle = grid.to_index((anatomy.midline_mm, 0.0, 0.0))[0]
    sternum = _sternum(anatomy)
    off_mm = (x - middle) * grid.spacing[0]
    depth_mm = (y - sternum) * grid.spacing[1]
    near, far = HEART_DEPTH_MM
    chest = anatomy.body & (np.abs(off_mm) < 100.0) & (depth_mm > near) & (depth_mm < far)
    if not chest.any():
        return None
    level = 0.5 * float(np.percentile(uptake[chest], 98))
    bright = chest & (uptake > max(level, 0.0))
    parts, count = ndimage.label(bright)
    if level <= 0 or count == 0:
        return None
    largest = parts == np.bincount(parts.ravel())[1:].argmax() + 1
    if largest.sum() * float(np.prod(grid.spacing)) / 1000 < HEART_ML:
        return None
    off = float((off_mm * largest).sum() / largest.sum())
    # The array is turned round where the body faces the back; the header's sides are as they are.
    off *= anatomy.facing
    return None if abs(off) < HEART_OFF_MM else "L" if off > 0 else "R"


def _sternum(anatomy: Anatomy) -> float:
    """The row of the skin in the midline, typical over the slices that show it."""
    middle = round(anatomy.grid.to_index((anatomy.midline_mm, 0.0, 0.0))[0])
    column = anatomy.body[int(np.clip(middle, 0, anatomy.body.shape[0] - 1))]
    there = column.any(axis=0)
    return float(np.percentile(column.argmax(axis=0)[there], 75)) if there.any() else 0.0
