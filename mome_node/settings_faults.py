"""What is wrong with settings, a line a fault: the key, what was found, what is allowed."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any, TypeGuard, get_args, get_origin

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

MAX_LINES = 20
MAX_SHOWN = 80

Location = tuple[int | str, ...]

WORDS = {
    "model_type": "a section with keys",
    "tuple_type": "a list",
    "int_type": "a whole number",
    "int_parsing": "a whole number",
    "int_parsing_size": "a whole number",
    "int_from_float": "a whole number",
    "float_type": "a number",
    "float_parsing": "a number",
    "bool_type": "true or false",
    "bool_parsing": "true or false",
    "string_type": "text",
    "path_type": "a path",
}
"""What is allowed, in an administrator's words, by pydantic's type of error."""


def faults(error: ValidationError, tree: type[BaseModel]) -> list[str]:
    """One line a fault; very many are cut."""
    found = error.errors(include_url=False)
    lines = [_line(fault, tree) for fault in found[:MAX_LINES]]
    return lines + [f"and {len(found) - MAX_LINES} more"] * (len(found) > MAX_LINES)


def unknown_key(location: Location, tree: type[BaseModel]) -> str:
    """The line on a key that nobody declared."""
    allowed = ", ".join(_section_at(location[:-1], tree).model_fields)
    return f"{_key(location)}: unknown key; allowed here: {allowed}"


def check_environment(
    environ: Mapping[str, str], tree: type[BaseModel], prefix: str, delimiter: str
) -> list[str]:
    """What is wrong with the names of variables of ours, and with the form of lists."""
    ours = {n: v for n, v in environ.items() if n.upper().startswith(prefix)}
    return [
        f"{_cut(name)}: {fault}"
        for name, value in sorted(ours.items())
        for fault in _variable(name.upper().removeprefix(prefix), value, tree, prefix, delimiter)
    ]


def _variable(
    rest: str, value: str, tree: type[BaseModel], prefix: str, delimiter: str
) -> Iterator[str]:
    section, *keys = rest.lower().split(delimiter)
    if section not in tree.model_fields:
        yield f"unknown section {_cut(section)!r}; allowed: {', '.join(tree.model_fields)}"
        return
    name, annotation = f"{prefix}{section.upper()}", tree.model_fields[section].annotation
    while _is_section(annotation):
        if not keys or keys[0] not in annotation.model_fields:
            yield f"unknown key; allowed: {', '.join(_variables(annotation, name, delimiter))}"
            return
        key = keys.pop(0)
        name, annotation = (
            f"{name}{delimiter}{key.upper()}",
            annotation.model_fields[key].annotation,
        )
    is_list = get_origin(annotation) is tuple
    if keys:
        yield f"allowed: {name}, with the whole list as JSON" if is_list else "unknown key"
    elif is_list and not _is_json_list(value):
        yield f"found {shown(value)}; allowed: a list as JSON"


def _is_section(annotation: Any) -> TypeGuard[type[BaseModel]]:
    return isinstance(annotation, type) and issubclass(annotation, BaseModel)


def _variables(section: type[BaseModel], name: str, delimiter: str) -> Iterator[str]:
    """The names of all variables of a section, with those of sections below it."""
    for key, field in section.model_fields.items():
        inner = f"{name}{delimiter}{key.upper()}"
        if _is_section(field.annotation):
            yield from _variables(field.annotation, inner, delimiter)
        else:
            yield inner


def _is_json_list(value: str) -> bool:
    try:
        return isinstance(json.loads(value), list)
    except (ValueError, RecursionError):
        return False


def _line(fault: ErrorDetails, tree: type[BaseModel]) -> str:
    if fault["type"] == "extra_forbidden":
        return unknown_key(fault["loc"], tree)
    if fault["type"] == "missing":
        return f"{_key(fault['loc'])}: missing; it has no default"
    rule = fault["msg"]
    for beginning in ("Value error, ", "Input should ", "String should ", "be "):
        rule = rule.removeprefix(beginning)
    allowed = WORDS.get(fault["type"], rule)
    if fault["type"] == "tuple_type" and len(fault["loc"]) == 1:
        allowed = f"a list of sections, each headed [[{_key(fault['loc'])}]]"
    return f"{_key(fault['loc'])}: found {shown(fault['input'])}; allowed: {allowed}"


def shown(value: object) -> str:
    """A value as it may be shown: cut, and without the password of a URL."""
    try:
        text = repr(value)
    except ValueError:  # an integer of thousands of digits
        return "a number too long to show"
    return _cut(re.sub(r"://[^/\s]*@", "://***@", text))


def _key(location: Location) -> str:
    return _cut(".".join(str(part) for part in location))


def _cut(text: str) -> str:
    return text if len(text) <= MAX_SHOWN else f"{text[:MAX_SHOWN]}…"


def _section_at(location: Location, tree: type[BaseModel]) -> type[BaseModel]:
    """The section that a location leads to; the places in lists are no part of the way."""
    section = tree
    for part in location:
        if isinstance(part, str):
            annotation = section.model_fields[part].annotation
            candidates = (annotation, *get_args(annotation))
            section = next(
                c for c in candidates if isinstance(c, type) and issubclass(c, BaseModel)
            )
    return section
