"""The inference process: a child that holds torch and the models, fed one study at a time.

It ends when its parent ends, whatever the way: the pipe between them breaks.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from multiprocessing import get_context
from multiprocessing.connection import Connection
from multiprocessing.context import SpawnProcess

from mome_node.errors import ModelError, NodeError
from mome_node.jobs.models import ModelChoice
from mome_node.jobs.requests import Evaluated, EvaluationRequest, InstalledModel, NotEvaluated

START_TIMEOUT_S = 300.0
EVALUATION_TIMEOUT_S = 3600.0


class WorkerError(NodeError):
    """The inference process ended, hung or failed on a study."""


class InferenceProcess:
    """The parent's side. Not for several threads at once."""

    def __init__(
        self,
        choices: Sequence[ModelChoice],
        *,
        threads: int | None = None,
        evaluation_timeout_s: float = EVALUATION_TIMEOUT_S,
    ) -> None:
        self._choices = tuple(choices)
        self._threads = threads or os.cpu_count() or 1
        self._timeout_s = evaluation_timeout_s
        self._process: SpawnProcess | None = None
        self._pipe: Connection | None = None

    def start(self) -> tuple[InstalledModel, ...]:
        """Start the process and load the models; ModelError if a package is bad."""
        self.stop()
        context = get_context("spawn")
        self._pipe, theirs = context.Pipe()
        self._process = context.Process(
            target=_run, args=(theirs, self._choices, self._threads), daemon=True
        )
        self._process.start()
        theirs.close()
        answer = self._receive(START_TIMEOUT_S)
        if isinstance(answer, Exception):
            self.stop()
            raise ModelError(str(answer)) from answer
        return tuple(answer)  # type: ignore[arg-type]  # the child's first word is the models

    def evaluate(self, request: EvaluationRequest) -> Evaluated | NotEvaluated:
        """Evaluate one study; WorkerError if the process fails, which then starts anew."""
        if self._process is None or not self._process.is_alive():
            self.start()
        assert self._pipe is not None
        try:
            self._pipe.send(request)
        except (OSError, ValueError) as error:
            self.stop()
            raise WorkerError("the inference process was gone before the study began") from error
        answer = self._receive(self._timeout_s)
        if isinstance(answer, Exception):
            raise WorkerError(f"{type(answer).__name__}: {answer}") from answer
        assert isinstance(answer, Evaluated | NotEvaluated)
        return answer

    def stop(self) -> None:
        """End the process. Harmless when there is none."""
        if self._pipe is not None:
            self._pipe.close()
        if self._process is not None:
            self._process.kill()
            self._process.join()
        self._pipe = self._process = None

    def _receive(self, timeout_s: float) -> object:
        assert self._pipe is not None
        try:
            if self._pipe.poll(timeout_s):
                return self._pipe.recv()
        except (EOFError, OSError) as error:
            self.stop()
            raise WorkerError("the inference process ended: out of memory, or killed") from error
        self.stop()
        raise WorkerError(f"the inference process gave no answer in {timeout_s:g} s")


def _run(pipe: Connection, choices: tuple[ModelChoice, ...], threads: int) -> None:
    """The child: load the models, then answer until the pipe breaks."""
    try:
        import torch

        from mome_node.jobs.evaluate_study import evaluate_study
        from mome_node.jobs.models import load_models
        from mome_node.logs import configure_logging

        configure_logging()
        torch.set_num_threads(threads)
        models = load_models(choices)
        pipe.send(
            tuple(
                InstalledModel(
                    name=m.package.statement.name,
                    version=m.package.statement.version,
                    digest=m.package.digest,
                    task=m.package.statement.task,
                    synthetic=m.package.statement.synthetic,
                    allow_synthetic_on_patients=m.choice.allow_synthetic_on_patients,
                    device=str(m.device),
                )
                for m in models
            )
        )
    except (NodeError, OSError, RuntimeError, ImportError) as error:
        pipe.send(_plain(error))
        return
    while True:
        try:
            request = pipe.recv()
        except (EOFError, OSError):
            return
        answer: object
        try:
            answer = evaluate_study(request, models)
        except Exception as error:  # noqa: BLE001  # one study's fault must not end the process
            answer = _plain(error)
        pipe.send(answer)


def _plain(error: Exception) -> NodeError:
    """An error that pickles, with the words of one of ours; foreign words may name a patient."""
    if isinstance(error, NodeError):
        return NodeError(f"{error}")
    return NodeError(f"unexpected {type(error).__name__}")
