"""The node's HTTP door, built from the settings: server, tokens and routes."""

from __future__ import annotations

import ssl
from collections.abc import Sequence
from datetime import datetime

from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.authentication import AuthenticationMiddleware

from mome_node.ingest.receipt import Reception
from mome_node.ingest.store_request import StowLimits
from mome_node.ingest.stow import MAY_REJECT, StowDoor
from mome_node.settings_web import WebSettings
from mome_node.tls import TlsFiles, server_context
from mome_node.web.limits import ConnectionLimits
from mome_node.web.server import WebServer, WebServerSettings
from mome_node.web.tokens import BearerTokens, Token, read_token, unauthenticated


class WebDoor:
    """The HTTP server with its routes. SettingsError for a token or certificate that is no good."""

    def __init__(self, settings: WebSettings, reception: Reception, now: datetime) -> None:
        tokens = [
            read_token(t.name, t.file, (MAY_REJECT,) if t.may_reject else ())
            for t in settings.tokens
        ]
        tls = _tls(settings, now)
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


def _tls(settings: WebSettings, now: datetime) -> ssl.SSLContext | None:
    """The context of the settings' certificate; None without one."""
    if settings.certificate is None or settings.key is None:
        return None
    files = TlsFiles(settings.certificate, settings.key, section="web")
    context = server_context(files, now)
    context.set_alpn_protocols(["http/1.1"])
    return context
