"""The inference process: a child that holds torch and the models, fed one study at a time.

It ends when its parent ends, whatever the way, also in the middle of a study. Signals that end
the whole group are its parent's to answer.
"""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Sequence
from multiprocessing import get_context, parent_process
from multiprocessing.connection import Connection
from multiprocessing.context import SpawnProcess

import structlog

from mome_node.errors import ModelError, NodeError
from mome_node.jobs.models import ModelChoice
from mome_node.jobs.requests import (
    Evaluated,
    EvaluationInterruptedError,
    EvaluationRequest,
    InstalledModel,
    NotEvaluated,
)
from mome_node.jobs.timers import place

log = structlog.get_logger(__name__)

START_TIMEOUT_S = 300.0
EVALUATION_TIMEOUT_S = 3600.0


class WorkerError(NodeError):
    """The inference process ended, hung or failed on a study."""


class InferenceProcess:
    """The parent's side. Only ``interrupt`` may be called from another thread."""

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
        self._interrupted = threading.Event()

    @property
    def pid(self) -> int | None:
        """The process's number while there is one."""
        return self._process.pid if self._process is not None else None

    def start(self) -> tuple[InstalledModel, ...]:
        """Start the process and load the models; ModelError if a package is bad."""
        self.stop()
        context = get_context("spawn")
        self._pipe, theirs = context.Pipe()
        process = context.Process(
            target=_run, args=(theirs, self._choices, self._threads), daemon=True
        )
        process.start()
        self._process = process
        theirs.close()
        if self._interrupted.is_set():  # before there was a process to kill
            process.kill()
        answer = self._receive(START_TIMEOUT_S)
        if isinstance(answer, Exception):
            self.stop()
            raise ModelError(str(answer)) from answer
        assert isinstance(answer, tuple)
        return answer

    def prepare(self) -> None:
        """See Evaluator."""
        if self._process is None or not self._process.is_alive():
            self.start()

    def evaluate(self, request: EvaluationRequest) -> Evaluated | NotEvaluated:
        """Evaluate one study; WorkerError if the process fails, which then starts anew."""
        self.prepare()
        try:
            self._send(request)
        except OSError:
            # It ended while it had nothing to do: that is not this study's fault.
            self.start()
            try:
                self._send(request)
            except OSError as error:
                self.stop()
                raise self._ended("was gone before the study began") from error
        answer = self._receive(self._timeout_s)
        if isinstance(answer, Exception):
            raise WorkerError(str(answer)) from answer
        assert isinstance(answer, Evaluated | NotEvaluated)
        return answer

    def interrupt(self) -> None:
        """See Evaluator."""
        self._interrupted.set()
        process = self._process
        if process is not None:
            process.kill()

    def stop(self) -> None:
        """End the process. Harmless when there is none."""
        if self._pipe is not None:
            self._pipe.close()
        if self._process is not None:
            self._process.kill()
            self._process.join()
        self._pipe = self._process = None

    def _send(self, request: EvaluationRequest) -> None:
        assert self._pipe is not None
        self._pipe.send(request)

    def _receive(self, timeout_s: float) -> object:
        assert self._pipe is not None
        try:
            if self._pipe.poll(timeout_s):
                return self._pipe.recv()
        except (EOFError, OSError) as error:
            self.stop()
            raise self._ended("ended: out of memory, or killed") from error
        self.stop()
        raise WorkerError(f"the inference process gave no answer in {timeout_s:g} s")

    def _ended(self, how: str) -> NodeError:
        if self._interrupted.is_set():
            return EvaluationInterruptedError("the node stops")
        return WorkerError(f"the inference process {how}")


def _run(pipe: Connection, choices: tuple[ModelChoice, ...], threads: int) -> None:
    """The child: load the models, then answer until the pipe breaks."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, daemon=True).start()
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
            log.error("evaluation failed", cause=str(answer), at=place(error))
        try:
            pipe.send(answer)
        except OSError:
            return


def _end_with_parent() -> None:
    """A node that is started again must not meet an old evaluation that still runs."""
    parent = parent_process()
    assert parent is not None  # this is a child
    parent.join()
    os._exit(1)


def _plain(error: Exception) -> NodeError:
    """An error that pickles, with the words of one of ours; foreign words may name a patient."""
    told = f"{error}" if isinstance(error, NodeError) else f"unexpected {type(error).__name__}"
    return NodeError(told)
