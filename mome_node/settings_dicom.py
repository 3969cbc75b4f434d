"""Settings of the DICOM receiver: who may send, how much, and over what."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Literal

from pydantic import AfterValidator, Field, StringConstraints

from mome_node.settings_values import (
    AETitle,
    FilePath,
    Host,
    Number,
    Port,
    Section,
    host_or_address,
)

Seconds = Annotated[float, Number, Field(gt=0, le=3600)]


def _peer_host(value: str) -> str:
    try:
        ipaddress.ip_network(value, strict=True)
    except ValueError as error:
        if "/" in value:
            raise ValueError("an address, a name, or a network such as 10.1.2.0/24") from error
        return host_or_address(value)
    return value


PeerHost = Annotated[str, StringConstraints(strip_whitespace=True), AfterValidator(_peer_host)]
"""A host name, an IP address, or a network in CIDR notation (RFC 4632)."""


class Peer(Section):
    """A system that may send to us."""

    ae: AETitle = Field(description="Its calling AE title.")
    host: PeerHost = Field(
        description="Where it calls from: an address, a network such as 10.1.2.0/24, or a name."
    )
    port: Port | None = Field(
        None,
        description="Where it listens, for reports on storage commitment. Without it they go only "
        "over the association that the peer asked on.",
    )
    may_reject: bool = Field(
        False,
        description="Apply its rejection notes (IHE IOCM): what they name is not read any more.",
    )
    max_associations: Annotated[int, Number, Field(ge=1, le=1000)] | None = Field(
        None, description="Associations that it may have at the same time; more are rejected."
    )
    max_objects_a_minute: Annotated[int, Number, Field(ge=1, le=1_000_000)] | None = Field(
        None, description="Objects that are taken from it a minute; beyond, answers come later."
    )
    max_mb_a_minute: Annotated[int, Number, Field(ge=1, le=1_000_000)] | None = Field(
        None, description="Megabytes that are taken from it a minute; beyond, answers come later."
    )


class TlsSettings(Section):
    """TLS for the DICOM receiver (PS3.15 B.12), on a port of its own; on with a certificate."""

    certificate: FilePath | None = Field(
        None,
        description="Our certificate (PEM), with those that it was issued by behind it. TLS is on "
        "where it is set.",
    )
    key: FilePath | None = Field(
        None, description="Its private key (PEM), not encrypted, for nobody else to read."
    )
    client_ca: FilePath | None = Field(
        None,
        description="The certificates (PEM) that peers' own are issued by. Where it is set, a peer "
        "without such a certificate is not let in.",
    )
    minimum: Literal["1.2", "1.3"] = Field("1.2", description="The oldest TLS that is spoken.")
    port: Port = Field(2762, description="The port to listen on for TLS.")


class DicomSettings(Section):
    """The DICOM receiver."""

    host: Host = Field("0.0.0.0", description="The address to listen on; :: for IPv6, too.")  # noqa: S104  # a PACS is another machine
    port: Port = Field(11112, description="The port to listen on.")
    plain: bool = Field(
        True, description="Listen on `port`, without TLS. Close it when all peers speak TLS."
    )
    also_called: tuple[AETitle, ...] = Field(
        (), description="Further AE titles that peers may call us by, beside node.ae_title."
    )
    allowed_peers: tuple[Peer, ...] = Field(
        (),
        description="Who may send, by calling AE title and address. Loopback always may.",
    )
    allow_any_peer: bool = Field(
        False, description="Let anybody send who calls us by our AE title. Not for a hospital."
    )
    max_associations: Annotated[int, Number, Field(ge=1, le=1000)] = Field(
        25, description="Associations served at the same time; further ones are rejected."
    )
    handshake_timeout_s: Seconds = Field(
        10.0, description="A connection that has not agreed on TLS after so long is closed."
    )
    request_timeout_s: Seconds = Field(
        30.0, description="A connection that has asked for no association after so long is closed."
    )
    pdu_timeout_s: Seconds = Field(
        30.0, description="A connection on which one PDU takes longer to come is closed."
    )
    network_timeout_s: Seconds = Field(
        60.0, description="An association that says nothing for so long is aborted."
    )
    max_instance_mb: Annotated[int, Number, Field(ge=1, le=16384)] = Field(
        2048, description="Larger data sets are refused."
    )
    tls: TlsSettings = Field(TlsSettings(), description="TLS.")


class StorageSettings(Section):
    """Room on the disk of node.data_dir."""

    min_free_mb: Annotated[int, Number, Field(ge=16, le=100_000_000)] = Field(
        1024,
        description="With less free, new instances are refused (A700) and an alarm is given; what "
        "is left is for results and the catalogue.",
    )
    resume_free_mb: Annotated[int, Number, Field(ge=16, le=100_000_000)] | None = Field(
        None,
        description="With so much free again, instances are taken again; by default half as much "
        "again as min_free_mb.",
    )

    @property
    def resume_mb(self) -> int:
        """``resume_free_mb``, or what it is by default."""
        return self.resume_free_mb or self.min_free_mb * 3 // 2


def with_absolute_files(dicom: DicomSettings, base: Path) -> DicomSettings:
    """The same with the files of TLS taken from the folder ``base``."""
    tls = dicom.tls
    files = {"certificate": tls.certificate, "key": tls.key, "client_ca": tls.client_ca}
    update = {name: (base / file).resolve() for name, file in files.items() if file}
    return dicom.model_copy(update={"tls": tls.model_copy(update=update)})


def dicom_contradictions(dicom: DicomSettings) -> Iterator[str]:
    """What each value allows and all of them together do not."""
    tls = dicom.tls
    for key in ("certificate", "key"):
        files = (tls.certificate, tls.key, tls.client_ca)
        if getattr(tls, key) is None and any(file is not None for file in files):
            yield f"dicom.tls.{key}: missing; TLS needs certificate and key"
    if not dicom.plain and tls.certificate is None:
        yield "dicom.plain: found false; allowed: true, as there is no TLS (dicom.tls.certificate)"
    if dicom.plain and tls.certificate is not None and tls.port == dicom.port:
        yield f"dicom.tls.port: found {tls.port}; allowed: another port than dicom.port"
    yield from _differing_limits(dicom.allowed_peers)


def storage_contradictions(storage: StorageSettings) -> Iterator[str]:
    """Room that is too little to go on with."""
    if storage.resume_mb < storage.min_free_mb:
        yield (
            f"storage.resume_free_mb: found {storage.resume_mb}; allowed: at least "
            f"storage.min_free_mb, which is {storage.min_free_mb}"
        )


def _differing_limits(peers: tuple[Peer, ...]) -> Iterator[str]:
    """A title that calls from several places has its limits once, for all of them."""
    for key in ("max_associations", "max_objects_a_minute", "max_mb_a_minute"):
        found: dict[str, int | None] = {}
        for number, peer in enumerate(peers):
            limit = getattr(peer, key)
            if found.setdefault(peer.ae, limit) != limit:
                yield (
                    f"dicom.allowed_peers.{number}.{key}: found {limit}; allowed: what the other "
                    f"entry of {peer.ae} says, as they share it: {found[peer.ae]}"
                )
