"""The documents inside a model package, which is a MONAI bundle.

https://docs.monai.io/en/stable/mb_specification.html. ``configs/metadata.json`` holds what MONAI
asks for and a section ``mome`` with what this node needs; ``package_schema.json`` says what is
allowed in it.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from importlib import metadata, resources
from typing import Any, NoReturn

from jsonschema import Draft202012Validator
from jsonschema.exceptions import best_match

from mome_node.errors import ModelError, PackageError
from mome_node.mome.config import InputSize, ModelConfig
from mome_node.mome.preprocess_spec import PreprocessSpec
from mome_node.mome.reference_run import ReferenceRun
from mome_node.mome.statement import Statement, statement_from
from mome_node.volumes.volume import Modality

FORMAT = 2
"""Raised whenever a package of the form before cannot be read any more."""

_CHANNELS = {Modality.DCE: "subtraction", Modality.DWI: "high b-value trace", Modality.T2: "T2"}


@dataclass(frozen=True, slots=True)
class Metadata:
    """``configs/metadata.json`` as read. ``weights`` are names of files in ``models/``."""

    statement: Statement
    config: ModelConfig
    weights: tuple[str, ...]
    reference_run: ReferenceRun


def metadata_document(
    statement: Statement,
    config: ModelConfig,
    weights: Sequence[str],
    reference_run: ReferenceRun,
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
            "format": FORMAT,
            "network": asdict(config),
            "weights": list(weights),
            "reference_run": reference_run.to_json(),
        },
    }


def inference_document(weights: Sequence[str]) -> dict[str, Any]:
    """Return ``configs/inference.json``, with which MONAI's ConfigParser builds the network.

    Of several weight files it makes a ModuleList: the mean of its members' probabilities counts.
    """
    network = (
        "@package.network()" if len(weights) == 1 else "torch.nn.ModuleList(@package.networks())"
    )
    return {
        "imports": ["$import torch"],
        "bundle_root": ".",
        "device": "$torch.device('cuda' if torch.cuda.is_available() else 'cpu')",
        "package": {
            "_target_": "mome_node.mome.package.ModelPackage.load",
            "path": "@bundle_root",
        },
        "network_def": f"${network}.to(@device)",
    }


def parse_metadata(text: str) -> Metadata:
    """Read ``configs/metadata.json``.

    Raises PackageError that names the field which is missing, unknown or has a wrong value.
    """
    try:
        document = json.loads(text, parse_constant=_refuse_constant)
    except (ValueError, RecursionError) as error:
        raise PackageError(f"configs/metadata.json is no JSON: {str(error)[:200]}") from error
    try:
        _check_format(document)
        _check_schema(document)
        return _checked(_metadata_from(document))
    except PackageError as error:
        raise PackageError(f"configs/metadata.json: {error}") from error


def _check_format(document: object) -> None:
    mome = document.get("mome") if isinstance(document, dict) else None
    if isinstance(mome, dict) and mome.get("format") == 1:
        raise PackageError(
            f"mome.format: found 1, {FORMAT} is allowed; this node no longer reads packages of "
            "format 1: build the package again (`mome-node model import`, or write_package, see "
            "docs/own-checkpoint.md)"
        )


def _check_schema(document: object) -> None:
    schema = json.loads(resources.files(__package__).joinpath("package_schema.json").read_text())
    fault = best_match(Draft202012Validator(schema).iter_errors(document))
    if fault is not None:
        field = ".".join(str(part) for part in fault.absolute_path) or "the document"
        raise PackageError(f"{field}: {fault.message[:300]}")


def _metadata_from(document: Mapping[str, Any]) -> Metadata:
    mome = document["mome"]
    return Metadata(
        statement=statement_from(document),
        config=_config_from(mome["network"]),
        weights=tuple(mome["weights"]),
        reference_run=ReferenceRun.from_json(mome["reference_run"]),
    )


def _checked(found: Metadata) -> Metadata:
    """Hold the parts against each other."""
    rows = found.reference_run.logits
    spec = PreprocessSpec.from_json(found.statement.preprocessing, at="mome.preprocessing")
    _check_count("classes", found.statement.classes, found.config.classes, "class")
    _check_count("reference_run.logits", rows, len(found.weights), "weight file")
    for index, row in enumerate(rows):
        _check_count(f"reference_run.logits.{index}", row, found.config.classes, "class")
    _check_count(
        *("preprocessing.dce.target_times_s", spec.target_times_s),
        *(found.config.dce.channels, "DCE channel"),
    )
    return found


def _check_count(field: str, found: Sequence[object], needed: int, each: str) -> None:
    if len(found) != needed:
        raise PackageError(
            f"mome.{field} has {len(found)} entries, {needed} are needed: one for each {each}"
        )


def _config_from(entry: Mapping[str, Any]) -> ModelConfig:
    inputs = {
        m.value: InputSize(entry[m.value]["channels"], tuple(entry[m.value]["size"]))
        for m in Modality
    }
    try:
        return ModelConfig(**{**entry, "stem": tuple(entry["stem"]), **inputs})
    except ModelError as error:
        raise PackageError(f"mome.network: {error}") from error


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


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is no JSON number")
