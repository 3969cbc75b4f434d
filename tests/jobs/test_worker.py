"""The inference process: killed, hung, interrupted, orphaned, and at work.

A study is held in the middle of its evaluation by a named pipe in the place of one of its files.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path

import psutil
import pytest

from mome_node.assembly.rules import AssemblyRules
from mome_node.errors import ModelError
from mome_node.jobs.models import ModelChoice
from mome_node.jobs.reading import SourceInstance
from mome_node.jobs.requests import EvaluationInterruptedError, EvaluationRequest, NotEvaluated
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


def request(*paths: Path) -> EvaluationRequest:
    return EvaluationRequest(
        study_uid="1.2",
        revision=1,
        instances=tuple(SourceInstance("1.2.3", path, "0" * 64) for path in paths),
        rules=AssemblyRules(),
        label="label",
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
    process = InferenceProcess((ModelChoice(),), threads=1, evaluation_timeout_s=0.5)
    try:
        with pytest.raises(WorkerError, match=r"no answer in 0\.5 s"):
            process.evaluate(request(held))
        assert process.pid is None
        process._timeout_s = WAIT_S
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
        label="label",
        station_name="MOME",
        recorded_at=datetime(2026, 1, 1, tzinfo=UTC),
        out_dir=tmp_path,
    )
    with pytest.raises(WorkerError, match=r"^unexpected TypeError$"):
        process.evaluate(broken)
    assert works(process)
    assert process.pid == pid


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
