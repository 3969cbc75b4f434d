"""The kinds of value that settings have, beside plain numbers and choices."""

from __future__ import annotations

import re
import warnings
from pathlib import Path
from typing import Annotated
from urllib.parse import urlsplit

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    StringConstraints,
)
from sqlalchemy import make_url
from sqlalchemy.exc import ArgumentError


class Section(BaseModel):
    """A part of the settings: frozen, and closed to keys that nobody declared."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=False)


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


def host_or_address(value: str) -> str:
    """Pass a host name or an IP address; ValueError with what is allowed."""
    try:
        value.encode("idna")  # what the resolver does, which would raise much later
    except UnicodeError as error:
        raise ValueError("a host name or an IP address") from error
    if not re.fullmatch(r"[\w.:%-]{1,253}", value):
        raise ValueError("a host name or an IP address")
    return value


def _web_url(value: str) -> str:
    try:
        parts = urlsplit(value)
        complete = bool(parts.hostname) and (parts.port is None or parts.port > 0)
    except ValueError:
        complete = False
    if not complete or not value.isprintable() or " " in value:
        raise ValueError("a URL: http://... or https://...")
    if parts.scheme not in {"http", "https"}:
        raise ValueError("a URL: http://... or https://...")
    if parts.username is not None or parts.password is not None or parts.query or parts.fragment:
        raise ValueError("a URL without user, password, ? and #; a secret goes into token_file")
    return value


def _file_path(value: object) -> object:
    if isinstance(value, str) and not (value.strip() and value.isprintable()):
        raise ValueError("a file's path")
    return value


def _folder_path(value: object) -> object:
    if isinstance(value, str) and not (value.strip() and value.isprintable()):
        raise ValueError("a folder's path")
    return value


def _pattern(value: str) -> str:
    try:
        with warnings.catch_warnings():
            # What will mean something else in a later Python is not what was counted below.
            warnings.simplefilter("error", FutureWarning)
            re.compile(value)
    except (re.error, RecursionError, OverflowError, FutureWarning) as error:
        raise ValueError("a regular expression, as Python has them") from error
    ways = _ways(value)
    if ways is None:
        raise ValueError(
            "a regular expression without repeated groups, back references and (?...) but (?:...)"
        )
    if ways > MAX_WAYS:
        raise ValueError("a regular expression with fewer repeats (.* at most twice) and choices")
    return value


def _ways(pattern: str) -> int | None:
    """In how many ways a text can be matched from one place, at most; None: too many to count.

    Python tries them one after another. A careless pattern and a text from outside could so hold up
    the node for good: (a+)+ has one for each way to cut the text into pieces.
    """
    outer: list[tuple[int, int]] = []  # of the groups around: finished branches, and this branch
    finished, ways, after_group = 0, 1, False
    for part in _PARTS.finditer(pattern):
        text = part.group()
        if part["repeat"]:
            if after_group and not text.startswith("?"):
                return None
            ways *= _counts(text)
        elif part["refused"]:
            return None
        elif text in ("(", "(?:"):
            outer.append((finished, ways))
            finished, ways = 0, 1
        elif text == "|":
            finished, ways = finished + ways, 1
        elif text == ")":
            inside = finished + ways
            finished, ways = outer.pop()
            ways *= inside
        after_group = text == ")"
    return finished + ways


def _counts(repeat: str) -> int:
    """How many different numbers of times a repeat allows, in a text of the searched length."""
    if repeat.startswith("?"):
        return 2
    least, comma, most = repeat.strip("{}?+").partition(",")
    if repeat.startswith("{") and not (comma and not most):
        return max(1, min(int(most or least) - int(least or 0), SEARCHED) + 1)
    return SEARCHED + 1


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


SEARCHED = 64
"""Characters of a text that a pattern is looked for in: an LO value has no more (PS3.5 6.2)."""

MAX_WAYS = 20_000

_PARTS = re.compile(
    r"""
      (?P<refused> \\[1-9] | \(\?(?!:) )             # back references; look-around, names, flags
    | (?P<repeat> [*+?][?+]? | \{(?!\})\d*,?\d*\}[?+]? )
    | \\. | \[\^?\]?(?:\\.|[^\]\\])*\]               # an escape, a class: one character
    | \(\?: | .
    """,
    re.VERBOSE | re.DOTALL,
)
"""What a regular expression consists of."""

Number = BeforeValidator(_no_boolean)
"""Beside a number: true and false are none, although Python counts with them."""

Port = Annotated[int, Number, Field(ge=1, le=65535)]

LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})
"""Hosts that a connection in the clear to does not leave this machine."""

Text = Annotated[
    str,
    StringConstraints(strip_whitespace=True, max_length=4096),
    AfterValidator(_without_controls),
]
Label = Annotated[Text, Field(min_length=8, max_length=40)]

AETitle = Annotated[str, StringConstraints(strip_whitespace=True), AfterValidator(_ae_title)]
"""An application entity title: 1 to 16 ASCII characters without backslash (PS3.5 6.2)."""

Host = Annotated[str, StringConstraints(strip_whitespace=True), AfterValidator(host_or_address)]
"""A host name (RFC 1123, or international) or an IP address."""

Pattern = Annotated[str, StringConstraints(min_length=1, max_length=200), AfterValidator(_pattern)]
"""A regular expression that no text can make Python search for long."""

WebUrl = Annotated[
    str, StringConstraints(strip_whitespace=True, max_length=2048), AfterValidator(_web_url)
]
"""Where a web service is, without credentials."""

FilePath = Annotated[Path, BeforeValidator(_file_path)]
FolderPath = Annotated[Path, BeforeValidator(_folder_path)]
SqliteUrl = Annotated[str, AfterValidator(_sqlite_file)]
"""An SQLAlchemy URL of a file of SQLite."""
