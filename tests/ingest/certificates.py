"""Certificates made at test time, written as an administrator would have them."""

from __future__ import annotations

import ssl
from datetime import datetime
from pathlib import Path

import trustme

from mome_node.tls import TlsFiles


class Hospital:
    """A certificate authority, the node's files from it, and its peers."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.authority = trustme.CA(key_type=trustme.KeyType.ECDSA)
        self.ca_file = folder / "ca.pem"
        self.authority.cert_pem.write_to_path(self.ca_file)

    def files(
        self,
        *,
        mutual: bool = False,
        minimum: str = "1.2",
        not_before: datetime | None = None,
        not_after: datetime | None = None,
    ) -> TlsFiles:
        """Our certificate and key on disk."""
        issued = self.authority.issue_cert("127.0.0.1", not_before=not_before, not_after=not_after)
        certificate, key = self.folder / "node.pem", self.folder / "node.key"
        issued.cert_chain_pems[0].write_to_path(certificate)
        issued.private_key_pem.write_to_path(key)
        key.chmod(0o600)
        client_ca = self.ca_file if mutual else None
        return TlsFiles(certificate, key, client_ca, minimum)

    def client(self, certificate: trustme.LeafCert | None = None) -> ssl.SSLContext:
        """A peer that trusts this hospital's authority, with a certificate of its own or none."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        self.authority.configure_trust(context)
        if certificate is not None:
            certificate.configure_cert(context)
        return context
