"""Settings of the HTTP server: where it listens, who may ask, and how slowly."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

from pydantic import Field, StringConstraints

from mome_node.settings_values import LOOPBACK, FilePath, Host, Number, Port, Section

Seconds = Annotated[float, Number, Field(gt=0, le=3600)]

TokenName = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9._-]{1,40}$")]
"""Letters, digits, dots, dashes and underscores."""


class TokenSettings(Section):
    """A bearer token, and what is known of who has it."""

    name: TokenName = Field(
        description="What we call who has it: what it sends is recorded as from stow:NAME."
    )
    file: FilePath = Field(
        description="A file that holds the token and nothing else, at least 20 characters. Mode "
        "0600: one that others may read is refused."
    )
    may_reject: bool = Field(
        False,
        description="Apply its rejection notes (IHE IOCM): what they name is not read any more.",
    )


class WebSettings(Section):
    """The HTTP server, where DICOMweb senders store to (STOW-RS). It is closed by default."""

    enabled: bool = Field(False, description="Listen. Needs a token.")
    host: Host = Field(
        "127.0.0.1",
        description="The address to listen on. Beyond this machine only with a certificate.",
    )
    port: Port = Field(8080, description="The port to listen on.")
    tokens: tuple[TokenSettings, ...] = Field(
        (), description="Who may send. Nobody may without a token, this machine included."
    )
    certificate: FilePath | None = Field(
        None,
        description="Our certificate (PEM), with those that it was issued by behind it. HTTPS is "
        "spoken where it is set.",
    )
    key: FilePath | None = Field(None, description="Its private key (PEM), not encrypted.")
    max_connections: Annotated[int, Number, Field(ge=1, le=1000)] = Field(
        32, description="Connections served at the same time; further ones wait."
    )
    max_request_mb: Annotated[int, Number, Field(ge=1, le=65536)] = Field(
        4096, description="Larger requests are refused; compressed ones by what they inflate to."
    )
    header_timeout_s: Seconds = Field(
        10.0,
        description="A connection on which the header of a request takes longer to come is closed.",
    )
    idle_timeout_s: Seconds = Field(
        60.0, description="A connection without a request for so long is closed."
    )
    body_timeout_s: Seconds = Field(
        30.0, description="A request of which nothing comes for so long is given up."
    )
    min_kb_per_s: Annotated[float, Number, Field(ge=0, le=1_000_000)] = Field(
        1.0, description="So is one that comes more slowly over as long a time."
    )


def with_absolute_web_files(web: WebSettings, base: Path) -> WebSettings:
    """Take relative paths from ``base``."""
    files = {"certificate": web.certificate, "key": web.key}
    update: dict[str, object] = {k: (base / f).resolve() for k, f in files.items() if f}
    update["tokens"] = tuple(
        t.model_copy(update={"file": (base / t.file).resolve()}) for t in web.tokens
    )
    return web.model_copy(update=update)


def web_contradictions(web: WebSettings) -> Iterator[str]:
    """What each value allows and all of them together do not."""
    names = [t.name for t in web.tokens]
    if len(set(names)) < len(names):
        yield f"web.tokens.name: found {names}; allowed: each name once"
    if (web.certificate is None) != (web.key is None):
        missing = "certificate" if web.certificate is None else "key"
        yield f"web.{missing}: missing; HTTPS needs a certificate and its key"
    if not web.enabled:
        return
    if not web.tokens:
        yield "web.tokens: missing; web.enabled needs at least one, as nobody may send without"
    if web.certificate is None and web.host not in LOOPBACK:
        yield (
            f"web.host: found {web.host!r} without a certificate; allowed: a loopback address, as "
            "tokens and images would cross the network in the clear"
        )
