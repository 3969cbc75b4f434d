"""DCMTK's tools over TLS to a served node: the profiles of PS3.15 annex B, and who is kept out."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import trustme

from conformance import dcmtk, peers
from conformance.node import ServedNode
from conformance.waiting import wait_until
from mome_node.demonstration.pacs.pacs import LOOPBACK, DicomAddress, free_port

pytestmark = [pytest.mark.peer("DCMTK echoscu"), pytest.mark.peer("DCMTK storescu")]

IMAGE = (
    Path(__file__).parents[1] / "tests/data/dicom/transfer-syntaxes/mr-small/MR_small_implicit.dcm"
)


class Door:
    """A served node that asks peers for certificates, and a peer's certificates."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.port = free_port()
        authority = trustme.CA()
        authority.cert_pem.write_to_path(folder / "ca.pem")
        for name, issuer in (("node", authority), ("pacs", authority), ("stranger", trustme.CA())):
            issued = issuer.issue_cert(LOOPBACK)
            issued.cert_chain_pems[0].write_to_path(folder / f"{name}.pem")
            issued.private_key_pem.write_to_path(folder / f"{name}.key")
        (folder / "node.key").chmod(0o600)
        self.node = ServedNode(
            folder / "served",
            DicomAddress("NOBODY", LOOPBACK, free_port()),
            quiet_s=600.0,
            more_settings=(
                f'[dicom.tls]\ncertificate = "{folder}/node.pem"\nkey = "{folder}/node.key"\n'
                f'client_ca = "{folder}/ca.pem"\nport = {self.port}\n'
            ),
        )

    @property
    def address(self) -> DicomAddress:
        return DicomAddress("MOME", LOOPBACK, self.port)

    def shown(self, name: str) -> list[str]:
        """DCMTK's options for a certificate, and for the authority that it trusts."""
        files = [str(self.folder / f"{name}.key"), str(self.folder / f"{name}.pem")]
        return ["+tls", *files, "+cf", str(self.folder / "ca.pem")]

    def echoes(self, *options: str) -> bool:
        arguments = [*options, "-aec", "MOME", LOOPBACK, str(self.port)]
        return dcmtk.run_tool(peers.ECHOSCU, *arguments).returncode == 0

    def log_tells(self, words: str) -> None:
        wait_until(lambda: words in self.node.log_tail(), f"the log tells: {words}")


@pytest.fixture(scope="module")
def door(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Door]:
    opened = Door(tmp_path_factory.mktemp("tls"))
    opened.node.start()
    yield opened
    opened.node.stop()


@pytest.mark.parametrize("profile", ["+py", "+px", "+pz"])
def test_every_profile_of_bcp_195_is_spoken(door: Door, profile: str) -> None:
    assert door.echoes(*door.shown("pacs"), profile)


def test_the_retired_aes_profile_is_refused(door: Door) -> None:
    assert not door.echoes(*door.shown("pacs"), "+pa")
    door.log_tells("it offers no cipher suite with forward secrecy and AEAD")


def test_images_arrive_over_tls_byte_for_byte(door: Door) -> None:
    sent = dcmtk.storescu(door.address, [IMAGE], *door.shown("pacs"), "-xi")
    assert sent.returncode == 0, sent.stderr
    assert door.node.holds(IMAGE)


def test_the_port_without_tls_is_still_there_for_peers_that_have_not_moved(door: Door) -> None:
    peer = door.node.address
    arguments = ["-aec", peer.ae_title, peer.host, str(peer.port)]
    assert dcmtk.run_tool(peers.ECHOSCU, *arguments).returncode == 0


def test_a_peer_without_a_certificate_is_kept_out(door: Door) -> None:
    assert not door.echoes("+tla", "+cf", str(door.folder / "ca.pem"))
    door.log_tells("it shows no certificate")


def test_a_peer_with_somebody_elses_certificate_is_kept_out(door: Door) -> None:
    assert not door.echoes(*door.shown("stranger"))
    door.log_tells("its certificate is refused")


def test_plain_dicom_on_the_port_for_tls_is_kept_out(door: Door) -> None:
    assert not door.echoes()
    door.log_tells("it speaks no TLS")
