"""The truth of a phantom as a JSON file, beside its DICOM and never within it.

Keys: ``malignant``, ``lesions`` (each ``center_mm`` LPS, ``radii_mm``, ``malignant``,
``laterality``), ``phase_times_s``, ``seed``, ``version``.
"""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from types import MappingProxyType
from typing import Any

import jsonschema

from mome_node.errors import PhantomError
from mome_node.phantom.exam import Lesion, Truth

_POINT = {"type": "array", "items": {"type": "number"}, "minItems": 3, "maxItems": 3}

_SCHEMA = MappingProxyType(
    {
        "type": "object",
        "required": ["malignant", "lesions", "phase_times_s", "seed", "version"],
        "properties": {
            "malignant": {"type": "boolean"},
            "lesions": {
                "type": "array",
                "items": {
                    "type": "object",
                    "required": ["center_mm", "radii_mm", "malignant", "laterality"],
                    "properties": {
                        "center_mm": _POINT,
                        "radii_mm": _POINT,
                        "malignant": {"type": "boolean"},
                        "laterality": {"enum": ["L", "R"]},
                    },
                },
            },
            "phase_times_s": {"type": "array", "items": {"type": "number"}},
            "seed": {"type": "integer"},
            "version": {"type": "string"},
        },
    }
)


def write_truth(truth: Truth, path: Path) -> None:
    """Write the truth as JSON. Raises PhantomError if the file cannot be written."""
    text = json.dumps(dataclasses.asdict(truth), indent=2) + "\n"
    try:
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise PhantomError(f"cannot write the truth to {path}: {error.strerror}") from error


def read_truth(path: Path) -> Truth:
    """Read what ``write_truth`` wrote. Raises PhantomError if the file is no such thing."""
    try:
        found: Any = json.loads(path.read_text(encoding="utf-8"))
        jsonschema.validate(found, dict(_SCHEMA))
    except OSError as error:
        raise PhantomError(f"cannot read the truth from {path}: {error.strerror}") from error
    except (ValueError, RecursionError) as error:
        raise PhantomError(f"{path} is not JSON: {error}") from error
    except jsonschema.ValidationError as error:
        raise PhantomError(
            f"{path} is not a phantom's truth, at {error.json_path}: {error.message}"
        ) from error
    return Truth(
        seed=found["seed"],
        version=found["version"],
        malignant=found["malignant"],
        lesions=tuple(_lesion(lesion) for lesion in found["lesions"]),
        phase_times_s=tuple(map(float, found["phase_times_s"])),
    )


def _lesion(found: dict[str, Any]) -> Lesion:
    x, y, z = map(float, found["center_mm"])
    a, b, c = map(float, found["radii_mm"])
    return Lesion((x, y, z), (a, b, c), found["malignant"], found["laterality"])
