"""The tuned sender sends what it is told to, and takes nothing for success that is none."""

from __future__ import annotations

import socket
import ssl
import subprocess
import sys
import threading
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from mome_node.bench.ingest.certificate import make_certificate
from mome_node.bench.ingest.instances import (
    TRANSFER_SYNTAX,
    PreparedInstance,
    PreparedStudy,
    write_huge_instance,
)
from mome_node.bench.ingest.job import SendJob, SendReport
from mome_node.bench.ingest.presence import count_whole
from mome_node.bench.ingest.sender import send
from mome_node.errors import BenchmarkError

MakeStudy = Callable[..., PreparedStudy]


def job(
    port: int, parts: Sequence[Sequence[PreparedInstance]], ca_file: Path | None = None
) -> SendJob:
    return SendJob(
        host="127.0.0.1",
        port=port,
        called_ae="MOME",
        calling_ae="BENCH",
        transfer_syntax_uid=TRANSFER_SYNTAX,
        associations=tuple(tuple(i.outbound for i in part) for part in parts),
        ca_file=str(ca_file) if ca_file else None,
    )


@pytest.mark.parametrize("associations", [1, 3])
def test_every_instance_arrives_whole_and_is_told(
    start_scp, data_dir: Path, make_study: MakeStudy, associations: int
) -> None:
    parts = make_study(instances=7, parts=associations).renew()
    sent = [instance for part in parts for instance in part]
    report = send(job(start_scp().port, parts))
    told = [a.sop_instance_uid for a in report.acknowledged]
    assert told == [i.outbound.sop_instance_uid for i in sent]
    assert all(0 < a.wait_s <= a.store_s < report.seconds for a in report.acknowledged)
    assert count_whole(data_dir, sent) == 7


@pytest.mark.parametrize("max_pdu_bytes", [4096, 131_072])
def test_an_object_larger_than_the_buffer_arrives_whole(
    start_scp, data_dir: Path, tmp_path: Path, max_pdu_bytes: int
) -> None:
    huge = write_huge_instance(tmp_path / "huge", 5 << 20)
    send(job(start_scp(max_pdu_bytes=max_pdu_bytes).port, [[huge]]))
    assert count_whole(data_dir, [huge]) == 1


def test_it_sends_by_tls_to_the_certificate_that_it_was_given(
    start_scp, data_dir: Path, tmp_path: Path, make_study: MakeStudy
) -> None:
    certificate = make_certificate(tmp_path / "ours", "127.0.0.1")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate.certificate, certificate.key)
    port = start_scp(tls=context).tls_port
    (part,) = make_study().renew()
    other = make_certificate(tmp_path / "others", "127.0.0.1")
    with pytest.raises(BenchmarkError, match="certificate"):
        send(job(port, [part], other.certificate))
    send(job(port, [part], certificate.certificate))
    assert count_whole(data_dir, part) == len(part)


def test_a_refused_instance_is_an_error_with_its_status(start_scp, make_study: MakeStudy) -> None:
    (part,) = make_study().renew()
    port = start_scp(max_dataset_bytes=1000).port
    with pytest.raises(BenchmarkError, match=r"status C003"):
        send(job(port, [part]))


def test_a_rejected_association_is_an_error(start_scp, make_study: MakeStudy) -> None:
    (part,) = make_study().renew()
    wrong = replace(job(start_scp().port, [part]), called_ae="NOBODY")
    with pytest.raises(BenchmarkError, match="refused the association"):
        send(wrong)


def test_nobody_there_is_an_error(make_study: MakeStudy) -> None:
    (part,) = make_study().renew()
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # bound and not listening: nobody else gets it meanwhile
        with pytest.raises(BenchmarkError, match="cannot be sent to"):
            send(job(taken.getsockname()[1], [part]))


@pytest.mark.parametrize("answer", [b"", b"\x02\0\xff\xff\xff\xff", b"\x07\0\0\0\0\x04\0\0\0\0"])
def test_what_is_no_association_is_an_error(make_study: MakeStudy, answer: bytes) -> None:
    (part,) = make_study().renew()
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve() -> None:
            connection, _ = server.accept()
            with connection:
                connection.recv(1 << 16)
                connection.sendall(answer)

        thread = threading.Thread(target=serve)
        thread.start()
        with pytest.raises(BenchmarkError):
            send(job(server.getsockname()[1], [part]))
        thread.join()


def test_as_a_program_it_reads_its_job_and_writes_its_report(
    start_scp, tmp_path: Path, make_study: MakeStudy
) -> None:
    (part,) = make_study().renew()
    order, report = tmp_path / "job.json", tmp_path / "report.json"
    job(start_scp().port, [part]).write(order)
    command = [sys.executable, "-m", "mome_node.bench.ingest.sender", str(order), str(report)]
    assert subprocess.run(command, check=False, capture_output=True).returncode == 0
    told = {a.sop_instance_uid for a in SendReport.read(report).acknowledged}
    assert told == {i.outbound.sop_instance_uid for i in part}
    replace(SendJob.read(order), called_ae="NOBODY").write(order)
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    assert (done.returncode, done.stderr.count("\n")) == (1, 1)
    assert "refused" in done.stderr
