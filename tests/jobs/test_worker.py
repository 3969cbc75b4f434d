"""The inference process: killed, hung, interrupted, orphaned, and at work.

A study is held in the middle of its evaluation by a named pipe in the place of one of its files.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psutil
import pytest
import structlog

from mome_node.assembly.rules import AssemblyRules
from mome_node.errors import DeviceLostError, DeviceMemoryError, ModelError, NotANumberError
from mome_node.jobs.doubles import FailingGpu
from mome_node.jobs.engine import Loader
from mome_node.jobs.models import ModelChoice
from mome_node.jobs.reading import SourceInstance
from mome_node.jobs.requests import (
    NOT_TRIED_AGAIN,
    EvaluationInterruptedError,
    EvaluationRequest,
    NotEvaluated,
)
from mome_node.jobs.worker import InferenceProcess, WorkerError

WAIT_S = 120.0

ORPHAN = """\
import sys
from datetime import UTC, datetime
from pathlib import Path
from mome_node.assembly.rules import AssemblyRules
from mome_node.jobs.models import ModelChoice
from mome_node.jobs.reading import SourceInstance
from mome_node.jobs.requests import EvaluationRequest
from mome_node.jobs.worker import InferenceProcess

if __name__ == "__main__":
    process = InferenceProcess((ModelChoice(),), threads=1)
    process.start()
    print(process.pid, flush=True)
    held = SourceInstance("1.2.3", Path(sys.argv[1]), "0" * 64)
    process.evaluate(
        EvaluationRequest("1.2", 1, (held,), AssemblyRules(), "label", "MOME",
                          datetime.now(UTC), Path("."))
    )
"""


@dataclass
class Clock:
    """A monotonic clock in hand."""

    now: float = 1000.0

    def monotonic(self) -> float:
        return self.now

    def advance(self, seconds: float) -> None:
        self.now += seconds


def request(*paths: Path) -> EvaluationRequest:
    return EvaluationRequest(
        study_uid="1.2",
        revision=1,
        instances=tuple(SourceInstance("1.2.3", path, "0" * 64) for path in paths),
        rules=AssemblyRules(),
        station_name="MOME",
        recorded_at=datetime(2026, 1, 1, tzinfo=UTC),
        out_dir=Path("nothing-is-made"),
    )


@pytest.fixture
def held(tmp_path: Path) -> Path:
    """A file that holds up whoever reads it."""
    path = tmp_path / "held"
    os.mkfifo(path)
    return path


@pytest.fixture(scope="module")
def process() -> Iterator[InferenceProcess]:
    made = InferenceProcess((ModelChoice(),), threads=1)
    made.start()
    yield made
    made.stop()


def wait_until_read(held: Path) -> int:
    """Return once somebody reads the file; closing what is returned gives it an empty content."""
    return os.open(held, os.O_WRONLY)


def works(process: InferenceProcess) -> bool:
    return isinstance(process.evaluate(request()), NotEvaluated)


def test_start_tells_the_models(process):
    (model,) = process.start()
    assert (model.task, model.synthetic) == ("malignancy", True)
    assert len(model.digest) == 64


def test_process_that_is_killed_in_the_middle_of_a_study_fails_it_and_does_the_next(process, held):
    with ThreadPoolExecutor(1) as pool:
        outcome = pool.submit(process.evaluate, request(held))
        pipe = wait_until_read(held)
        assert process.pid is not None
        os.kill(process.pid, signal.SIGKILL)
        with pytest.raises(WorkerError, match="killed"):
            outcome.result(WAIT_S)
        os.close(pipe)
    assert works(process)


def test_process_that_is_killed_while_idle_is_started_again(process):
    assert works(process)
    psutil.Process(process.pid).kill()
    psutil.Process(process.pid).wait(WAIT_S)
    assert works(process)


def test_study_that_takes_too_long_is_given_up_and_the_next_is_done(held):
    process = InferenceProcess((ModelChoice(),), threads=1, time_limit_s=0.5)
    try:
        with pytest.raises(WorkerError, match=r"no answer in 0\.5 s"):
            process.evaluate(request(held))
        assert process.pid is None
        process.time_limit_s = WAIT_S
        assert works(process)
    finally:
        process.stop()


def test_signals_for_the_whole_group_leave_the_study_to_its_parent(process, held):
    with ThreadPoolExecutor(1) as pool:
        outcome = pool.submit(process.evaluate, request(held))
        pipe = wait_until_read(held)
        for number in (signal.SIGINT, signal.SIGTERM):
            os.kill(process.pid, number)
        os.close(pipe)
        found = outcome.result(WAIT_S)
    assert isinstance(found, NotEvaluated)
    assert found.quarantine  # the empty file is no DICOM


def test_interruption_is_told_apart_from_a_crash_and_nothing_is_begun_after_it(held):
    process = InferenceProcess((ModelChoice(),), threads=1)
    with ThreadPoolExecutor(1) as pool:
        outcome = pool.submit(process.evaluate, request(held))
        pipe = wait_until_read(held)
        process.interrupt()
        with pytest.raises(EvaluationInterruptedError):
            outcome.result(WAIT_S)
        os.close(pipe)
    with pytest.raises(EvaluationInterruptedError):
        process.evaluate(request())
    process.stop()


def test_unexpected_fault_of_a_study_is_told_without_its_words_and_ends_nothing(process, tmp_path):
    pid = process.pid
    broken = EvaluationRequest(
        study_uid="1.2",
        revision=1,
        instances=None,  # type: ignore[arg-type]  # the fault
        rules=AssemblyRules(),
        station_name="MOME",
        recorded_at=datetime(2026, 1, 1, tzinfo=UTC),
        out_dir=tmp_path,
    )
    with pytest.raises(WorkerError, match=r"^unexpected TypeError$"):
        process.evaluate(broken)
    assert works(process)
    assert process.pid == pid


# Devices that fail


LOST = DeviceLostError("the device cuda:0 does not answer any more", "cuda:0")
NO_NUMBER = NotANumberError("the network's answer holds NaN or infinite values")


@pytest.fixture
def make() -> Iterator[Callable[..., InferenceProcess]]:
    """Factory of processes whose engine is a double; none outlives its test."""
    made: list[InferenceProcess] = []

    def make(load: Loader, clock: Clock | None = None, **choice: Any) -> InferenceProcess:
        process = InferenceProcess(
            (ModelChoice(**choice),),
            threads=2,
            memory=Path("/var/lib/node"),
            load=load,
            monotonic=(clock or Clock()).monotonic,
        )
        made.append(process)
        return process

    yield make
    for process in made:
        process.stop()


def evaluated(process: InferenceProcess, study_uid: str = "1.2") -> str:
    outcome = process.evaluate(replace(request(), study_uid=study_uid))
    assert isinstance(outcome, NotEvaluated)
    return outcome.reason


ON_CPU = "cpu, float32, 2 threads, memory /var/lib/node"


def test_gpu_that_is_lost_fails_the_study_whose_retry_runs_on_the_cpu(make):
    process = make(FailingGpu(LOST))
    assert process.start()[0].device == "cuda:0"
    with structlog.testing.capture_logs() as logs, pytest.raises(DeviceLostError) as caught:
        evaluated(process)
    assert (str(caught.value), caught.value.device) == (str(LOST), "cuda:0")
    assert process.pid is None
    assert evaluated(process) == ON_CPU
    (warning,) = [line for line in logs if line["log_level"] == "warning"]
    assert warning["cause"] == str(LOST)


def test_gpu_without_enough_memory_is_left_as_well(make):
    process = make(FailingGpu(DeviceMemoryError("not enough memory on cuda:0", "cuda:0")))
    with pytest.raises(DeviceMemoryError):
        evaluated(process)
    assert evaluated(process) == ON_CPU


def test_models_go_back_to_the_gpu_after_an_hour(make):
    clock = Clock()
    process = make(FailingGpu(LOST), clock)
    with pytest.raises(DeviceLostError):
        evaluated(process)
    assert evaluated(process) == ON_CPU
    pid = process.pid
    clock.advance(3599)
    assert evaluated(process) == ON_CPU
    assert process.pid == pid
    clock.advance(1)
    with pytest.raises(DeviceLostError):
        evaluated(process)
    assert evaluated(process) == ON_CPU


def test_gpu_that_takes_no_models_any_more_leaves_them_on_the_cpu(make):
    process = make(FailingGpu(LOST, at_start=True))
    with pytest.raises(DeviceLostError):
        process.start()  # the node's own start says so, as of every fault then
    assert process.pid is None
    assert evaluated(process) == ON_CPU


def test_cpu_without_enough_memory_gets_a_new_process_and_stays_the_device(make):
    error = DeviceMemoryError("not enough memory on cpu for this exam", "cpu")
    process = make(FailingGpu(error, fails_anywhere=("1.9",)), device="cpu")
    assert evaluated(process) == ON_CPU
    pid = process.pid
    with pytest.raises(DeviceMemoryError):
        evaluated(process, "1.9")
    assert process.pid is None
    assert evaluated(process) == ON_CPU
    assert process.pid != pid


def test_answer_that_is_no_number_is_tried_again_on_the_cpu_in_float32(make):
    process = make(FailingGpu(NO_NUMBER))
    with pytest.raises(NotANumberError) as caught:
        evaluated(process)
    assert NOT_TRIED_AGAIN not in str(caught.value)
    assert evaluated(process) == ON_CPU


@pytest.mark.parametrize(
    ("choice", "tries"),
    [
        ({}, 2),  # the GPU, then the CPU
        ({"device": "cpu", "precision": "bfloat16"}, 2),
        ({"device": "cpu"}, 1),
    ],
)
def test_answer_that_is_no_number_anywhere_is_not_tried_again_the_same_way(make, choice, tries):
    process = make(FailingGpu(NO_NUMBER, fails_anywhere=("1.9",)), **choice)
    told = []
    for _ in range(tries):
        with pytest.raises(NotANumberError) as caught:
            evaluated(process, "1.9")
        told.append(str(caught.value).endswith(NOT_TRIED_AGAIN))
    assert told == [False] * (tries - 1) + [True]
    assert evaluated(process) == ON_CPU


def test_package_that_is_not_there_is_told_at_start(tmp_path):
    process = InferenceProcess((ModelChoice(str(tmp_path / "none")),))
    with pytest.raises(ModelError):
        process.start()
    assert process.pid is None


def test_stop_is_harmless_without_a_process():
    process = InferenceProcess((ModelChoice(),))
    process.stop()
    process.interrupt()


def test_process_ends_with_its_parent_in_the_middle_of_a_study(held, tmp_path):
    script = tmp_path / "parent.py"
    script.write_text(ORPHAN)
    with subprocess.Popen(
        [sys.executable, str(script), str(held)], stdout=subprocess.PIPE, text=True
    ) as parent:
        assert parent.stdout is not None
        watchdog = threading.Timer(WAIT_S, parent.kill)
        watchdog.start()
        child = psutil.Process(int(parent.stdout.readline()))
        pipe = wait_until_read(held)
        watchdog.cancel()
        parent.kill()
    ended(child)
    os.close(pipe)


def ended(process: psutil.Process) -> None:
    """Wait until a process that is nobody's child any more has ended, reaped or not."""
    pause = threading.Event()
    for _ in range(int(WAIT_S / 0.02)):
        try:
            if process.status() == psutil.STATUS_ZOMBIE:
                return
        except psutil.NoSuchProcess:
            return
        pause.wait(0.02)
    raise AssertionError("the process outlives its parent")
