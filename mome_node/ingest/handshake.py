"""Why a TLS handshake with a caller failed, in words for an administrator."""

from __future__ import annotations

import ssl
from typing import Final

_REASONS: Final = {
    "UNSUPPORTED_PROTOCOL": "it speaks only an older TLS than dicom.tls.minimum",
    "UNKNOWN_PROTOCOL": "it speaks only an older TLS than dicom.tls.minimum",
    "VERSION_TOO_LOW": "it speaks only an older TLS than dicom.tls.minimum",
    "NO_SHARED_CIPHER": "it offers no cipher suite with forward secrecy and AEAD (BCP 195)",
    "NO_SUITABLE_SIGNATURE_ALGORITHM": "it takes no signature that our certificate can make",
    "NO_SHARED_GROUP": "it offers no elliptic curve that we take",
    "WRONG_VERSION_NUMBER": "it speaks no TLS: plain DICOM, perhaps, on the port for TLS",
    "HTTP_REQUEST": "it speaks HTTP, on the port for DICOM with TLS",
    "PEER_DID_NOT_RETURN_A_CERTIFICATE": "it shows no certificate, and dicom.tls.client_ca is set",
    "UNEXPECTED_EOF_WHILE_READING": "it closed the connection",
    "EE_KEY_TOO_SMALL": "the key of its certificate is too small",
    "CA_MD_TOO_WEAK": "its certificate is signed with a weak digest",
}
"""By OpenSSL's name of the error."""

_ALERTS: Final = {
    "UNKNOWN_CA": "it does not trust our certificate: give it the CA that issued it",
    "BAD_CERTIFICATE": "it refuses our certificate",
    "CERTIFICATE_UNKNOWN": "it refuses our certificate",
    "UNSUPPORTED_CERTIFICATE": "it refuses our certificate's kind",
    "CERTIFICATE_EXPIRED": "it says that our certificate has expired",
    "CERTIFICATE_REVOKED": "it says that our certificate is revoked",
    "PROTOCOL_VERSION": "it speaks no TLS version that we do",
    "HANDSHAKE_FAILURE": "it takes no cipher suite that we do",
    "ACCESS_DENIED": "it denies access",
}
"""By the end of the name of an alert that the caller sent (RFC 8446 6.2)."""


def why_failed(error: Exception) -> str:
    """Return what a handshake's error means; what the caller sent is no part of it."""
    if isinstance(error, TimeoutError):
        return "it did not finish the handshake in time (dicom.handshake_timeout_s)"
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"its certificate is refused: {error.verify_message}"
    if not isinstance(error, ssl.SSLError):
        return "it closed the connection"
    reason = error.reason or ""
    if "_ALERT_" in reason:
        alert = reason.rpartition("_ALERT_")[2]
        return _ALERTS.get(alert, f"it broke off: {_words(alert)}")
    return _REASONS.get(reason, _words(reason) or "it closed the connection")


def _words(name: str) -> str:
    return name.lower().replace("_", " ")
