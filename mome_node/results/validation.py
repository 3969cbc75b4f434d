"""The last look at result objects before they leave: a failing one is not sent."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from io import BytesIO
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

from pydicom import dcmread

from mome_node.errors import InvalidResultError, ResultError
from mome_node.results.dciodvfy import dciodvfy_errors
from mome_node.results.findings import Findings
from mome_node.results.iod_check import iod_faults
from mome_node.results.result_set import encode
from mome_node.results.seg_check import check_segmentation
from mome_node.results.sources import SourceImages
from mome_node.results.value_check import without_warnings

MOST_TOLD: Final = 5
"""Faults that an error tells one by one; the first ones say what is wrong."""

_AT_ONCE: Final = 2


def validate(encoded: Path | bytes) -> tuple[str, ...]:
    """What is wrong with an encoded object, by our own check and by dciodvfy; nothing if valid.

    No fault quotes a value.
    """
    if isinstance(encoded, Path):
        return (*_own_faults(encoded), *dciodvfy_errors(encoded))
    with TemporaryDirectory() as folder:
        path = Path(folder) / "object.dcm"
        path.write_bytes(encoded)
        return validate(path)


def refuse_invalid(kind: str, path: Path) -> None:
    """Raise InvalidResultError that names the faults of an encoded object, if it has any."""
    _refuse(kind, validate(path))


def validate_objects(
    objects: Iterable[tuple[str, Path]], findings: Findings, sources: SourceImages
) -> None:
    """Check the very files that will be sent: (kind, path) each.

    A segmentation is also read back and compared with the findings. Raises InvalidResultError
    that names the kind of the first object that fails, and its faults.
    """
    given = tuple(objects)
    with ThreadPoolExecutor(_AT_ONCE) as pool:  # dciodvfy runs beside our own check
        told = [pool.submit(dciodvfy_errors, path) for _, path in given]
        for (kind, path), errors in zip(given, told, strict=True):
            _refuse(kind, _own_faults(path))
            if kind == "seg":
                check_segmentation(path.read_bytes(), findings, sources)
            _refuse(kind, errors.result())


def _refuse(kind: str, faults: tuple[str, ...]) -> None:
    if not faults:
        return
    more = f"; and {len(faults) - MOST_TOLD} more" if len(faults) > MOST_TOLD else ""
    raise InvalidResultError(
        f"the {kind} object is not valid and is not sent: {'; '.join(faults[:MOST_TOLD])}{more}"
    )


def _own_faults(path: Path) -> tuple[str, ...]:
    encoded = path.read_bytes()
    try:
        with without_warnings():
            dataset = dcmread(BytesIO(encoded))
            if encode(dataset) != encoded:  # it breaks off, or has a wrong length
                return ("it does not read back as the same bytes",)
            deque(dataset.iterall(), maxlen=0)  # values are decoded when they are looked at
    except Exception:  # noqa: BLE001  # readers say anything to what is broken
        return ("it cannot be read back",)
    try:
        return iod_faults(dataset)
    except ResultError as error:
        return (str(error),)
    except (AttributeError, LookupError, TypeError, ValueError):
        return ("an attribute is not of the kind that its name says",)
