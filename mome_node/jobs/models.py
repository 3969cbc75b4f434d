"""The installed models: which packages a site has chosen, loaded and ready to run."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch

    from mome_node.mome.network import Mome
    from mome_node.mome.package import ModelPackage

DEMONSTRATION = "demo"


@dataclass(frozen=True, slots=True)
class ModelChoice:
    """A package as the settings name it: a folder, or "demo" for the bundled one."""

    package: str = DEMONSTRATION
    device: str = "auto"
    allow_synthetic_on_patients: bool = False

    @property
    def path(self) -> Path:
        """The package's folder."""
        if self.package == DEMONSTRATION:
            return Path(str(resources.files("mome_node.demonstration") / "package"))
        return Path(self.package)

    def accepts(self, *, synthetic_exam: bool, synthetic_package: bool) -> bool:
        """Whether this package may evaluate such an exam: synthetic weights never see a patient."""
        return synthetic_exam or not synthetic_package or self.allow_synthetic_on_patients


@dataclass(frozen=True, slots=True, eq=False)
class LoadedModel:
    """A package whose network is in memory on its device."""

    choice: ModelChoice
    package: ModelPackage
    network: Mome
    device: torch.device


def load_models(choices: Sequence[ModelChoice]) -> tuple[LoadedModel, ...]:
    """Load every chosen package; PackageError says what is wrong with one."""
    # Imported here, so that the process that receives never loads torch.
    from mome_node.mome.package import ModelPackage

    loaded = []
    for choice in choices:
        package = ModelPackage.load(choice.path)
        device = _device(choice.device)
        loaded.append(LoadedModel(choice, package, package.network().to(device), device))
    return tuple(loaded)


def _device(name: str) -> torch.device:
    import torch

    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    return torch.device(name)
