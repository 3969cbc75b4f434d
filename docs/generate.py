"""Write the parts of the documentation that the code itself knows.

    python docs/generate.py

``docs/states.md`` and ``docs/settings.md`` whole, and in ``docs/conformance.md`` what stands
between ``<!-- generated: NAME -->`` and ``<!-- end of NAME -->``. tests/test_docs.py fails when a
page differs from what this writes.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, TypeGuard, get_args

from conformance_tables import BLOCKS, table
from pydantic import BaseModel, ValidationError
from pydantic.fields import FieldInfo

from mome_node.catalog.states import TRANSITIONS, state_diagram
from mome_node.settings import Settings
from mome_node.settings_faults import faults
from mome_node.settings_file import default_settings_file

DOCS = Path(__file__).parent
NOTE = "<!-- Written by docs/generate.py from the code; change the code, then run it. -->\n"
NOBODY_WRITES_THIS = "\x00\\"
"""A text that no setting allows: the node then says what it does allow."""

LONG_TEXT = 4096
"""A limit of so many characters is not worth telling."""


def pages() -> dict[Path, str]:
    """Every page that is generated, whole or in part, as it must be."""
    statement = DOCS / "conformance.md"
    return {
        DOCS / "states.md": states_page(),
        DOCS / "settings.md": settings_page(),
        statement: with_blocks(statement.read_text(encoding="utf-8")),
    }


def states_page() -> str:
    """The states of a study: the diagram and the table of transitions."""
    rows = [
        (str(t.source), str(t.target), t.case, "opens the next" if t.opens_revision else "")
        for t in TRANSITIONS
    ]
    return (
        f"{NOTE}\n# A study's states\n\n"
        "The one table in `mome_node/catalog/states.py` holds every step that a study can take.\n"
        "Each step is one compare-and-set in one transaction and leaves one event, with its time\n"
        "and cause: `mome-node show UID` prints them. What each state asks of a person stands in\n"
        "[operations.md](operations.md#what-each-state-means-and-what-to-do).\n\n"
        f"```mermaid\n{state_diagram()}```\n\n"
        f"{table(('from', 'to', 'when', 'revision'), rows)}"
    )


def settings_page() -> str:
    """Every setting: key, default, what is allowed, meaning."""
    lines = [
        NOTE,
        "# Settings",
        "",
        "`mome-node init DIR` writes `node.toml` with every key and its default;",
        "`mome-node check --config node.toml` tests it. A wrong key or value is refused at start,",
        "with the key, what was found and what is allowed.",
        "",
        "- The environment beats the file, the file beats the default: `MOME_<SECTION>__<KEY>`,",
        "  for example `MOME_DICOM__PORT=11113`. A list is given there whole, as JSON:",
        '  `MOME_MODEL=\'[{"package": "demo"}]\'`.',
        "- Relative paths are taken from the folder of `node.toml`.",
        "- A change takes effect when the node is started again.",
        "",
    ]
    for name, field in Settings.model_fields.items():
        section, is_list = section_of(field)
        heading = f"[[{name}]]" if is_list else f"[{name}]"
        lines += [f"## `{heading}`", "", (section.__doc__ or "").strip()]
        if is_list:
            lines.append("The section may stand several times.")
        lines += ["", settings_table(section)]
        for key, inner in section.model_fields.items():
            for part in sections_in(inner):
                lines += [f"Each entry of `{name}.{key}`:", "", settings_table(part)]
            if is_section(inner.annotation):
                lines += [f"In `{name}.{key}`:", "", settings_table(inner.annotation)]
    example = default_settings_file().rstrip("\n")
    lines += ["## The file that `mome-node init` writes", "", f"```toml\n{example}\n```"]
    return "\n".join(lines) + "\n"


def section_of(field: FieldInfo) -> tuple[type[BaseModel], bool]:
    """The section that a field of the tree holds, and whether it is a list of them."""
    inner = list(sections_in(field))
    if inner:
        return inner[0], True
    assert is_section(field.annotation)
    return field.annotation, False


def is_section(annotation: Any) -> TypeGuard[type[BaseModel]]:
    """Whether a key holds keys of its own."""
    return isinstance(annotation, type) and issubclass(annotation, BaseModel)


def sections_in(field: FieldInfo) -> Iterator[type[BaseModel]]:
    """The sections that a list holds."""
    for part in get_args(field.annotation):
        if is_section(part):
            yield part


def settings_table(section: type[BaseModel]) -> str:
    """The keys of one section."""
    schema = section.model_json_schema()["properties"]
    rows = [
        (f"`{key}`", default_of(field), allowed(section, key, schema[key]), field.description or "")
        for key, field in section.model_fields.items()
    ]
    return table(("key", "default", "allowed", "meaning"), rows)


def default_of(field: FieldInfo) -> str:
    """The default as node.toml would say it."""
    if field.is_required():
        return "none: must be given"
    value = field.get_default()
    match value:
        case None:
            return "not set"
        case bool():
            return f"`{str(value).lower()}`"
        case BaseModel():
            return "`{}`"
        case tuple():
            return f"`{json.dumps(value)}`"
        case int() | float():
            return f"`{value:g}`"
    return f'`"{value}"`'


def allowed(section: type[BaseModel], key: str, schema: dict[str, Any]) -> str:
    """What a key may be, in words."""
    choices = schema.get("enum") or schema.get("items", {}).get("enum") or []
    if "const" in schema:
        choices = [schema["const"]]
    listed = " or ".join(f'`"{c}"`' for c in choices)
    match schema.get("type"):
        case "array":
            return f"a list of {listed}" if listed else "a list of entries, see below"
        case "boolean":
            return "`true` or `false`"
        case "integer" | "number" as kind:
            # A validator before the number hides its bounds from the schema.
            metadata = section.model_fields[key].metadata
            bounds = [
                f"{words} {getattr(bound, name):g}"
                for name, words in (("ge", "at least"), ("gt", "more than"), ("le", "at most"))
                for bound in metadata
                if hasattr(bound, name)
            ]
            noun = "a whole number" if kind == "integer" else "a number"
            return ", ".join([noun, *bounds])
    return listed or text_allowed(section, key, schema)


def text_allowed(section: type[BaseModel], key: str, schema: dict[str, Any]) -> str:
    """What a text may be: the words with which the node refuses another."""
    refused = NOBODY_WRITES_THIS * schema.get("minLength", 1)
    try:
        section.model_validate({key: refused})
    except ValidationError as error:
        lines = [line for line in faults(error, section) if line.startswith(f"{key}")]
        words = lines[0].partition("allowed: ")[2]
    bounds = [
        f"{name} {schema[limit]}"
        for limit, name in (("minLength", "at least"), ("maxLength", "at most"))
        if limit in schema and schema[limit] < LONG_TEXT
    ]
    return f"{words}; {' and '.join(bounds)} characters" if bounds else words


def with_blocks(text: str) -> str:
    """A page whose generated blocks are as they must be; ValueError where one is missing."""
    for name, make in BLOCKS.items():
        begin, end = f"<!-- generated: {name} -->", f"<!-- end of {name} -->"
        pattern = re.compile(f"{re.escape(begin)}.*?{re.escape(end)}", re.DOTALL)
        around = pattern.split(text)
        if len(around) != 2:
            raise ValueError(f"the page must hold one block {begin} ... {end}")
        text = f"{begin}\n\n{make()}\n{end}".join(around)
    return text


def main() -> None:
    """Write every page."""
    for path, text in pages().items():
        path.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
