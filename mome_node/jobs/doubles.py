"""Doubles of the inference process's engine, for tests of what the node does when one fails.

They are shipped because they run in a child process, which imports nothing of the tests.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from mome_node.errors import ModelError
from mome_node.jobs.models import ModelChoice
from mome_node.jobs.requests import EvaluationRequest, InstalledModel, NotEvaluated


@dataclass(frozen=True, slots=True)
class FailingGpu:
    """A Loader whose models run on a GPU, unless they must run on the CPU, and fail there.

    ``at_start``: they cannot even be loaded onto it. On the CPU they answer how they were run; a
    study named in ``fails_anywhere`` fails there, too.
    """

    error: ModelError
    at_start: bool = False
    fails_anywhere: tuple[str, ...] = ()

    def __call__(
        self, choices: Sequence[ModelChoice], *, threads: int, memory: Path | None
    ) -> FailingGpuEngine:
        """See Loader."""
        (choice,) = choices
        engine = FailingGpuEngine(self, choice, threads, memory)
        if self.at_start and engine.on_gpu:
            raise self.error
        return engine


@dataclass(frozen=True, slots=True)
class FailingGpuEngine:
    """The Engine that it makes."""

    behaviour: FailingGpu
    choice: ModelChoice
    threads: int
    memory: Path | None

    @property
    def on_gpu(self) -> bool:
        """Whether it runs where it fails."""
        return self.choice.device != "cpu"

    @property
    def installed(self) -> tuple[InstalledModel, ...]:
        """See Engine."""
        device = "cuda:0" if self.on_gpu else "cpu"
        precision = "float32" if self.choice.precision == "auto" else self.choice.precision
        return (
            InstalledModel("double", "1", "d" * 64, "malignancy", True, False, device, precision),
        )

    def evaluate(self, request: EvaluationRequest) -> NotEvaluated:
        """See Engine."""
        if self.on_gpu or request.study_uid in self.behaviour.fails_anywhere:
            raise self.behaviour.error
        (model,) = self.installed
        return NotEvaluated(
            f"{model.device}, {model.precision}, {self.threads} threads, memory {self.memory}"
        )
