"""The documents inside a model package, which is a MONAI bundle.

https://docs.monai.io/en/stable/mb_specification.html. ``configs/metadata.json`` holds what MONAI
asks for and a section ``mome`` with what this node needs; ``package_schema.json`` says what is
allowed in it.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict
from importlib import metadata, resources
from typing import Any, NoReturn

from jsonschema import Draft202012Validator
from jsonschema.exceptions import best_match

from mome_node.errors import ModelError, PackageError
from mome_node.mome.config import InputSize, ModelConfig
from mome_node.mome.reference_run import ReferenceRun
from mome_node.mome.statement import OperatingPoint, Statement, statement_from
from mome_node.volumes.volume import Modality

_CHANNELS = {Modality.DCE: "subtraction", Modality.DWI: "high b-value trace", Modality.T2: "T2"}


def metadata_document(
    statement: Statement, config: ModelConfig, reference_run: ReferenceRun
) -> dict[str, Any]:
    """Return ``configs/metadata.json``."""
    return {
        "version": statement.version,
        "changelog": {statement.version: "written by mome-node"},
        "monai_version": metadata.version("monai"),
        "pytorch_version": metadata.version("torch"),
        "numpy_version": metadata.version("numpy"),
        "required_packages_version": {"safetensors": metadata.version("safetensors")},
        "name": statement.name,
        "task": f"Classification of multiparametric breast MRI: {statement.task}",
        "description": statement.description,
        "authors": statement.authors,
        "copyright": statement.copyright,
        "intended_use": "Research use only. Not a medical device.",
        "network_data_format": {
            "inputs": {m.value: _input_format(m, config.input_of(m)) for m in Modality},
            "outputs": {"pred": _output_format(statement)},
        },
        "mome": statement.to_json()
        | {
            "format": 1,
            "network": asdict(config),
            "reference_run": reference_run.to_json(),
        },
    }


def inference_document() -> dict[str, Any]:
    """Return ``configs/inference.json``, with which MONAI's ConfigParser builds the network."""
    return {
        "imports": ["$import torch"],
        "bundle_root": ".",
        "device": "$torch.device('cuda' if torch.cuda.is_available() else 'cpu')",
        "package": {
            "_target_": "mome_node.mome.package.ModelPackage.load",
            "path": "@bundle_root",
        },
        "network_def": "$@package.network().to(@device)",
    }


def card(statement: Statement, config: ModelConfig) -> str:
    """Return ``docs/README.md``: the statement for people to read."""
    sizes = [f"- {m}: {config.input_of(m).channels} x {config.input_of(m)}" for m in Modality]
    warning = (
        "**Synthetic: these weights never saw a patient's images.**\n"
        if statement.synthetic
        else ""
    )
    lines = [
        f"# {statement.name} {statement.version}",
        "",
        "Research use only. Not a medical device.",
        warning,
        statement.description,
        "",
        f"- Task: {statement.task}",
        f"- Classes: {', '.join(statement.classes)}; positive: {statement.positive_class}",
        f"- Label: {statement.label_definition}",
        f"- Calibrated: {statement.calibration}",
        f"- Contributions are counted from a probability of {statement.prior:g}",
        f"- Operating point: {_told(statement.operating_point)}",
        "",
        "## Inputs (channels x columns x rows x slices)",
        "",
        *sizes,
        "",
        "## Preprocessing",
        "",
        "```json",
        json.dumps(dict(statement.preprocessing), indent=2),
        "```",
        "",
        f"{statement.authors}. {statement.copyright}",
        "",
    ]
    return "\n".join(lines)


def parse_metadata(text: str) -> tuple[Statement, ModelConfig, ReferenceRun]:
    """Read ``configs/metadata.json``.

    Raises PackageError that names the field which is missing, unknown or has a wrong value.
    """
    try:
        document = json.loads(text, parse_constant=_refuse_constant)
    except (ValueError, RecursionError) as error:
        raise PackageError(f"configs/metadata.json is no JSON: {str(error)[:200]}") from error
    schema = json.loads(resources.files(__package__).joinpath("package_schema.json").read_text())
    fault = best_match(Draft202012Validator(schema).iter_errors(document))
    if fault is not None:
        field = ".".join(str(part) for part in fault.absolute_path) or "the document"
        raise PackageError(f"configs/metadata.json: {field}: {fault.message[:300]}")
    mome = document["mome"]
    statement = statement_from(document)
    config = _config_from(mome["network"])
    reference_run = ReferenceRun.from_json(mome["reference_run"])
    for field, count in (
        ("classes", len(statement.classes)),
        ("reference_run.logits", len(reference_run.logits)),
    ):
        if count != config.classes:
            raise PackageError(
                f"configs/metadata.json: mome.{field} has {count} entries, "
                f"but the network has {config.classes} classes"
            )
    return statement, config, reference_run


def _config_from(entry: Mapping[str, Any]) -> ModelConfig:
    inputs = {
        m.value: InputSize(entry[m.value]["channels"], tuple(entry[m.value]["size"]))
        for m in Modality
    }
    try:
        return ModelConfig(**{**entry, "stem": tuple(entry["stem"]), **inputs})
    except ModelError as error:
        raise PackageError(f"configs/metadata.json: mome.network: {error}") from error


def _input_format(modality: Modality, size: InputSize) -> dict[str, Any]:
    kind = _CHANNELS[modality]
    return {
        "type": "image",
        "format": "magnitude",
        "modality": "MR",
        "num_channels": size.channels,
        "spatial_shape": list(size.size),
        "dtype": "float32",
        "value_range": [],
        "is_patch_data": False,
        "channel_def": {str(n): kind for n in range(size.channels)},
    }


def _output_format(statement: Statement) -> dict[str, Any]:
    return {
        "type": "probabilities",
        "format": "classes",
        "num_channels": len(statement.classes),
        "spatial_shape": [],
        "dtype": "float32",
        "value_range": [],
        "is_patch_data": False,
        "channel_def": {str(n): name for n, name in enumerate(statement.classes)},
    }


def _told(point: OperatingPoint | None) -> str:
    if point is None:
        return "none stated"
    low, high = point.sensitivity_ci
    lower, upper = point.specificity_ci
    return (
        f"{point.name}: probability {point.threshold:g}; sensitivity {point.sensitivity:.3f} "
        f"({low:.3f} to {high:.3f}), specificity {point.specificity:.3f} ({lower:.3f} to "
        f"{upper:.3f}); n = {point.n}, prevalence {point.prevalence:.3f}, {point.population}"
    )


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is no JSON number")
