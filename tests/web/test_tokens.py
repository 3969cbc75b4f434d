"""Bearer tokens: where they are read from, and whom they let in."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from starlette.authentication import AuthenticationError
from starlette.requests import HTTPConnection

from mome_node.errors import SettingsError
from mome_node.web.tokens import BearerTokens, read_token, unauthenticated

ONE, OTHER = "one-token-of-somebody-01", "other-token-of-somebody-2"


def token_file(folder: Path, content: str, mode: int = 0o600) -> Path:
    path = folder / "a.token"
    path.write_text(content)
    path.chmod(mode)
    return path


@pytest.fixture
def tokens(tmp_path: Path) -> BearerTokens:
    return BearerTokens(
        [
            read_token("one", token_file(tmp_path, ONE)),
            read_token("other", token_file(tmp_path, OTHER), ["reject"]),
        ]
    )


def asked_with(*authorization: bytes) -> HTTPConnection:
    headers = [(b"authorization", value) for value in authorization]
    return HTTPConnection({"type": "http", "headers": headers, "client": ("10.0.0.5", 1)})


def test_whoever_shows_a_token_is_known_by_its_name(tokens):
    for scheme in ("Bearer", "bearer", "BEARER"):
        credentials, user = asyncio.run(
            tokens.authenticate(asked_with(f"{scheme} {OTHER}".encode()))
        )
        assert (user.display_name, credentials.scopes) == ("other", ["reject"])


@given(st.binary(max_size=60).map(lambda b: b.replace(b"\n", b"")))
def test_nothing_else_lets_anybody_in(value):
    gate = BearerTokens([])
    for authorization in (value, b"Bearer " + value, b"Basic " + value):
        with pytest.raises(AuthenticationError):
            asyncio.run(gate.authenticate(asked_with(authorization)))


@pytest.mark.parametrize(
    "authorization",
    [b"", ONE.encode(), f"Basic {ONE}".encode(), f"Bearer {ONE[:-1]}".encode(), b"Bearer"],
)
def test_a_token_that_is_nearly_right_is_refused(tokens, authorization):
    with pytest.raises(AuthenticationError):
        asyncio.run(tokens.authenticate(asked_with(authorization)))


def test_refusal_says_what_is_needed_and_whether_a_token_was_wrong():
    error = AuthenticationError("a valid bearer token is needed")
    challenge = unauthenticated(asked_with(), error).headers["www-authenticate"]
    assert challenge == 'Bearer realm="mome-node"'
    challenge = unauthenticated(asked_with(b"Bearer x"), error).headers["www-authenticate"]
    assert challenge.endswith('error="invalid_token"')


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o620, 0o610, 0o644])
def test_token_file_that_others_may_use_is_refused(tmp_path, mode):
    with pytest.raises(SettingsError, match="may be read by others: chmod 600"):
        read_token("one", token_file(tmp_path, ONE, mode))


@pytest.mark.parametrize("content", ["", "short", "with blanks in it, which none has", "é" * 30])
def test_file_without_a_token_is_refused_and_its_content_not_told(tmp_path, content):
    with pytest.raises(SettingsError, match="holds no token") as refused:
        read_token("one", token_file(tmp_path, content))
    assert not content or content not in str(refused.value)


def test_missing_token_file_and_folder_are_told(tmp_path):
    with pytest.raises(SettingsError, match="No such file"):
        read_token("one", tmp_path / "none")
    with pytest.raises(SettingsError, match=r"web\.tokens 'one'"):
        read_token("one", tmp_path)


def test_token_is_not_kept_or_shown(tmp_path):
    assert ONE not in repr(read_token("one", token_file(tmp_path, f"{ONE}\n")))
