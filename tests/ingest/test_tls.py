"""TLS as BCP 195 has it, mutual where asked, and what an administrator is told."""

from __future__ import annotations

import socket
import ssl
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import trustme
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    PrivateFormat,
)
from pynetdicom import AE
from pynetdicom.sop_class import Verification
from structlog.testing import capture_logs

from mome_node.errors import SettingsError
from mome_node.ingest.handshake import why_failed
from mome_node.ingest.peers import Admission
from mome_node.ingest.scp import ScpSettings, StorageScp
from mome_node.jobs.certificates import CertificateWatch
from mome_node.tls import TlsFiles, is_private, server_context, validities
from tests.ingest.certificates import Hospital
from tests.ingest.conftest import utc_now
from tests.ingest.test_server import eventually

LOOPBACK = "127.0.0.1"


@pytest.fixture
def hospital(tmp_path: Path) -> Hospital:
    return Hospital(tmp_path)


@pytest.fixture
def door(node, hospital) -> Iterator[Callable]:
    """A receiver with TLS alone; yields its port and the lines of its log."""

    @contextmanager
    def opened(**files):
        tls = server_context(hospital.files(**files), utc_now())
        settings = ScpSettings(
            host=LOOPBACK, tls_port=0, plain=False, handshake_timeout_s=5, acse_timeout_s=5
        )
        with capture_logs() as logs, StorageScp(settings, node.reception, Admission(), tls) as scp:
            yield scp.tls_port, logs

    return opened


def agreed(port: int, client: ssl.SSLContext) -> tuple[str, str]:
    """Version and cipher suite that are agreed on; an OSError if none are."""
    with (
        socket.create_connection((LOOPBACK, port), timeout=10) as plain,
        client.wrap_socket(plain, server_hostname=LOOPBACK) as connection,
    ):
        connection.sendall(b"\x05\x00\x00\x00\x00\x04\x00\x00\x00\x00")  # A-RELEASE-RQ: refused
        answer = connection.recv(100)  # in TLS 1.3 a refused certificate is told only here
        assert answer[:1] in (b"\x07", b"")
        return str(connection.version()), connection.cipher()[0]


def is_refused(port: int, client: ssl.SSLContext) -> bool:
    """Whether nothing is agreed on; on some of the ways the peer sees only a closed connection."""
    try:
        agreed(port, client)
    except OSError:
        return True
    return False


def reason_told(logs: list) -> str:
    """The reason that the log gives for a handshake that failed."""
    eventually(lambda: any(e["event"] == "TLS handshake failed" for e in logs))
    (line,) = [e for e in logs if e["event"] == "TLS handshake failed"]
    assert line["host"] == LOOPBACK
    return line["why"]


@pytest.mark.parametrize("version", ["TLSv1.2", "TLSv1.3"])
def test_tls_1_2_and_1_3_are_spoken(door, hospital, version) -> None:
    client = hospital.client()
    number = ssl.TLSVersion[version.replace(".", "_")]
    client.minimum_version = client.maximum_version = number
    with door() as (port, _):
        spoken, cipher = agreed(port, client)
    assert spoken == version
    assert "GCM" in cipher or "CHACHA20" in cipher


@pytest.mark.filterwarnings("ignore:ssl.TLSVersion")
@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1, ssl.TLSVersion.TLSv1_1])
def test_older_tls_is_refused(door, hospital, version) -> None:
    client = hospital.client()
    client.minimum_version, client.maximum_version = ssl.TLSVersion.TLSv1, version
    client.set_ciphers("ALL:@SECLEVEL=0")
    with door() as (port, logs):
        assert is_refused(port, client)
        assert "older TLS than dicom.tls.minimum" in reason_told(logs)


def test_tls_1_2_is_refused_where_1_3_is_the_minimum(door, hospital) -> None:
    client = hospital.client()
    client.maximum_version = ssl.TLSVersion.TLSv1_2
    with door(minimum="1.3") as (port, logs):
        assert is_refused(port, client)
        assert "older TLS" in reason_told(logs)
        assert agreed(port, hospital.client())[0] == "TLSv1.3"


@pytest.mark.parametrize(
    "suites",
    [
        "ECDHE-ECDSA-AES128-SHA256",  # CBC, no AEAD
        "AES128-GCM-SHA256:AES256-GCM-SHA384",  # no forward secrecy
        "DHE-RSA-AES128-GCM-SHA256",  # finite field (RFC 9325 4.1)
        "NULL:@SECLEVEL=0",
    ],
)
def test_weak_cipher_suites_are_refused(door, hospital, suites) -> None:
    client = hospital.client()
    client.maximum_version = ssl.TLSVersion.TLSv1_2
    client.set_ciphers(suites)
    with door() as (port, logs):
        assert is_refused(port, client)
        assert "no cipher suite with forward secrecy and AEAD" in reason_told(logs)


def test_a_peer_with_a_certificate_of_the_client_ca_is_let_in(door, hospital) -> None:
    client = hospital.client(hospital.authority.issue_cert("pacs.example.org"))
    caller = AE("PACS")
    caller.add_requested_context(Verification)
    with door(mutual=True) as (port, logs):
        association = caller.associate(LOOPBACK, port, ae_title="MOME", tls_args=(client, LOOPBACK))
        assert association.is_established
        assert association.send_c_echo().Status == 0
        association.release()
        eventually(lambda: any(e["event"] == "association ended" for e in logs))
    (line,) = [e for e in logs if e["event"] == "association ended"]
    assert line["tls"] is True


def test_a_peer_without_a_certificate_is_kept_out(door, hospital) -> None:
    with door(mutual=True) as (port, logs):
        assert is_refused(port, hospital.client())
        assert reason_told(logs) == "it shows no certificate, and dicom.tls.client_ca is set"


def test_a_peer_with_a_certificate_of_somebody_else_is_kept_out(door, hospital) -> None:
    with door(mutual=True) as (port, logs):
        assert is_refused(port, hospital.client(trustme.CA().issue_cert("pacs.example.org")))
        assert reason_told(logs).startswith("its certificate is refused: unable to get local")


def test_a_peer_with_an_expired_certificate_is_kept_out(door, hospital) -> None:
    then = utc_now() - timedelta(days=10)
    expired = hospital.authority.issue_cert("pacs", not_before=then, not_after=then)
    with door(mutual=True) as (port, logs):
        assert is_refused(port, hospital.client(expired))
        assert reason_told(logs) == "its certificate is refused: certificate has expired"


def test_a_peer_that_does_not_trust_us_says_so(door, hospital) -> None:
    with door() as (port, logs):
        with pytest.raises(ssl.SSLCertVerificationError):
            agreed(port, ssl.create_default_context())
        assert "give it the CA that issued it" in reason_told(logs)


def test_plain_dicom_on_the_port_for_tls_is_told(door) -> None:
    caller = AE("PACS")
    caller.add_requested_context(Verification)
    with door() as (port, logs):
        assert not caller.associate(LOOPBACK, port, ae_title="MOME").is_established
        assert "it speaks no TLS: plain DICOM, perhaps" in reason_told(logs)


def test_the_log_tells_a_failing_peer_once_a_minute(door, hospital) -> None:
    with door() as (port, logs):
        for _ in range(5):
            with socket.create_connection((LOOPBACK, port), timeout=10) as connection:
                connection.sendall(b"GET / HTTP/1.1\r\n\r\n")
                connection.recv(100)
        assert reason_told(logs).startswith("it speaks HTTP")


def test_every_error_of_a_handshake_has_words() -> None:
    unknown = ssl.SSLError(1, "[SSL: SOMETHING_NEW] something new")
    unknown.reason = "SOMETHING_NEW"
    assert why_failed(unknown) == "something new"
    alert = ssl.SSLError(1, "x")
    alert.reason = "TLSV1_ALERT_INTERNAL_ERROR"
    assert why_failed(alert) == "it broke off: internal error"
    assert why_failed(ConnectionResetError()) == "it closed the connection"


# What is wrong with the files


def refused(files: TlsFiles, now: datetime | None = None) -> str:
    with pytest.raises(SettingsError) as caught:
        server_context(files, now or utc_now())
    return str(caught.value)


@pytest.mark.parametrize("missing", ["certificate", "key", "client_ca"])
def test_a_file_that_is_missing_is_named_with_its_setting(hospital, missing) -> None:
    files = hospital.files(mutual=True)
    path = getattr(files, missing)
    path.unlink()
    assert refused(files) == f"dicom.tls.{missing}: {path}: no such file"


@pytest.mark.parametrize("unreadable", ["certificate", "key", "client_ca"])
def test_a_file_that_is_no_pem_is_named_with_its_setting(hospital, unreadable) -> None:
    files = hospital.files(mutual=True)
    getattr(files, unreadable).write_bytes(b"\x30\x82 DER or whatever")
    told = refused(files)
    assert told.startswith(f"dicom.tls.{unreadable}: ")
    assert "allowed: PEM" in told


def test_a_key_of_another_certificate_is_refused(hospital, tmp_path) -> None:
    files = hospital.files()
    hospital.authority.issue_cert("other").private_key_pem.write_to_path(files.key)
    assert "is not the key of the first certificate in" in refused(files)


@pytest.mark.parametrize("mode", [0o604, 0o644, 0o620, 0o666])
def test_a_key_that_others_may_read_is_refused(hospital, mode) -> None:
    files = hospital.files()
    files.key.chmod(mode)
    assert f"(mode {mode:04o}): chmod 600" in refused(files)


@pytest.mark.parametrize(
    ("mode", "owner", "user", "private"),
    [
        (0o600, 1000, 1000, True),
        (0o400, 1000, 1000, True),
        (0o640, 1000, 1000, False),
        (0o640, 0, 1000, True),  # root's, shared with our group: as Debian's ssl-cert
        (0o660, 0, 1000, False),
        (0o644, 0, 1000, False),
        (0o640, 0, 0, False),
    ],
)
def test_a_key_is_for_its_owner_and_a_group_of_roots(mode, owner, user, private) -> None:
    assert is_private(mode, owner, user) is private


def test_an_encrypted_key_is_refused_and_nobody_is_asked(hospital) -> None:
    files = hospital.files()
    key = ec.generate_private_key(ec.SECP256R1())
    files.key.write_bytes(
        key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(b"secret"))
    )
    assert "is encrypted" in refused(files)


def test_a_file_that_is_far_too_large_is_not_read(hospital) -> None:
    files = hospital.files()
    with files.certificate.open("ab") as file:
        file.truncate(2 << 20)
    assert "larger than 1 MiB" in refused(files)


# How long certificates are valid


def test_an_expired_certificate_is_refused_at_the_start(hospital) -> None:
    now = utc_now()
    files = hospital.files(not_before=now - timedelta(days=9), not_after=now - timedelta(days=2))
    told = refused(files)
    assert "node.pem expired on" in told
    assert told.endswith("renew it")


def test_a_certificate_that_is_not_valid_yet_is_refused(hospital) -> None:
    now = utc_now()
    files = hospital.files(not_before=now + timedelta(days=1), not_after=now + timedelta(days=9))
    assert "is this machine's clock right?" in refused(files)


def test_a_warning_comes_every_day_from_30_days_before_and_an_alarm_afterwards(hospital) -> None:
    ends = datetime(2026, 3, 31, 12, tzinfo=UTC)
    files = hospital.files(not_before=datetime(2026, 1, 1, tzinfo=UTC), not_after=ends)
    now = [ends - timedelta(days=30, minutes=1)]
    watch = CertificateWatch(validities(files), lambda: now[0])
    with capture_logs() as logs:
        watch.warn()
        assert logs == []
        now[0] = ends - timedelta(days=30)
        watch.warn()
        now[0] += timedelta(days=29)
        watch.warn()
        assert watch.fault() is None
        now[0] = ends
        assert "expired on 2026-03-31" in str(watch.fault())
    assert ["in 30 days" in e["why"] for e in logs] == [True, False]
    assert "expires on 2026-03-31, in 1 days" in logs[1]["why"]


def test_the_peers_authority_is_watched_too(hospital) -> None:
    ours, theirs = validities(hospital.files(mutual=True))
    assert ours.setting == "dicom.tls.certificate"
    assert theirs.setting == "dicom.tls.client_ca"
