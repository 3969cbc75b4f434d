"""The inference process: a child that holds torch and the models, fed one study at a time.

It ends when its parent ends, whatever the way, also in the middle of a study. Signals that end
the whole group are its parent's to answer.

Where a device fails, the process is ended, which gives back its memory. After a GPU's failure, or
an answer that is no number, the next one runs the models on the CPU in float32, for an hour: so the
study's retry does not meet what it failed on.
"""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from multiprocessing import get_context, parent_process
from multiprocessing.connection import Connection
from multiprocessing.context import SpawnProcess
from pathlib import Path

import structlog

from mome_node.errors import DeviceError, ModelError, NodeError, NotANumberError
from mome_node.jobs.engine import Loader, load_engine
from mome_node.jobs.models import ModelChoice
from mome_node.jobs.requests import (
    NOT_TRIED_AGAIN,
    Evaluated,
    EvaluationInterruptedError,
    EvaluationRequest,
    InstalledModel,
    NotEvaluated,
)
from mome_node.jobs.timers import place

log = structlog.get_logger(__name__)

CPU = "cpu"

START_TIMEOUT_S = 900.0
TIME_LIMIT_S = 3600.0

DEVICE_REST_S = 3600.0
"""So long the models stay on the CPU after they failed elsewhere: a GPU may be reset meanwhile."""


class WorkerError(NodeError):
    """The inference process ended, hung or failed on a study."""


class InferenceProcess:
    """The parent's side. Only ``interrupt`` may be called from another thread.

    ``threads``: 0 takes all cores. ``memory`` is a folder where findings on this machine are kept.
    """

    def __init__(
        self,
        choices: Sequence[ModelChoice],
        *,
        threads: int = 0,
        time_limit_s: float = TIME_LIMIT_S,
        memory: Path | None = None,
        load: Loader = load_engine,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._choices = tuple(choices)
        self.threads = threads or len(os.sched_getaffinity(0))
        self.time_limit_s = time_limit_s
        self.memory = memory
        self._load = load
        self._monotonic = monotonic
        self._models: tuple[InstalledModel, ...] = ()
        self._rest_until: float | None = None
        self._process: SpawnProcess | None = None
        self._pipe: Connection | None = None
        self._interrupted = threading.Event()

    @property
    def pid(self) -> int | None:
        """The process's number while there is one."""
        return self._process.pid if self._process is not None else None

    def start(self) -> tuple[InstalledModel, ...]:
        """Start the process and load the models.

        Raises ModelError if a package is bad, DeviceError if a device fails.
        """
        self.stop()
        context = get_context("spawn")
        self._pipe, theirs = context.Pipe()
        process = context.Process(
            target=_run,
            args=(theirs, self._load, self._choices_now(), self.threads, self.memory),
            daemon=True,
        )
        process.start()
        self._process = process
        theirs.close()
        if self._interrupted.is_set():  # before there was a process to kill
            process.kill()
        answer = self._receive(START_TIMEOUT_S)
        if isinstance(answer, Exception):
            self.stop()
            if isinstance(answer, DeviceError):
                raise answer
            raise ModelError(str(answer)) from answer
        assert isinstance(answer, tuple)
        self._models = answer
        return answer

    def prepare(self) -> None:
        """See Evaluator."""
        if self._rest_until is not None and not self._resting():
            self._rest_until = None
            log.warning("the models go back from the CPU to where the settings want them")
            self.stop()
        if self._process is not None and self._process.is_alive():
            return
        try:
            self.start()
        except DeviceError as error:
            if error.device == CPU:
                raise
            self._rest(error)
            self.start()

    def evaluate(self, request: EvaluationRequest) -> Evaluated | NotEvaluated:
        """Evaluate one study; WorkerError if the process fails, which then starts anew.

        DeviceError if the device does, NotANumberError if the model's answer is none.
        """
        self.prepare()
        try:
            self._send(request)
        except OSError:
            # It ended while it had nothing to do: that is not this study's fault.
            self.stop()
            self.prepare()
            try:
                self._send(request)
            except OSError as error:
                self.stop()
                raise self._ended("was gone before the study began") from error
        answer = self._receive(self.time_limit_s)
        if isinstance(answer, Exception):
            raise self._after(answer)
        assert isinstance(answer, Evaluated | NotEvaluated)
        return answer

    def _after(self, error: Exception) -> NodeError:
        """Do what an error asks for; it comes back as what the study's failure is told by."""
        match error:
            case DeviceError():
                self._leave_device(error)
                return error
            case NotANumberError() if all(map(_is_plain, self._models)):
                return NotANumberError(f"{error}, on the CPU in float32; {NOT_TRIED_AGAIN}")
            case NotANumberError():
                self._rest(error)
                return error
        return WorkerError(str(error))

    def _leave_device(self, error: DeviceError) -> None:
        """The process ends, whatever failed; and where it was no CPU, the next one runs on it."""
        if error.device == CPU:
            self.stop()
            log.warning("the inference process gives back its memory", cause=str(error))
        else:
            self._rest(error)

    def _rest(self, error: ModelError) -> None:
        self.stop()
        self._rest_until = self._monotonic() + DEVICE_REST_S
        log.warning("the models go to the CPU, in float32", cause=str(error), for_s=DEVICE_REST_S)

    def _resting(self) -> bool:
        return self._rest_until is not None and self._monotonic() < self._rest_until

    def _choices_now(self) -> tuple[ModelChoice, ...]:
        if not self._resting():
            return self._choices
        return tuple(replace(c, device=CPU, precision="float32") for c in self._choices)

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


def _is_plain(model: InstalledModel) -> bool:
    """Whether a model runs in the one way that there is nothing plainer than."""
    return model.device == CPU and model.precision == "float32"


def _run(
    pipe: Connection,
    load: Loader,
    choices: tuple[ModelChoice, ...],
    threads: int,
    memory: Path | None,
) -> None:
    """The child: load the models, then answer until the pipe breaks."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, daemon=True).start()
    try:
        from mome_node.logs import configure_logging

        configure_logging()
        engine = load(choices, threads=threads, memory=memory)
        pipe.send(engine.installed)
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
            answer = engine.evaluate(request)
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
    """An error that pickles, with the words of one of ours; foreign words may name a patient.

    What the parent acts on crosses as what it is: pickle leaves behind what it came from.
    """
    if isinstance(error, DeviceError | NotANumberError):
        return error
    told = f"{error}" if isinstance(error, NodeError) else f"unexpected {type(error).__name__}"
    return NodeError(told)
