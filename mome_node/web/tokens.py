"""Who may ask: bearer tokens (RFC 6750), each in a file that only its owner reads."""

from __future__ import annotations

import hashlib
import hmac
import os
import re
import stat
from collections.abc import Sequence
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path
from typing import Final

import structlog
from starlette.authentication import (
    AuthCredentials,
    AuthenticationBackend,
    AuthenticationError,
    BaseUser,
    SimpleUser,
)
from starlette.requests import HTTPConnection
from starlette.responses import PlainTextResponse, Response

from mome_node.errors import SettingsError

log = structlog.get_logger(__name__)

MIN_TOKEN_CHARACTERS: Final = 20
_TOKEN = re.compile(rf"[!-~]{{{MIN_TOKEN_CHARACTERS},4096}}", re.ASCII)


@dataclass(frozen=True, slots=True)
class Token:
    """A token by its SHA-256 digest, whose it is and what it allows (authentication scopes)."""

    name: str
    digest: bytes
    scopes: tuple[str, ...] = ()


def read_token(name: str, path: Path, scopes: Sequence[str] = ()) -> Token:
    """Read a token's file; SettingsError if others may read it, or it holds no token."""
    place = f"web.tokens {name!r}: {path}"
    try:
        with path.open("rb") as file:
            mode = os.fstat(file.fileno()).st_mode
            content = file.read(1 << 13)
    except OSError as error:
        raise SettingsError(f"{place} cannot be read: {error.strerror}") from error
    if not stat.S_ISREG(mode) or mode & (stat.S_IRWXG | stat.S_IRWXO):
        raise SettingsError(f"{place} may be read by others: chmod 600 it, and renew the token")
    text = content.decode("ascii", "replace").strip()
    if not _TOKEN.fullmatch(text):
        # Never with what was found: it is a secret.
        raise SettingsError(
            f"{place} holds no token: at least {MIN_TOKEN_CHARACTERS} ASCII characters without "
            "blanks, such as `openssl rand -hex 32` prints"
        )
    return Token(name, _digest(text), tuple(scopes))


class BearerTokens(AuthenticationBackend):
    """Lets a request in that carries one of the tokens, as the token's name. None, nobody."""

    def __init__(self, tokens: Sequence[Token]) -> None:
        self._tokens = tuple(tokens)

    async def authenticate(self, conn: HTTPConnection) -> tuple[AuthCredentials, BaseUser]:
        """Find whose the token is; AuthenticationError where it is nobody's."""
        scheme, _, given = conn.headers.get("authorization", "").partition(" ")
        digest = _digest(given.strip())
        # Digests, and all of them: how long it takes says nothing of any token.
        found = [t for t in self._tokens if hmac.compare_digest(t.digest, digest)]
        if scheme.lower() != "bearer" or not found:
            log.warning("request without a valid token", host=conn.client and conn.client.host)
            raise AuthenticationError("a valid bearer token is needed")
        return AuthCredentials(found[0].scopes), SimpleUser(found[0].name)


def unauthenticated(conn: HTTPConnection, error: Exception) -> Response:
    """Answer a request without a valid token (RFC 6750 3)."""
    challenge = 'Bearer realm="mome-node"'
    if "authorization" in conn.headers:
        challenge += ', error="invalid_token"'
    return PlainTextResponse(f"{error}\n", HTTPStatus.UNAUTHORIZED, {"WWW-Authenticate": challenge})


def _digest(token: str) -> bytes:
    return hashlib.sha256(token.encode("utf-8", "surrogateescape")).digest()
