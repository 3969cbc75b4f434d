"""TLS at our doors and to peers: contexts from certificate files, how long those are valid.

After PS3.15 B.12 (BCP 195: RFC 8996 and RFC 9325): TLS 1.2 and 1.3; in TLS 1.2 only suites with
forward secrecy and authenticated encryption; no renegotiation and no compression. Certificates
are read once, at the start.
"""

from __future__ import annotations

import os
import ssl
import stat
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Final, Literal

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.types import PrivateKeyTypes, PublicKeyTypes
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    PublicFormat,
    load_pem_private_key,
)

from mome_node.errors import SettingsError

WARNED_BEFORE: Final = timedelta(days=30)
CIPHER_SUITES: Final = (
    "ECDHE-ECDSA-AES128-GCM-SHA256",
    "ECDHE-RSA-AES128-GCM-SHA256",
    "ECDHE-ECDSA-AES256-GCM-SHA384",
    "ECDHE-RSA-AES256-GCM-SHA384",
    "ECDHE-ECDSA-CHACHA20-POLY1305",
    "ECDHE-RSA-CHACHA20-POLY1305",
)
"""Of TLS 1.2, in OpenSSL's names (RFC 9325 4.2); TLS 1.3 has none that were to be left out."""

_MAX_FILE_BYTES: Final = 1 << 20
_VERSIONS: Final = {"1.2": ssl.TLSVersion.TLSv1_2, "1.3": ssl.TLSVersion.TLSv1_3}


@dataclass(frozen=True, slots=True)
class TlsFiles:
    """Where certificate, key and the peers' CA lie (PEM), and the oldest version spoken."""

    certificate: Path
    key: Path
    client_ca: Path | None = None
    minimum: Literal["1.2", "1.3"] = "1.2"
    section: str = "dicom.tls"


@dataclass(frozen=True, slots=True)
class Validity:
    """Until when the certificates of one file are all valid."""

    setting: str
    path: Path
    begins_at: datetime
    ends_at: datetime

    def fault(self, now: datetime) -> str | None:
        """Say why the file cannot be used now; None if it can."""
        if now >= self.ends_at:
            return f"{self.setting}: {self.path} expired on {self.ends_at:%Y-%m-%d}: renew it"
        if now < self.begins_at:
            return (
                f"{self.setting}: {self.path} is valid only from {self.begins_at:%Y-%m-%d %H:%M} "
                "UTC: is this machine's clock right?"
            )
        return None

    def warning(self, now: datetime) -> str | None:
        """Say that the file expires within 30 days, or has expired; None if it does not."""
        if now < self.ends_at - WARNED_BEFORE:
            return None
        if now >= self.ends_at:
            return self.fault(now)
        days = (self.ends_at - now).days
        return (
            f"{self.setting}: {self.path} expires on {self.ends_at:%Y-%m-%d}, in {days} days: "
            "renew it and start the node again"
        )


def server_context(files: TlsFiles, now: datetime) -> ssl.SSLContext:
    """Return the context of a listening door; SettingsError says what is wrong with the files.

    With ``client_ca`` a peer has to show a certificate that a certificate of that file issued, or
    that is in it itself.
    """
    _check(files, now)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = _VERSIONS[files.minimum]
    context.set_ciphers(":".join(CIPHER_SUITES))
    context.options |= (
        ssl.OP_NO_RENEGOTIATION | ssl.OP_NO_COMPRESSION | ssl.OP_CIPHER_SERVER_PREFERENCE
    )
    try:
        context.load_cert_chain(files.certificate, files.key, password=_no_password)
    except (OSError, ValueError) as error:
        raise SettingsError(
            f"{files.section}.certificate: {files.certificate} cannot be used: {_reason(error)}"
        ) from error
    if files.client_ca is not None:
        context.verify_mode = ssl.CERT_REQUIRED
        context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN  # an issuing CA alone is enough
        try:
            context.load_verify_locations(files.client_ca)
        except (OSError, ValueError) as error:
            raise SettingsError(
                f"{files.section}.client_ca: {files.client_ca} cannot be used: {_reason(error)}"
            ) from error
    return context


def client_context(
    ca_file: Path | None, ours: TlsFiles | None, now: datetime, section: str
) -> ssl.SSLContext:
    """Return the context of a connection to a peer; SettingsError for files that are no good.

    The peer's certificate has to name the host that is called, and to be issued by a certificate of
    ``ca_file``, or to be in it; without that file, by one that this system trusts. ``ours`` is
    shown to a peer that asks for a certificate.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = _VERSIONS[ours.minimum if ours else "1.2"]
    context.set_ciphers(":".join(CIPHER_SUITES))
    context.options |= ssl.OP_NO_RENEGOTIATION | ssl.OP_NO_COMPRESSION
    if ca_file is None:
        context.load_default_certs()
    else:
        check_certificates(f"{section}: ca_file", ca_file)
        context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN  # an issuing CA alone is enough
        context.load_verify_locations(ca_file)
    if ours is not None:
        _check(ours, now)
        context.load_cert_chain(ours.certificate, ours.key, password=_no_password)
    return context


def check_certificates(setting: str, path: Path) -> None:
    """Raise SettingsError if a file of trusted certificates holds none that can be read."""
    if not _certificates(setting, path):
        raise SettingsError(f"{setting}: {path} holds no certificate")


def validities(files: TlsFiles) -> tuple[Validity, ...]:
    """Return how long our certificate is valid, and the peers' CA if there is one; SettingsError.

    Peers of a CA that is not valid are kept out, one by one, when they come.
    """
    named = {"certificate": files.certificate, "client_ca": files.client_ca}
    found = []
    for name, path in named.items():
        if path is not None:
            setting = f"{files.section}.{name}"
            certificates = _certificates(setting, path)
            begins_at = max(c.not_valid_before_utc for c in certificates)
            ends_at = min(c.not_valid_after_utc for c in certificates)
            found.append(Validity(setting, path, begins_at, ends_at))
    return tuple(found)


def is_private(mode: int, owner: int, user: int) -> bool:
    """Tell whether a secret file's mode keeps it from others than ``user``.

    A group may read it where it is root's and we are not root, as Debian's ssl-cert may.
    """
    shared = stat.S_IRWXO | stat.S_IRWXG
    if owner == 0 != user:
        shared &= ~stat.S_IRGRP
    return not mode & shared


def _check(files: TlsFiles, now: datetime) -> None:
    ours = _certificates(f"{files.section}.certificate", files.certificate)[0]
    key = _private_key(f"{files.section}.key", files.key)
    if _encoded(ours.public_key()) != _encoded(key.public_key()):
        raise SettingsError(
            f"{files.section}.key: {files.key} is not the key of the first certificate in "
            f"{files.certificate}"
        )
    if fault := validities(files)[0].fault(now):
        raise SettingsError(fault)


def _certificates(setting: str, path: Path) -> list[x509.Certificate]:
    content = _content(setting, path)
    try:
        return x509.load_pem_x509_certificates(content)
    except ValueError as error:
        raise SettingsError(
            f"{setting}: {path} holds no certificate that can be read; allowed: PEM, which begins "
            "with -----BEGIN CERTIFICATE-----"
        ) from error


def _private_key(setting: str, path: Path) -> PrivateKeyTypes:
    content = _content(setting, path)
    found = path.stat()
    if not is_private(found.st_mode, found.st_uid, os.geteuid()):
        raise SettingsError(
            f"{setting}: {path} can be read or written by others (mode "
            f"{stat.S_IMODE(found.st_mode):04o}): chmod 600, or 640 where root owns it"
        )
    try:
        return load_pem_private_key(content, password=None)
    except TypeError as error:
        raise SettingsError(
            f"{setting}: {path} is encrypted, and nobody is there to type a password at the start; "
            "allowed: a key without one, readable by the node's user only"
        ) from error
    except (ValueError, UnsupportedAlgorithm) as error:
        raise SettingsError(
            f"{setting}: {path} holds no private key that can be read; allowed: PEM, RSA or EC"
        ) from error


def _content(setting: str, path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            content = file.read(_MAX_FILE_BYTES + 1)
    except FileNotFoundError as error:
        raise SettingsError(f"{setting}: {path}: no such file") from error
    except OSError as error:
        raise SettingsError(f"{setting}: {path}: cannot be read: {error.strerror}") from error
    if len(content) > _MAX_FILE_BYTES:
        raise SettingsError(f"{setting}: {path}: larger than {_MAX_FILE_BYTES >> 20} MiB")
    return content


def _encoded(key: PublicKeyTypes) -> bytes:
    return key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)


def _no_password() -> str:
    """Keep OpenSSL from asking at the terminal."""
    raise ValueError("the key is encrypted")


def _reason(error: OSError | ValueError) -> str:
    if isinstance(error, ssl.SSLError) and error.reason:
        return error.reason.lower().replace("_", " ")
    return str(error)
