"""What the inference process runs: models in memory, and the evaluation of a study by them.

Importing this loads no PyTorch; ``load_engine`` does, and is called in that process only.
"""

from __future__ import annotations

import gc
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from mome_node.jobs.models import ModelChoice, load_models
from mome_node.jobs.requests import Evaluated, EvaluationRequest, InstalledModel, NotEvaluated

if TYPE_CHECKING:
    from mome_node.jobs.models import LoadedModel


class Engine(Protocol):
    """Evaluates studies with models that it holds."""

    @property
    def installed(self) -> tuple[InstalledModel, ...]:
        """The models."""
        ...

    def evaluate(self, request: EvaluationRequest) -> Evaluated | NotEvaluated:
        """Leave the study's result objects in the request's folder."""
        ...


class Loader(Protocol):
    """Makes an engine in the inference process. It goes there by pickle."""

    def __call__(
        self, choices: Sequence[ModelChoice], *, threads: int, memory: Path | None
    ) -> Engine:
        """Load the models. ``memory`` is a folder where findings on this machine are kept."""
        ...


@dataclass(frozen=True, slots=True)
class TorchEngine:
    """The engine that the node runs."""

    models: tuple[LoadedModel, ...]

    @property
    def installed(self) -> tuple[InstalledModel, ...]:
        """See Engine."""
        return tuple(model.installed for model in self.models)

    def evaluate(self, request: EvaluationRequest) -> Evaluated | NotEvaluated:
        """See Engine."""
        import torch

        from mome_node.jobs.evaluate_study import evaluate_study
        from mome_node.mome.device_errors import device_errors

        # Reading and writing need memory, too; a model's own device is seen to where it runs.
        with device_errors(torch.device("cpu")):
            return evaluate_study(request, self.models)


def load_engine(
    choices: Sequence[ModelChoice], *, threads: int, memory: Path | None
) -> TorchEngine:
    """See Loader. Raises ModelError."""
    import torch

    from mome_node.results.iod_tables import load_tables

    # Every study needs these: the first one shall not wait for them.
    import_module("mome_node.jobs.evaluate_study")
    load_tables()
    torch.set_num_threads(threads)
    engine = TorchEngine(load_models(choices, memory=memory))
    # What is loaded stays: looking through its half a million objects for garbage would cost
    # every study's report a third of a second.
    gc.collect()
    gc.freeze()
    return engine
