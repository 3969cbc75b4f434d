"""The kinds of value that settings have, beside plain numbers and choices."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated

from pydantic import AfterValidator, BeforeValidator, Field, StringConstraints
from sqlalchemy import make_url
from sqlalchemy.exc import ArgumentError


def _no_boolean(value: object) -> object:
    if isinstance(value, bool):
        raise ValueError("a number")
    return value


def _without_controls(value: str) -> str:
    if not value or not value.isprintable():
        raise ValueError("text, without control characters")
    return value


def _ae_title(value: str) -> str:
    if not re.fullmatch(r"[ -\[\]-~]{1,16}", value):
        raise ValueError("1 to 16 ASCII characters, without backslash and control characters")
    return value


def _host(value: str) -> str:
    try:
        value.encode("idna")  # what the resolver does, which would raise much later
    except UnicodeError as error:
        raise ValueError("a host name or an IP address") from error
    if not re.fullmatch(r"[\w.:%-]{1,253}", value):
        raise ValueError("a host name or an IP address")
    return value


def _folder_path(value: object) -> object:
    if isinstance(value, str) and not (value.strip() and value.isprintable()):
        raise ValueError("a folder's path")
    return value


def _sqlite_file(value: str) -> str:
    try:
        url = make_url(value)
    except ArgumentError as error:
        raise ValueError("sqlite:///PATH") from error
    path = url.database or ""
    in_memory = path in {"", ":memory:"} or path.startswith("file:")
    if url.drivername != "sqlite" or url.host or url.query or in_memory or not path.isprintable():
        raise ValueError("sqlite:///PATH, with the path of a file")
    return value


Number = BeforeValidator(_no_boolean)
"""Beside a number: true and false are none, although Python counts with them."""

Text = Annotated[
    str,
    StringConstraints(strip_whitespace=True, max_length=4096),
    AfterValidator(_without_controls),
]
Label = Annotated[Text, Field(min_length=8, max_length=40)]

AETitle = Annotated[str, StringConstraints(strip_whitespace=True), AfterValidator(_ae_title)]
"""An application entity title: 1 to 16 ASCII characters without backslash (PS3.5 6.2)."""

Host = Annotated[str, StringConstraints(strip_whitespace=True), AfterValidator(_host)]
"""A host name (RFC 1123, or international) or an IP address."""

FolderPath = Annotated[Path, BeforeValidator(_folder_path)]
SqliteUrl = Annotated[str, AfterValidator(_sqlite_file)]
"""An SQLAlchemy URL of a file of SQLite."""
