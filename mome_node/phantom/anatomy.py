"""The patient: breasts that hang from a prone trunk, with what enhances in them and behind them.

Patient coordinates LPS in mm: the breasts hang to anterior (−y), the heart lies behind the left
one (+x).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from mome_node.dicom.geometry import Point
from mome_node.phantom.fields import Axes, Field, ellipsoid, smooth_noise, smooth_union, soft

TRUNK_RADII = (168.0, 112.0)


@dataclass(frozen=True, slots=True)
class Breast:
    """One breast: an ellipsoid that hangs from the chest wall."""

    center: Point
    radii: tuple[float, float, float]
    gland_radii: tuple[float, float, float]

    def depth_mm(self, point: Point) -> float:
        """About how deep a point lies below the skin; negative outside."""
        q = sum(((p - c) / r) ** 2 for p, c, r in zip(point, self.center, self.radii, strict=True))
        return float((1 - np.sqrt(q)) * min(self.radii))


@dataclass(frozen=True, slots=True)
class Vessel:
    """A vessel: a chain of points and a radius, in mm."""

    points: tuple[Point, ...]
    radius: float


@dataclass(frozen=True, slots=True)
class Anatomy:
    """One woman, drawn from a seed; nothing here depends on whether she has a lesion."""

    seed: int
    right: Breast
    left: Breast
    trunk_center_y: float
    gland_level: float  # higher: less glandular tissue
    vessels: tuple[Vessel, ...]
    cysts: tuple[tuple[Point, float], ...]
    bias: tuple[float, ...]

    @classmethod
    def draw(cls, seed: int) -> Anatomy:
        """The anatomy of a seed."""
        rng = np.random.default_rng([seed, 1])
        trunk_y = float(rng.uniform(88, 98))
        size = float(rng.uniform(0.85, 1.12))
        right, left = (_draw_breast(rng, side, size) for side in (-1.0, 1.0))
        vessels = tuple(_draw_vessel(rng, b) for b in (right, left) for _ in range(3))
        cysts = tuple(
            (_point_in(rng, (right, left)[int(rng.integers(2))], 14.0), float(rng.uniform(3, 6)))
            for _ in range(int(rng.choice([0, 0, 1, 2])))
        )
        return cls(
            seed=seed,
            right=right,
            left=left,
            trunk_center_y=trunk_y,
            gland_level=float(rng.uniform(-0.6, 0.9)),
            vessels=vessels,
            cysts=cysts,
            bias=tuple(float(v) for v in rng.normal(0, 0.08, 4)),
        )

    def point_for_lesion(self, rng: np.random.Generator, radius: float) -> tuple[Point, str]:
        """A place deep enough in a breast for a lesion of this radius, and its side, L or R."""
        side = "L" if rng.random() < 0.5 else "R"
        return _point_in(rng, self.left if side == "L" else self.right, radius + 5.0), side


@dataclass(frozen=True, slots=True, eq=False)
class Tissues:
    """Fractions of each tissue, 0 to 1, each (x, y, z) float32 on one grid."""

    fat: Field
    gland: Field
    muscle: Field
    skin: Field
    heart: Field
    vessel: Field
    cyst: Field
    bias: Field  # multiplicative sensitivity of the coil


def tissues(anatomy: Anatomy, axes: Axes) -> Tissues:
    """The anatomy on a grid."""
    trunk_q = np.sqrt(
        (axes.x / TRUNK_RADII[0]) ** 2 + ((axes.y - anatomy.trunk_center_y) / TRUNK_RADII[1]) ** 2
    )
    trunk = np.asarray((trunk_q - 1) * TRUNK_RADII[1], dtype=np.float32)  # (x, y, 1)
    breasts = [ellipsoid(axes, b.center, b.radii) for b in (anatomy.right, anatomy.left)]
    body_edge = smooth_union(np.minimum(*breasts), trunk, 18.0)
    body = soft(body_edge)
    skin = body * soft(-(body_edge + 2.2))
    wall = soft(trunk + 9.0)  # behind the subcutaneous fat of the chest
    inner = soft(trunk + 21.0)  # behind the pectoral muscle
    heart = soft(ellipsoid(axes, (34.0, anatomy.trunk_center_y - 42.0, -18.0), (48.0, 40.0, 62.0)))
    heart = heart * inner
    lung_gap = inner * (1 - heart)
    muscle = (wall - inner) * body
    gland = _gland(anatomy, axes) * body * (1 - wall) * (1 - skin)
    vessel = _vessels(anatomy, axes, body.shape) * body * (1 - skin)
    cyst = np.zeros(body.shape, dtype=np.float32)
    for center, radius in anatomy.cysts:
        cyst = np.maximum(cyst, soft(ellipsoid(axes, center, (radius,) * 3)))
    cyst = cyst * body * (1 - wall)
    gland = gland * (1 - cyst)
    fat = np.clip(body - skin - muscle - heart - gland - lung_gap - cyst, 0, 1)
    return Tissues(
        fat=fat,
        gland=gland,
        muscle=muscle + 0.12 * lung_gap,  # lung: little signal, little enhancement
        skin=skin,
        heart=heart,
        vessel=vessel,
        cyst=cyst,
        bias=_bias(anatomy, axes),
    )


def _draw_breast(rng: np.random.Generator, side: float, size: float) -> Breast:
    radii = (
        float(size * rng.uniform(60, 68)),
        float(size * rng.uniform(68, 92)),
        float(size * rng.uniform(62, 72)),
    )
    center = (side * float(rng.uniform(80, 86)), float(rng.uniform(-14, -4)), 0.0)
    gland = (radii[0] * 0.74, radii[1] * 0.86, radii[2] * 0.74)
    return Breast(center, radii, gland)


def _draw_vessel(rng: np.random.Generator, breast: Breast) -> Vessel:
    point = np.array(_point_in(rng, breast, 8.0))
    step = rng.normal(0, 1, 3)
    points = [point]
    for _ in range(5):
        step = 0.7 * step / np.linalg.norm(step) + 0.5 * rng.normal(0, 1, 3)
        point = point + 11.0 * step / np.linalg.norm(step)
        points.append(point)
    chain = tuple((float(p[0]), float(p[1]), float(p[2])) for p in points)
    return Vessel(chain, float(rng.uniform(1.0, 1.9)))


def _point_in(rng: np.random.Generator, breast: Breast, depth_mm: float) -> Point:
    """A random point at least ``depth_mm`` below the skin and in front of the chest wall."""
    while True:
        offset = rng.uniform(-0.8, 0.8, 3) * np.array(breast.radii)
        x, y, z = np.array(breast.center) + offset
        point = (float(x), float(y), float(z))
        before_wall = point[1] < -12.0 - 0.35 * depth_mm
        if before_wall and breast.depth_mm(point) > depth_mm:
            return point


def _gland(anatomy: Anatomy, axes: Axes) -> Field:
    texture = smooth_noise(np.random.default_rng([anatomy.seed, 2]), axes, 16.0)
    fine = smooth_noise(np.random.default_rng([anatomy.seed, 3]), axes, 5.0)
    envelope = np.maximum(
        *(
            soft(ellipsoid(axes, (b.center[0], b.center[1] - 6.0, 0.0), b.gland_radii), 12.0)
            for b in (anatomy.right, anatomy.left)
        )
    )
    level = texture + 0.45 * fine - anatomy.gland_level + 1.2 * (envelope - 0.6)
    return envelope * np.clip(0.5 + 1.6 * level, 0, 1)


def _vessels(anatomy: Anatomy, axes: Axes, shape: tuple[int, ...]) -> Field:
    out = np.zeros(shape, dtype=np.float32)
    for vessel in anatomy.vessels:
        for a, b in zip(vessel.points, vessel.points[1:], strict=False):
            _draw_tube(out, axes, a, b, vessel.radius)
    # The heart's great vessels and the internal mammary pair beside the sternum.
    for x in (-22.0, 22.0):
        _draw_tube(out, axes, (x, 4.0, -100.0), (x, 4.0, 100.0), 1.6)
    return out


def _draw_tube(out: Field, axes: Axes, a: Point, b: Point, radius: float) -> None:
    """Add a tube between two points to ``out``, in the box around it only."""
    reach = radius + 2.0
    box = tuple(
        slice(*np.searchsorted(t.ravel(), (min(a[i], b[i]) - reach, max(a[i], b[i]) + reach)))
        for i, t in enumerate((axes.x, axes.y, axes.z))
    )
    x, y, z = axes.x[box[0]], axes.y[:, box[1]], axes.z[:, :, box[2]]
    if not (x.size and y.size and z.size):
        return
    d = np.subtract(b, a).astype(np.float32)
    rx, ry, rz = x - a[0], y - a[1], z - a[2]
    t = np.clip((rx * d[0] + ry * d[1] + rz * d[2]) / float(d @ d), 0, 1)
    distance = np.sqrt((rx - t * d[0]) ** 2 + (ry - t * d[1]) ** 2 + (rz - t * d[2]) ** 2)
    out[box] = np.maximum(out[box], soft(distance - radius, 0.8))


def _bias(anatomy: Anatomy, axes: Axes) -> Field:
    """Sensitivity of a breast coil: high at the breasts, falling to the back, uneven."""
    a, b, c, d = anatomy.bias
    falling = -np.clip((axes.y + 20.0) / 150.0, -0.2, 1.2)
    uneven = (a * axes.x / 100 + b * axes.y / 100 + c * axes.z / 100) + d * (axes.x / 120) ** 2
    sensitivity: Field = np.exp(falling + uneven).astype(np.float32)
    return sensitivity
