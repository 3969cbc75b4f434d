"""What a model package says of its images: places, voxel sizes, scaling and phases."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from importlib import resources
from itertools import pairwise
from typing import Any, Literal

from jsonschema import Draft202012Validator
from jsonschema.exceptions import best_match

from mome_node.errors import PackageError
from mome_node.mome.channels import FewerPosts, MorePosts
from mome_node.mome.config import ModelConfig
from mome_node.volumes.volume import Modality

RECIPE = 1
"""Raised whenever the same specification gives other arrays from the same exam."""

ORIENTATION = "LPS"
"""Axes of the model's arrays: x to the patient's left, y to posterior, z to head (DICOM's own)."""

FIELD_MM = (345.6, 230.4, 160.0)
"""The demonstration's field: left-right, front-back, foot-head."""

Triple = tuple[float, float, float]
Range = tuple[float, float]
BValueOutside = Literal["leave out", "refuse"]


@dataclass(frozen=True, slots=True)
class Scaling:
    """Voxels of a modality's array and its intensities.

    ``voxel_mm`` left-right, front-back, foot-head. Intensities are divided by the ``percentile``
    of the tissue in the image (DCE: in the pre-contrast phase) and then clipped to ``clip``.
    """

    voxel_mm: Triple
    percentile: float
    clip: Range


@dataclass(frozen=True, slots=True)
class PreprocessSpec:
    """How an exam becomes arrays.

    ``planes`` and ``min_width_mm`` say which fields are taken, ``front_margin_mm`` how far the
    model's field reaches in front of the foremost skin, ``min_coverage`` which part of the breasts
    a modality's own field must hold (0 to 1). ``b_value`` is the range in s/mm² that is taken, and
    ``preferred_b_value`` the one within it that is taken where there are several; a DWI outside the
    range is left out, or the exam is refused (``b_value_outside``). ``target_times_s`` are seconds
    after the pre-contrast phase, one a channel, rising. ``fewer_posts``: the last channels are
    zeros where there are fewer post-contrast phases than channels, or the exam is refused.
    ``more_posts``: of more phases, those nearest to the target times or the first ones are taken,
    or the exam is refused.
    """

    planes: tuple[str, ...]
    min_width_mm: float
    front_margin_mm: float
    min_coverage: float
    dce: Scaling
    dwi: Scaling
    t2: Scaling
    b_value: Range
    preferred_b_value: float
    b_value_outside: BValueOutside
    target_times_s: tuple[float, ...]
    fewer_posts: FewerPosts
    more_posts: MorePosts

    def scaling(self, modality: Modality) -> Scaling:
        """The scaling of one modality."""
        return {Modality.DCE: self.dce, Modality.DWI: self.dwi, Modality.T2: self.t2}[modality]

    @classmethod
    def from_json(cls, document: Mapping[str, object], *, at: str = "preprocess") -> PreprocessSpec:
        """Read the ``preprocessing`` part of a package.

        Raises PackageError that names the field, below ``at``, and its value.
        """
        _check_schema(document, at)
        found: Mapping[str, Any] = document
        spec = cls(
            planes=tuple(found["planes"]),
            min_width_mm=float(found["min_width_mm"]),
            front_margin_mm=float(found["front_margin_mm"]),
            min_coverage=float(found["min_coverage"]),
            dce=_scaling(found["dce"]),
            dwi=_scaling(found["dwi"]),
            t2=_scaling(found["t2"]),
            b_value=_range(found["dwi"]["b_value"]),
            preferred_b_value=float(found["dwi"]["preferred_b_value"]),
            b_value_outside=found["dwi"]["outside"],
            target_times_s=tuple(float(t) for t in found["dce"]["target_times_s"]),
            fewer_posts=found["dce"]["fewer_posts"],
            more_posts=found["dce"]["more_posts"],
        )
        _check_order(spec, at)
        return spec

    def to_json(self) -> dict[str, object]:
        """The same as ``from_json`` reads."""
        return {
            "recipe": RECIPE,
            "orientation": ORIENTATION,
            "planes": list(self.planes),
            "min_width_mm": self.min_width_mm,
            "front_margin_mm": self.front_margin_mm,
            "min_coverage": self.min_coverage,
            "dce": {
                **_plain(self.dce),
                "target_times_s": list(self.target_times_s),
                "fewer_posts": self.fewer_posts,
                "more_posts": self.more_posts,
            },
            "dwi": {
                **_plain(self.dwi),
                "b_value": list(self.b_value),
                "preferred_b_value": self.preferred_b_value,
                "outside": self.b_value_outside,
            },
            "t2": _plain(self.t2),
        }


def demonstration_spec() -> PreprocessSpec:
    """What the demonstration weights are trained with: a field of 346 × 230 × 160 mm."""
    return PreprocessSpec(
        planes=("axial", "coronal"),
        min_width_mm=240.0,
        front_margin_mm=15.0,
        min_coverage=0.6,
        dce=Scaling((3.6, 3.6, 5.0), percentile=90.0, clip=(-1.0, 4.0)),
        dwi=Scaling((7.2, 7.2, 10.0), percentile=90.0, clip=(0.0, 4.0)),
        t2=Scaling((3.6, 3.6, 10.0), percentile=90.0, clip=(0.0, 4.0)),
        b_value=(600.0, 1500.0),
        preferred_b_value=1000.0,
        b_value_outside="leave out",
        target_times_s=(60.0, 120.0, 180.0, 240.0, 300.0, 360.0),
        fewer_posts="zeros",
        more_posts="nearest",
    )


def default_spec(config: ModelConfig) -> PreprocessSpec:
    """What a package states that knows no better: the demonstration's field, in its own voxels.

    The authors' own preprocessing is not published; whoever knows a model's writes it instead.
    """
    base = demonstration_spec()

    def voxels(modality: Modality) -> Triple:
        x, y, z = config.input_of(modality).size
        return FIELD_MM[0] / x, FIELD_MM[1] / y, FIELD_MM[2] / z

    times = tuple(60.0 * (k + 1) for k in range(config.dce.channels))
    return replace(
        base,
        dce=replace(base.dce, voxel_mm=voxels(Modality.DCE)),
        dwi=replace(base.dwi, voxel_mm=voxels(Modality.DWI)),
        t2=replace(base.t2, voxel_mm=voxels(Modality.T2)),
        target_times_s=times,
    )


def _scaling(found: Mapping[str, Any]) -> Scaling:
    x, y, z = found["voxel_mm"]
    return Scaling(
        (float(x), float(y), float(z)), float(found["percentile"]), _range(found["clip"])
    )


def _range(found: list[float]) -> Range:
    low, high = found
    return float(low), float(high)


def _plain(scaling: Scaling) -> dict[str, object]:
    return {
        "voxel_mm": list(scaling.voxel_mm),
        "percentile": scaling.percentile,
        "clip": list(scaling.clip),
    }


def _check_schema(document: Mapping[str, object], at: str) -> None:
    schema = json.loads(
        resources.files("mome_node.mome").joinpath("preprocess.schema.json").read_text("utf-8")
    )
    error = best_match(Draft202012Validator(schema).iter_errors(document))
    if error is not None:
        field = ".".join([at, *(str(part) for part in error.absolute_path)])
        raise PackageError(f"{field}: {error.message[:300]}") from error
    for field, value in _numbers(at, document):
        # JSON has no such numbers, Python's reader lets them in, and they pass every limit.
        if not math.isfinite(value):
            raise PackageError(f"{field}: found {value}, a finite number is allowed")


def _numbers(field: str, value: object) -> Iterator[tuple[str, float]]:
    """Every float in a JSON value with its field's name."""
    if isinstance(value, Mapping):
        for key, item in value.items():
            yield from _numbers(f"{field}.{key}", item)
    elif isinstance(value, list | tuple):
        for index, item in enumerate(value):
            yield from _numbers(f"{field}.{index}", item)
    elif isinstance(value, float):
        yield field, value


def _check_order(spec: PreprocessSpec, at: str) -> None:
    ranges = {
        "dce.clip": spec.dce.clip,
        "dwi.clip": spec.dwi.clip,
        "t2.clip": spec.t2.clip,
        "dwi.b_value": spec.b_value,
        "dce.target_times_s": spec.target_times_s,
    }
    for field, values in ranges.items():
        if any(a >= b for a, b in pairwise(values)):
            raise PackageError(f"{at}.{field}: found {list(values)}, rising numbers are allowed")
    low, high = spec.b_value
    if not low <= spec.preferred_b_value <= high:
        raise PackageError(
            f"{at}.dwi.preferred_b_value: found {spec.preferred_b_value:g}, a number from "
            f"{low:g} to {high:g} (dwi.b_value) is allowed"
        )
