"""The installed models: which packages a site has chosen, loaded and ready to run."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import structlog

from mome_node.dicom.codes import SCORES
from mome_node.errors import DeviceLostError, ModelError
from mome_node.fitness.checks import B_VALUE, Outcome
from mome_node.fitness.policy import PackageFitness, Policy, SiteFitness
from mome_node.jobs.requests import InstalledModel

log = structlog.get_logger(__name__)

if TYPE_CHECKING:
    import torch

    from mome_node.mome.network import Mome
    from mome_node.mome.package import ModelPackage

DEMONSTRATION = "demo"

Explain = Literal["auto", "voxels", "tokens", "off"]
Precision = Literal["auto", "float32", "bfloat16", "float16"]


@dataclass(frozen=True, slots=True)
class ModelChoice:
    """A package as the settings name it: a folder, or "demo" for the bundled one.

    The site ``asserts`` these conditions of studies in which every pattern of ``when`` is found:
    pairs of an attribute of InstanceFacts and a regular expression; none: of every study.
    ``explain`` is how regions are looked for, or "off"; ``precision`` what the network computes in;
    ``fitness`` what the site says of exams and of failed checks.
    """

    package: str = DEMONSTRATION
    device: str = "auto"
    allow_synthetic_on_patients: bool = False
    explain: Explain = "auto"
    precision: Precision = "auto"
    asserts: tuple[str, ...] = ()
    when: tuple[tuple[str, str], ...] = ()
    fitness: SiteFitness = field(default_factory=SiteFitness)

    @property
    def path(self) -> Path:
        """The package's folder."""
        if self.package == DEMONSTRATION:
            return Path(str(resources.files("mome_node.demonstration") / "package"))
        return Path(self.package)


@dataclass(frozen=True, slots=True, eq=False)
class LoadedModel:
    """A package whose networks are in memory on their device; several are an ensemble.

    ``precision`` is the type that their products are computed in.
    """

    choice: ModelChoice
    package: ModelPackage
    networks: tuple[Mome, ...]
    device: torch.device
    precision: str = "float32"

    @property
    def installed(self) -> InstalledModel:
        """What the node, which knows no PyTorch, is told of it."""
        said = self.package.statement
        dwi = said.preprocessing["dwi"]
        return InstalledModel(
            name=said.name,
            version=said.version,
            digest=self.package.digest,
            task=said.task,
            synthetic=said.synthetic,
            allow_synthetic_on_patients=self.choice.allow_synthetic_on_patients,
            device=str(self.device),
            precision=self.precision,
            applies_when=said.applies_when,
            asserts=self.choice.asserts,
            when=self.choice.when,
            accepts=said.accepts,
            preferred_b_value=float(dwi["preferred_b_value"]),
            b_value_range=(float(dwi["b_value"][0]), float(dwi["b_value"][1])),
            fitness=Policy(_with_b_value(said.fitness, dwi["outside"]), self.choice.fitness),
        )


def _with_b_value(fitness: PackageFitness, outside: str) -> PackageFitness:
    """What a package says of other b-values in its preprocessing is its word on that check."""
    stated = Outcome.REFUSE if outside == "refuse" else Outcome.WARN
    return replace(fitness, outcomes={**fitness.outcomes, B_VALUE.code: stated})


def load_models(
    choices: Sequence[ModelChoice], *, memory: Path | None = None
) -> tuple[LoadedModel, ...]:
    """Load every chosen package. ``memory`` is a folder where findings on this machine are kept.

    Raises PackageError where one is bad, ModelError where they do not go together or one is for
    a task that the report has no concept for, DeviceError where a device fails.
    """
    # Imported here, so that the process that receives never loads torch.
    from mome_node.mome.device_errors import device_errors
    from mome_node.mome.package import ModelPackage
    from mome_node.mome.precision import place_networks

    packages = [ModelPackage.load(choice.path) for choice in choices]
    _check_tasks(packages)
    loaded = []
    for choice, package in zip(choices, packages, strict=True):
        device = _device(choice.device)
        with device_errors(device):
            placed = place_networks(package, device, choice.precision, memory)
        if placed.reason:
            log.warning(
                "model computes in float32", model=package.statement.name, why=placed.reason
            )
        loaded.append(LoadedModel(choice, package, placed.networks, device, placed.precision))
    return tuple(loaded)


def _check_tasks(packages: Sequence[ModelPackage]) -> None:
    """One score a task: two would leave it open which of them a radiologist is to believe."""
    of_task: dict[str, ModelPackage] = {}
    for package in packages:
        said = package.statement
        if said.task not in SCORES:
            raise ModelError(
                f"{said.name}: the report has no concept for its task {said.task!r}; allowed here: "
                f"{', '.join(SCORES)}. `mome-node model run` runs it on arrays"
            )
        if said.task in of_task:
            other = of_task[said.task].statement
            raise ModelError(
                f"two packages for the task {said.task}: {other.name} {other.version} and "
                f"{said.name} {said.version}; install one"
            )
        of_task[said.task] = package


def _device(name: str) -> torch.device:
    import torch

    if name == "cpu" or torch.cuda.is_available():
        return torch.device("cuda" if name == "auto" else name)
    if name == "auto":
        return torch.device("cpu")
    raise DeviceLostError(
        f'a model has device = "{name}", and PyTorch finds no GPU here; "auto" would take the CPU',
        name,
    )
