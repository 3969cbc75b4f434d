"""The commented node.toml that ``mome-node init`` writes, made from the settings tree itself."""

from __future__ import annotations

import json
import textwrap
from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_args

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from mome_node.settings import Settings

HEADER = """\
# Settings of mome-node. Every key is here; a key that is commented out has the value shown.
# The environment beats this file: MOME_<SECTION>__<KEY>, for example MOME_DICOM__PORT=11113;
# a list is given there as JSON, and whole: MOME_DESTINATION='[{"name": "pacs", ...}]'.
# Relative paths are taken from this file's folder. Results are for research use only."""

EXAMPLES: dict[str, Any] = {
    "allowed_peers": [{"ae": "PACS", "host": "10.0.0.5"}],
    "also_called": ["MOME_TEST"],
    "tokens": [{"name": "gateway", "file": "gateway.token"}],
    "asserts": ["histology-proven invasive cancer"],
    "when": {"study_description": "staging|neoadj"},
    "known": [{"facts": ["implants"], "when": {"study_description": "implant"}}],
    "destination": [{"name": "pacs", "ae": "PACS", "host": "10.0.0.5", "port": 104}],
    "series_role": [{"role": "dce", "pattern": "^my dynamic"}],
    "pacs": [{"name": "pacs", "ae": "PACS", "host": "10.0.0.5", "port": 104}],
}
"""What a list or table that is empty by default may hold, shown as a comment."""

NOT_SET: dict[str, Any] = {
    "Peer.max_associations": 4,
    "Peer.max_objects_a_minute": 6000,
    "Peer.max_mb_a_minute": 6000,
    "TlsSettings.certificate": "mome.pem",
    "TlsSettings.key": "mome.key",
    "TlsSettings.client_ca": "pacs-ca.pem",
    "StorageSettings.resume_free_mb": 1536,
    "DatabaseSettings.url": "sqlite:///mome-data/catalog.db",
    "WebSettings.certificate": "node.pem",
    "WebSettings.key": "node-key.pem",
    "DestinationSettings.url": "https://pacs.example.org/dicom-web",
    "DestinationSettings.token_file": "pacs.token",
    "DestinationSettings.ca_file": "hospital-ca.pem",
    "DestinationSettings.label": "research use only, not for diagnosis",
    "PacsSettings.url": "https://pacs.example.org/dicom-web",
    "PacsSettings.token_file": "pacs.token",
    "PacsSettings.ca_file": "hospital-ca.pem",
}
"""What a key that has no value by default stands for, or may be set to, by its section."""


def default_settings_file() -> str:
    """The text of node.toml: all defaults, each key with its meaning."""
    lines = [HEADER]
    for name, field in Settings.model_fields.items():
        default = field.get_default(call_default_factory=True)
        if isinstance(default, BaseModel):
            lines += ["", *_comment(type(default).__doc__), f"[{name}]"]
            lines += _keys(type(default), default.model_dump(mode="json"), under=name)
        else:
            lines += ["", *_tables(name, field, default)]
    return "\n".join(lines) + "\n"


def _tables(name: str, field: FieldInfo, default: tuple[BaseModel, ...]) -> Iterator[str]:
    """An array of tables; an empty one as a comment, with an example."""
    section = next(a for a in get_args(field.annotation) if a is not Ellipsis)
    yield from _comment(section.__doc__)
    values = [item.model_dump(mode="json", exclude_none=True) for item in default]
    values = values or EXAMPLES[name]
    mark = "" if default else "# "
    for value in values:
        yield f"{mark}[[{name}]]"
        yield from (mark * (not line.startswith("#")) + line for line in _keys(section, value))


def _keys(section: type[BaseModel], values: dict[str, Any], under: str = "") -> Iterator[str]:
    """A line a key; sections below the section ``under`` follow it, each headed by its name."""
    below = []
    for key, field in section.model_fields.items():
        default = field.get_default()
        if under and isinstance(default, BaseModel):
            below += ["", *_comment(type(default).__doc__), f"[{under}.{key}]"]
            below += _keys(type(default), default.model_dump(mode="json"))
            continue
        yield from _comment(field.description)
        value = values.get(key, field.get_default())
        if isinstance(value, BaseModel):
            value = value.model_dump(mode="json", exclude_none=True)
        if value is None:
            yield f"# {key} = {_toml(NOT_SET[f'{section.__name__}.{key}'])}"
            continue
        if value in ([], {}) and key in EXAMPLES:
            yield f"# for example: {key} = {_toml(EXAMPLES[key])}"
        yield f"{key} = {_toml(value)}"
    yield from below


def _comment(text: str | None) -> list[str]:
    return [f"# {line}" for line in textwrap.wrap(text or "", 96)]


def _toml(value: Any) -> str:
    match value:
        case bool():
            return "true" if value else "false"
        case int() | float():
            return str(value)
        case str() | Path():
            return json.dumps(str(value), ensure_ascii=False)  # a TOML basic string is one of JSON
        case list() | tuple():
            return "[" + ", ".join(_toml(item) for item in value) + "]"
        case dict() if not value:
            return "{}"
        case dict():
            return "{ " + ", ".join(f"{k} = {_toml(v)}" for k, v in value.items()) + " }"
    raise TypeError(f"no TOML for {type(value).__name__}")
