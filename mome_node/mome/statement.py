"""What a model package says of itself, in words and numbers. Knows no weights."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from mome_node.errors import PackageError
from mome_node.fitness.accepts import BILATERAL as BILATERAL
from mome_node.fitness.accepts import LATERALITIES as LATERALITIES
from mome_node.fitness.accepts import UNILATERAL as UNILATERAL
from mome_node.fitness.accepts import Accepts as Accepts
from mome_node.fitness.checks import Outcome
from mome_node.fitness.knowledge import BEFORE_TREATMENT as BEFORE_TREATMENT
from mome_node.fitness.knowledge import CONDITIONS as CONDITIONS
from mome_node.fitness.knowledge import HISTOLOGY_PROVEN as HISTOLOGY_PROVEN
from mome_node.fitness.policy import PackageFitness
from mome_node.volumes.volume import Modality

IDENTITY_VIEW = "identity"
"""The exam as it is: the one view of it that this node runs."""

MODALITIES = tuple(m.value for m in Modality)


@dataclass(frozen=True, slots=True)
class ModelIdentity:
    """Which model and weights made a score."""

    name: str
    version: str
    digest: str  # SHA-256 over the package's files, hexadecimal
    synthetic: bool


@dataclass(frozen=True, slots=True)
class OperatingPoint:
    """A threshold and what is known of it, as the model package states it.

    ``modalities`` is the combination that all this was measured with; with another one the
    threshold means nothing. The threshold is one of the calibrated probability.
    """

    name: str
    threshold: float
    sensitivity: float
    sensitivity_ci: tuple[float, float]
    specificity: float
    specificity_ci: tuple[float, float]
    n: int
    prevalence: float
    population: str
    modalities: tuple[str, ...] = MODALITIES


@dataclass(frozen=True, slots=True)
class Calibration:
    """What makes logits into probabilities, and on whom that was measured.

    The logits are divided by ``temperature`` before the softmax (Guo et al., 2017). ``population``
    is empty where nothing was measured; then the temperature is 1. Raises PackageError.
    """

    temperature: float = 1.0
    population: str = ""
    prevalence: float | None = None

    def __post_init__(self) -> None:
        if not 0 < self.temperature < math.inf:
            raise PackageError(
                f"mome.calibration.temperature: {self.temperature} is no number above 0"
            )
        if not self.population.strip() and self.temperature != 1:
            raise PackageError(
                f"mome.calibration.population: it is empty, but the temperature is "
                f"{self.temperature:g}; say on whom it was measured, or leave it at 1"
            )
        if self.prevalence is None:
            return
        if not 0 <= self.prevalence <= 1:
            raise PackageError(
                f"mome.calibration.prevalence: {self.prevalence} does not lie between 0 and 1"
            )
        if not self.population.strip():
            raise PackageError("mome.calibration.population: it is empty, but has a prevalence")

    @property
    def told(self) -> str:
        """The calibration as the results tell it: "no", or "on POPULATION, prevalence P"."""
        if not self.population.strip():
            return "no"
        prevalence = "unknown" if self.prevalence is None else f"{self.prevalence:g}"
        return f"on {self.population}, prevalence {prevalence}"


@dataclass(frozen=True, slots=True)
class Statement:
    """The claims and conditions of one model package.

    ``classes`` are in the order of the logits. ``prior`` is the probability that contributions are
    counted from. ``synthetic`` weights never saw a patient. ``preprocessing`` is what
    ``PreprocessSpec.from_json`` reads. ``applies_when`` (of ``CONDITIONS``) must all be asserted by
    the site before the package may run on a study. ``fitness`` is what failed checks of an exam
    do. ``views`` are how the exam is shown to the network; "identity" alone is run by this node.
    Raises PackageError where two of these contradict each other.
    """

    name: str
    version: str
    task: str
    classes: tuple[str, ...]
    positive_class: str
    label_definition: str
    synthetic: bool
    preprocessing: Mapping[str, Any]
    prior: float = 0.5
    applies_when: tuple[str, ...] = ()
    accepts: Accepts = field(default_factory=Accepts)
    calibration: Calibration = field(default_factory=Calibration)
    operating_points: tuple[OperatingPoint, ...] = ()
    views: tuple[str, ...] = (IDENTITY_VIEW,)
    fitness: PackageFitness = field(default_factory=PackageFitness)
    description: str = ""
    authors: str = ""
    copyright: str = ""

    def __post_init__(self) -> None:
        if len(set(self.classes)) != len(self.classes):
            raise PackageError(f"mome.classes: a name is there twice: {list(self.classes)}")
        if self.positive_class not in self.classes:
            raise PackageError(
                f"mome.positive_class: {self.positive_class!r} is none of {list(self.classes)}"
            )
        if not 0.0 < self.prior < 1.0:
            raise PackageError(f"mome.prior: {self.prior} does not lie between 0 and 1")
        _check_words("mome.applies_when", self.applies_when, CONDITIONS)
        _check_points(self.operating_points)
        if self.views != (IDENTITY_VIEW,):
            raise PackageError(
                f"mome.views: {list(self.views)}: test-time views are not run by this node; "
                f"{[IDENTITY_VIEW]} is allowed"
            )

    @property
    def positive_index(self) -> int:
        """Where the positive class stands among the logits."""
        return self.classes.index(self.positive_class)

    def to_json(self) -> dict[str, Any]:
        """Return the part of the package's ``mome`` section that people write."""
        return {
            "name": self.name,
            "task": self.task,
            "classes": list(self.classes),
            "positive_class": self.positive_class,
            "label_definition": self.label_definition,
            "synthetic": self.synthetic,
            "applies_when": list(self.applies_when),
            "accepts": _accepts(self.accepts),
            "prior": self.prior,
            "calibration": asdict(self.calibration),
            "operating_points": [_listed(point) for point in self.operating_points],
            "views": list(self.views),
            "preprocessing": dict(self.preprocessing),
            **_fitness(self.fitness),
        }


def statement_from(metadata: Mapping[str, Any]) -> Statement:
    """Read the statement from metadata that the schema has accepted. Raises PackageError."""
    mome = metadata["mome"]
    return Statement(
        name=mome["name"],
        version=metadata["version"],
        task=mome["task"],
        classes=tuple(mome["classes"]),
        positive_class=mome["positive_class"],
        label_definition=mome["label_definition"],
        synthetic=mome["synthetic"],
        preprocessing=mome["preprocessing"],
        prior=mome["prior"],
        applies_when=tuple(mome["applies_when"]),
        accepts=Accepts(**_with_tuples(mome["accepts"])),
        calibration=Calibration(**mome["calibration"]),
        operating_points=tuple(OperatingPoint(**_with_tuples(p)) for p in mome["operating_points"]),
        views=tuple(mome["views"]),
        fitness=_fitness_from(mome.get("fitness", {})),
        description=metadata["description"],
        authors=metadata["authors"],
        copyright=metadata["copyright"],
    )


def _listed(part: Accepts | OperatingPoint) -> dict[str, Any]:
    return {k: list(v) if isinstance(v, tuple) else v for k, v in asdict(part).items()}


def _accepts(accepts: Accepts) -> dict[str, Any]:
    """What is not stated is left out, so that nodes from before there was such a key read it."""
    always = ("vendors", "field_strengths_t", "laterality")
    return {k: v for k, v in _listed(accepts).items() if k in always or v is not None}


def _fitness(fitness: PackageFitness) -> dict[str, Any]:
    if fitness == PackageFitness():
        return {}
    outcomes = {code: str(outcome) for code, outcome in fitness.outcomes.items()}
    return {"fitness": {"outcomes": outcomes, "loosenable": list(fitness.loosenable)}}


def _fitness_from(stated: Mapping[str, Any]) -> PackageFitness:
    return PackageFitness(
        {code: Outcome(outcome) for code, outcome in stated.get("outcomes", {}).items()},
        tuple(stated.get("loosenable", ())),
    )


def _with_tuples(stated: Mapping[str, Any]) -> dict[str, Any]:
    return {k: tuple(v) if isinstance(v, list) else v for k, v in stated.items()}


def _check_points(points: Sequence[OperatingPoint]) -> None:
    for index, point in enumerate(points):
        field = f"mome.operating_points.{index}"
        _check_words(f"{field}.modalities", point.modalities, MODALITIES)
        if not point.modalities:
            raise PackageError(
                f"{field}.modalities: it is empty; name those that the threshold was measured with"
            )
        for name in ("sensitivity", "specificity"):
            value = getattr(point, name)
            low, high = getattr(point, f"{name}_ci")
            if not low <= value <= high:
                raise PackageError(
                    f"{field}.{name}: {value:g} does not lie in its interval, {low:g} to {high:g}"
                )
    names = [f"{point.name} ({', '.join(sorted(point.modalities))})" for point in points]
    _check_no_doubles("mome.operating_points", names)


def _check_words(field: str, found: Sequence[str], allowed: Sequence[str]) -> None:
    for index, word in enumerate(found):
        if word not in allowed:
            raise PackageError(f"{field}.{index}: {word!r} is none of {list(allowed)}")
    _check_no_doubles(field, found)


def _check_no_doubles(field: str, found: Sequence[str]) -> None:
    if len(set(found)) != len(found):
        raise PackageError(f"{field}: one is there twice: {list(found)}")
