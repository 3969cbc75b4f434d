"""The node's HTTP door, built from the settings: server, tokens and routes."""

from __future__ import annotations

import ssl
from collections.abc import Sequence
from pathlib import Path

from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.authentication import AuthenticationMiddleware

from mome_node.errors import SettingsError
from mome_node.ingest.receipt import Reception
from mome_node.ingest.store_request import StowLimits
from mome_node.ingest.stow import MAY_REJECT, StowDoor
from mome_node.settings_web import WebSettings
from mome_node.web.limits import ConnectionLimits
from mome_node.web.server import WebServer, WebServerSettings
from mome_node.web.tokens import BearerTokens, Token, read_token, unauthenticated


class WebDoor:
    """The HTTP server with its routes. SettingsError for a token or certificate that is no good."""

    def __init__(self, settings: WebSettings, reception: Reception) -> None:
        tokens = [
            read_token(t.name, t.file, (MAY_REJECT,) if t.may_reject else ())
            for t in settings.tokens
        ]
        tls = _tls(settings.certificate, settings.key)
        self._stow = StowDoor(reception, StowLimits(settings.max_request_mb << 20))
        self._server = WebServer(application(self._stow, tokens), server_settings(settings), tls)

    @property
    def url(self) -> str:
        """Where it listens."""
        return self._server.url

    def start(self) -> None:
        """Open the door; SettingsError if the address cannot be used."""
        self._server.start()

    def stop(self) -> None:
        """Close it, and wait for what is being received."""
        self._server.stop()
        self._stow.close()


def application(stow: StowDoor, tokens: Sequence[Token]) -> Starlette:
    """All routes, behind the tokens: a stranger is not even told which there are."""
    gate = Middleware(
        AuthenticationMiddleware, backend=BearerTokens(tokens), on_error=unauthenticated
    )
    return Starlette(routes=stow.routes(), middleware=[gate])


def server_settings(settings: WebSettings) -> WebServerSettings:
    """What the settings say of the server."""
    return WebServerSettings(
        host=settings.host,
        port=settings.port,
        max_connections=settings.max_connections,
        connection=ConnectionLimits(
            header_s=settings.header_timeout_s,
            idle_s=settings.idle_timeout_s,
            body_window_s=settings.body_timeout_s,
            min_body_bytes_per_s=settings.min_kb_per_s * 1024,
        ),
    )


def _tls(certificate: Path | None, key: Path | None) -> ssl.SSLContext | None:
    """TLS 1.2 or 1.3 (RFC 8996); None without a certificate."""
    if certificate is None or key is None:
        return None
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_alpn_protocols(["http/1.1"])
    try:
        context.load_cert_chain(certificate, key, password="")
    except (OSError, ValueError) as error:
        raise SettingsError(
            f"web.certificate: {certificate} with {key} cannot be used: {error}"
        ) from error
    return context
