"""The tuned sender: a C-STORE SCU that costs a receiver's machine little.

``python -m mome_node.bench.ingest.sender JOB REPORT`` sends what the job names, one association a
thread. Association negotiation is pynetdicom's; after it, up to a megabyte of PDUs, each as long
as the receiver takes, is read from the file into one buffer and written to the socket at once,
with TCP_NODELAY set, and TCP_QUICKACK again after each receive. Each C-STORE-RSP is awaited before
the next request, and its status and SOP Instance UID are checked.
"""

from __future__ import annotations

import os
import socket
import ssl
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from pydicom.uid import UID
from pynetdicom.pdu import A_ASSOCIATE_AC, A_ASSOCIATE_RQ, A_RELEASE_RQ
from pynetdicom.pdu_primitives import (
    A_ASSOCIATE,
    ImplementationClassUIDNotification,
    MaximumLengthNotification,
)
from pynetdicom.presentation import PresentationContext, build_context

from mome_node.bench.ingest.cstore import (
    FRAGMENT_HEADER_BYTES,
    PDU_HEADER,
    parse_store_response,
    store_request,
    write_fragment_header,
)
from mome_node.bench.ingest.job import Acknowledged, Outbound, SendJob, SendReport
from mome_node.dicom.uids import IMPLEMENTATION_CLASS_UID
from mome_node.errors import BenchmarkError

_APPLICATION_CONTEXT: Final = "1.2.840.10008.3.1.1.1"
_ASSOCIATE_AC, _RELEASE_RP = 0x02, 0x06
_BUFFER_BYTES: Final = 1 << 20
_MAX_COMMAND_BYTES: Final = 512
_MAX_ANSWER_BYTES: Final = 1 << 16
_MOST_FRAGMENT_BYTES: Final = 1 << 18  # of a receiver that names no limit
_PDV_HEADER_BYTES: Final = 6
_TIMEOUT_S: Final = 120.0
_MAX_MESSAGE_ID: Final = 0xFFFF


class Association:
    """An association that is open, and the buffer that its PDUs are made in."""

    def __init__(self, connection: socket.socket, job: SendJob, classes: tuple[str, ...]) -> None:
        self._connection = connection
        self._contexts, fragment = _negotiate(connection, job, classes)
        self._fragment_bytes = min(fragment or _MOST_FRAGMENT_BYTES, _MOST_FRAGMENT_BYTES)
        self._buffer = bytearray(_MAX_COMMAND_BYTES + _BUFFER_BYTES + _MOST_FRAGMENT_BYTES)
        self._view = memoryview(self._buffer)
        self._message_id = 0

    def store(self, instance: Outbound) -> Acknowledged:
        """Send one instance and wait for its answer; BenchmarkError unless that is success."""
        self._message_id = self._message_id % _MAX_MESSAGE_ID + 1
        context_id = self._contexts[instance.sop_class_uid]
        command = store_request(
            context_id, self._message_id, instance.sop_class_uid, instance.sop_instance_uid
        )
        began = time.perf_counter()
        self._send_dataset(command, context_id, instance)
        sent = time.perf_counter()
        answer = parse_store_response(_receive_pdu(self._connection))
        answered = time.perf_counter()
        uid = instance.sop_instance_uid
        if answer.status != 0 or answer.message_id != self._message_id:
            raise BenchmarkError(f"instance {uid} was answered with status {answer.status:04X}")
        if answer.sop_instance_uid not in {"", uid}:
            raise BenchmarkError(f"instance {uid} was answered as {answer.sop_instance_uid}")
        return Acknowledged(uid, answered - sent, answered - began)

    def release(self) -> None:
        """Release the association; BenchmarkError if the receiver does not agree."""
        self._connection.sendall(A_RELEASE_RQ().encode())
        if _receive_pdu(self._connection)[0] != _RELEASE_RP:
            raise BenchmarkError("the receiver did not answer the release")

    def _send_dataset(self, command: bytes, context_id: int, instance: Outbound) -> None:
        """Send command and data set, as many PDUs at a time as the buffer holds."""
        self._buffer[: len(command)] = command
        filled = len(command)
        file = os.open(instance.path, os.O_RDONLY)
        try:
            offset, end = instance.dataset_offset, os.fstat(file).st_size
            while offset < end:
                fragments: list[memoryview] = []
                start = offset
                while offset < end and filled < _BUFFER_BYTES:
                    size = min(self._fragment_bytes, end - offset)
                    offset += size
                    write_fragment_header(
                        self._buffer, filled, context_id, size, is_last=offset == end
                    )
                    filled += FRAGMENT_HEADER_BYTES + size
                    fragments.append(self._view[filled - size : filled])
                if os.preadv(file, fragments, start) != offset - start:
                    raise BenchmarkError(f"{instance.path} became shorter while it was sent")
                self._connection.sendall(self._view[:filled])
                filled = 0
        finally:
            os.close(file)


def send(job: SendJob) -> SendReport:
    """Send all that the job names; BenchmarkError as soon as one instance is not acknowledged."""
    began = time.perf_counter()
    with ThreadPoolExecutor(len(job.associations)) as pool:
        sent = list(pool.map(lambda instances: _send_over_one(job, instances), job.associations))
    return SendReport(time.perf_counter() - began, tuple(a for part in sent for a in part))


def _send_over_one(job: SendJob, instances: tuple[Outbound, ...]) -> list[Acknowledged]:
    classes = tuple(sorted({i.sop_class_uid for i in instances}))
    try:
        with _connected(job) as connection:
            association = Association(connection, job, classes)
            acknowledged = [association.store(instance) for instance in instances]
            association.release()
            return acknowledged
    except OSError as error:
        raise BenchmarkError(f"the receiver cannot be sent to: {error}") from error


@contextmanager
def _connected(job: SendJob) -> Iterator[socket.socket]:
    with socket.create_connection((job.host, job.port), _TIMEOUT_S) as plain:
        plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if job.ca_file is None:
            yield plain
            return
        context = ssl.create_default_context(cafile=job.ca_file)
        with context.wrap_socket(plain, server_hostname=job.host) as secure:
            yield secure


def _negotiate(
    connection: socket.socket, job: SendJob, classes: tuple[str, ...]
) -> tuple[dict[str, int], int]:
    """Ask for an association; contexts by SOP class, and bytes a fragment (0: no limit)."""
    contexts = [build_context(uid, job.transfer_syntax_uid) for uid in classes]
    for number, context in enumerate(contexts):
        context.context_id = 2 * number + 1
    connection.sendall(_associate_request(job, contexts).encode())
    pdu = _receive_pdu(connection)
    if pdu[0] != _ASSOCIATE_AC:
        raise BenchmarkError(f"the receiver refused the association (PDU type {pdu[0]:#04x})")
    accepted = A_ASSOCIATE_AC()
    accepted.decode(pdu)
    answer = accepted.to_primitive()
    taken = {
        c.context_id for c in answer.presentation_context_definition_results_list if not c.result
    }
    ids = {str(c.abstract_syntax): c.context_id for c in contexts if c.context_id in taken}
    if len(ids) < len(classes):
        raise BenchmarkError("the receiver does not take these SOP classes and transfer syntax")
    most = answer.maximum_length_received or 0
    return {uid: int(i or 0) for uid, i in ids.items()}, max(most - _PDV_HEADER_BYTES, 0) & ~1


def _associate_request(job: SendJob, contexts: list[PresentationContext]) -> A_ASSOCIATE_RQ:
    longest = MaximumLengthNotification()
    longest.maximum_length_received = _MAX_ANSWER_BYTES
    implementation = ImplementationClassUIDNotification()
    implementation.implementation_class_uid = UID(IMPLEMENTATION_CLASS_UID)
    primitive = A_ASSOCIATE()
    primitive.application_context_name = UID(_APPLICATION_CONTEXT)
    primitive.calling_ae_title, primitive.called_ae_title = job.calling_ae, job.called_ae
    primitive.user_information = [longest, implementation]
    primitive.presentation_context_definition_list = contexts
    request = A_ASSOCIATE_RQ()
    request.from_primitive(primitive)
    return request


def _receive_pdu(connection: socket.socket) -> bytes:
    """Return the next PDU, header included."""
    received = _receive(connection)
    while len(received) < PDU_HEADER.size or len(received) < _pdu_bytes(received):
        more = _receive(connection)
        if not more:
            raise BenchmarkError("the receiver closed the connection")
        received += more
    return received


def _receive(connection: socket.socket) -> bytes:
    """Receive what there is, and have it acknowledged at once.

    Orthanc and DCMTK write an answer's header and body apart with Nagle's algorithm on, so that
    each answer would wait 40 ms for our delayed ACK.
    """
    data = connection.recv(_MAX_ANSWER_BYTES)
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_QUICKACK, 1)
    return data


def _pdu_bytes(head: bytes) -> int:
    length = PDU_HEADER.unpack_from(head)[1]
    if length > _MAX_ANSWER_BYTES:
        raise BenchmarkError(f"the receiver announces a PDU of {length} bytes")
    return int(length) + PDU_HEADER.size


def main() -> int:
    """Do the job named first, write the report to the path named second."""
    job, report = (Path(argument) for argument in sys.argv[1:3])
    try:
        send(SendJob.read(job)).write(report)
    except BenchmarkError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
