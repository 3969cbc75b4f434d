"""What a model package says of itself, in words and numbers. Knows no weights."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from mome_node.errors import PackageError


@dataclass(frozen=True, slots=True)
class ModelIdentity:
    """Which model and weights made a score."""

    name: str
    version: str
    digest: str  # SHA-256 over the package's files, hexadecimal
    synthetic: bool


@dataclass(frozen=True, slots=True)
class OperatingPoint:
    """A threshold and what is known of it, as the model package states it."""

    name: str
    threshold: float
    sensitivity: float
    sensitivity_ci: tuple[float, float]
    specificity: float
    specificity_ci: tuple[float, float]
    n: int
    prevalence: float
    population: str


@dataclass(frozen=True, slots=True)
class Statement:
    """The claims and conditions of one model package.

    ``classes`` are in the order of the logits. ``prior`` is the probability that contributions are
    counted from. ``calibration`` is "no", or "on POPULATION, prevalence P". ``synthetic`` weights
    never saw a patient. ``preprocessing`` is what ``PreprocessSpec.from_json`` reads. Raises
    PackageError where two of these contradict each other.
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
    calibration: str = "no"
    operating_point: OperatingPoint | None = None
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

    @property
    def positive_index(self) -> int:
        """Where the positive class stands among the logits."""
        return self.classes.index(self.positive_class)

    def to_json(self) -> dict[str, Any]:
        """Return the part of the package's ``mome`` section that people write."""
        point = asdict(self.operating_point) if self.operating_point else None
        return {
            "name": self.name,
            "task": self.task,
            "classes": list(self.classes),
            "positive_class": self.positive_class,
            "label_definition": self.label_definition,
            "synthetic": self.synthetic,
            "prior": self.prior,
            "calibration": self.calibration,
            "operating_point": point,
            "preprocessing": dict(self.preprocessing),
        }


def statement_from(metadata: Mapping[str, Any]) -> Statement:
    """Read the statement from metadata that the schema has accepted."""
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
        calibration=mome["calibration"],
        operating_point=_operating_point(mome.get("operating_point")),
        description=metadata["description"],
        authors=metadata["authors"],
        copyright=metadata["copyright"],
    )


def _operating_point(stated: Mapping[str, Any] | None) -> OperatingPoint | None:
    if stated is None:
        return None
    low, high = stated["sensitivity_ci"]
    lower, upper = stated["specificity_ci"]
    intervals = {"sensitivity_ci": (low, high), "specificity_ci": (lower, upper)}
    return OperatingPoint(**{**stated, **intervals})
