"""The card of a model package: what it states, in words, for a terminal and ``docs/README.md``."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence

from mome_node.fitness.checks import Outcome
from mome_node.mome.config import ModelConfig
from mome_node.mome.preprocess_spec import ORIENTATION, PreprocessSpec, Scaling
from mome_node.mome.statement import Calibration, OperatingPoint, Statement
from mome_node.volumes.volume import Modality

Fact = tuple[str, str]
"""What a line is about, and what the package states of it."""

RESEARCH_USE = "Research use only. Not a medical device."

_FEWER_POSTS = {
    "zeros": "of fewer, the last channels are zeros",
    "refuse": "with fewer the exam is not evaluable",
}
_MORE_POSTS = {
    "nearest": "of more, those nearest to {times} s are taken",
    "first": "of more, the earliest are taken",
    "refuse": "with more the exam is not evaluable",
}
_B_VALUE_OUTSIDE = {
    "leave out": "another DWI is left out",
    "refuse": "with another DWI the exam is not evaluable",
}

_OUTCOMES = {
    Outcome.IGNORE: "is evaluated",
    Outcome.WARN: "is evaluated with a warning",
    Outcome.REFUSE: "is not evaluable",
}


def facts(statement: Statement, config: ModelConfig, *, files: int) -> tuple[Fact, ...]:
    """Everything a package of so many weight files states, one fact a line, in reading order."""
    return (
        ("Task", statement.task),
        ("Classes", ", ".join(statement.classes)),
        ("Positive class", statement.positive_class),
        ("Label", statement.label_definition),
        ("Applies when", "; ".join(statement.applies_when) or "no condition"),
        *_operating_points(statement.operating_points),
        ("Calibrated", _calibration(statement.calibration)),
        ("Reference", f"contributions are counted from a probability of {statement.prior:g}"),
        *_accepts(statement),
        ("Synthetic", _synthetic(statement)),
        ("Weight files", _weights(files)),
        ("Views", ", ".join(statement.views)),
        *_inputs(config),
        *preprocessing_facts(
            PreprocessSpec.from_json(statement.preprocessing, at="mome.preprocessing")
        ),
    )


def preprocessing_facts(spec: PreprocessSpec) -> tuple[Fact, ...]:
    """How images become arrays."""
    low, high = spec.b_value
    times = ", ".join(f"{t:g}" for t in spec.target_times_s)
    field = (
        f"{' or '.join(spec.planes)}, at least {spec.min_width_mm:g} mm wide; the model's begins "
        f"{spec.front_margin_mm:g} mm in front of the foremost skin; a DWI or T2 that holds less "
        f"than {spec.min_coverage * 100:g} % of the breasts is left out"
    )
    dce = (
        f"{_scaling(spec.dce, 'the tissue before contrast')}; a channel is one post-contrast phase "
        f"less the pre-contrast phase; {_FEWER_POSTS[spec.fewer_posts]}; "
        f"{_MORE_POSTS[spec.more_posts].format(times=times)}"
    )
    dwi = (
        f"{_scaling(spec.dwi)}; b-value from {low:g} to {high:g} s/mm², preferably "
        f"{spec.preferred_b_value:g}; {_B_VALUE_OUTSIDE[spec.b_value_outside]}"
    )
    return (
        ("Orientation", f"{ORIENTATION}: x to the patient's left, y to posterior, z to head"),
        ("Field", field),
        ("DCE", dce),
        ("DWI", dwi),
        ("T2", _scaling(spec.t2)),
    )


def markdown(statement: Statement, config: ModelConfig, *, files: int) -> str:
    """Return ``docs/README.md`` of a package."""
    lines = [
        f"# {statement.name} {statement.version}",
        "",
        RESEARCH_USE,
        *(["**Synthetic: these weights never saw a patient's images.**"] * statement.synthetic),
        "",
        statement.description,
        "",
        *(f"- {name}: {text}" for name, text in facts(statement, config, files=files)),
        "",
        "## Preprocessing, as a program reads it",
        "",
        "```json",
        json.dumps(dict(statement.preprocessing), indent=2),
        "```",
        "",
        f"{statement.authors}. {statement.copyright}",
        "",
    ]
    return "\n".join(lines)


def _operating_points(points: Sequence[OperatingPoint]) -> Iterator[Fact]:
    if not points:
        yield "Operating point", "none stated"
    for point in points:
        yield "Operating point", _operating_point(point)


def _operating_point(point: OperatingPoint) -> str:
    low, high = point.sensitivity_ci
    lower, upper = point.specificity_ci
    return (
        f"{point.name}: probability {point.threshold:g} with {_names(point.modalities)}; "
        f"sensitivity {point.sensitivity:.3f} (95 % interval {low:.3f} to {high:.3f}), "
        f"specificity {point.specificity:.3f} (95 % interval {lower:.3f} to {upper:.3f}); "
        f"n = {point.n}, prevalence {point.prevalence:.3f}, measured on {point.population}"
    )


def _calibration(calibration: Calibration) -> str:
    if calibration == Calibration():
        return calibration.told
    return f"{calibration.told}; logits are divided by {calibration.temperature:g}"


def _accepts(statement: Statement) -> Iterator[Fact]:
    accepts = statement.accepts
    yield "Vendors", ", ".join(accepts.vendors) or "any"
    if accepts.field_strengths_t is None:
        yield "Field strength", "any"
    else:
        low, high = accepts.field_strengths_t
        yield "Field strength", f"{low:g} T" if low == high else f"{low:g} to {high:g} T"
    yield "Laterality", " or ".join(accepts.laterality)
    for name, unit, taken in (
        ("Slice distance", "mm", accepts.slice_thickness_mm),
        ("Pixel spacing", "mm", accepts.pixel_spacing_mm),
        ("First post-contrast phase", "s", accepts.first_post_s),
        ("Last post-contrast phase", "s", accepts.last_post_s),
    ):
        if taken is not None:
            yield name, f"{taken[0]:g} to {taken[1]:g} {unit}"
    if accepts.min_slices is not None:
        yield "Slices", f"at least {accepts.min_slices}"
    if accepts.min_posts is not None:
        yield "Post-contrast phases", f"at least {accepts.min_posts}"
    if accepts.fat_suppression is not None:
        yield "Fat suppression", "needed" if accepts.fat_suppression else "not needed"
    for code, outcome in statement.fitness.outcomes.items():
        yield f"An exam that fails {code}", _OUTCOMES[outcome]
    if statement.fitness.loosenable:
        yield "A site may loosen", ", ".join(statement.fitness.loosenable)


def _synthetic(statement: Statement) -> str:
    return "yes, these weights never saw a patient's images" if statement.synthetic else "no"


def _weights(files: int) -> str:
    return "1" if files == 1 else f"{files}; the result is the mean of their probabilities"


def _inputs(config: ModelConfig) -> Iterator[Fact]:
    for modality in Modality:
        size = config.input_of(modality)
        channels = "1 channel" if size.channels == 1 else f"{size.channels} channels"
        columns, rows, slices = size.size
        yield (
            f"Input {_names([modality])}",
            f"{channels} of {columns} x {rows} x {slices} voxels (columns x rows x slices)",
        )


def _scaling(scaling: Scaling, tissue: str = "the tissue") -> str:
    x, y, z = scaling.voxel_mm
    low, high = scaling.clip
    return (
        f"voxels of {x:g} x {y:g} x {z:g} mm, divided by percentile {scaling.percentile:g} of "
        f"{tissue}, clipped to the range from {low:g} to {high:g}"
    )


def _names(modalities: Sequence[str]) -> str:
    return " + ".join(m.upper() for m in modalities)
