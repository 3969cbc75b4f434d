"""A receiver's short life under the recorder, and what it has to hold if power is lost in it."""

from __future__ import annotations

import random
import sqlite3
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from conformance.audit import Auditor
from conformance.light_sender import (
    P_DATA_TF_TYPE,
    LightSender,
    encoded_request,
    read_command_set,
)
from conformance.power_loss.disk import Image as DiskImage
from conformance.power_loss.recorder import Recorder
from conformance.power_loss.recording import Operation, Sent, read_recording
from conformance.receiver import Receiver
from conformance.receiver_process import CATALOG, take_up
from conformance.sent_images import SUCCESS, Image, Ledger, changed, make_image
from mome_node.demonstration.pacs.pacs import DicomAddress
from mome_node.errors import NodeError

SEED, ASSOCIATIONS, IMAGES_EACH = 2026, 2, 20
SMALLEST, LARGEST = 5_000, 60_000  # bytes
DATA_DIR = Path("site/data")
"""Where the receiver keeps its data on the disk; it makes both directories itself."""
_C_STORE_RSP = 0x8001  # PS3.7 E.1
_PDU_HEADER = 6


@dataclass(frozen=True)
class Answer:
    """An acknowledgement that is about to leave, and before which operation."""

    position: int
    message_id: int
    sop_instance_uid: str


@dataclass(frozen=True)
class Scenario:
    """What was sent, by Message ID, and what the process did from its start to its end."""

    disk: Path
    root: int
    images: Mapping[int, Image]
    operations: tuple[Operation, ...]
    answers: tuple[Answer, ...]

    def damage(self, image: DiskImage, position: int, folder: Path) -> list[str]:
        """What is wrong after a loss of power before an operation that left ``image``."""
        image.write_to(folder)
        data_dir = folder / DATA_DIR
        try:
            catalog, store = take_up(data_dir)
        except NodeError as error:
            return [f"cannot be opened: {error}"]
        with catalog:
            audit = Auditor(self._told_before(position)).look(data_dir, catalog, store)
        found = [f"lost: {what}" for what in audit.lost]
        found += [f"torn: {what}" for what in audit.torn]
        found += [f"doubled: {what}" for what in audit.doubled]
        found += [f"left over: {what}" for what in audit.left_over]
        with sqlite3.connect(data_dir / CATALOG) as connection:
            (verdict,) = connection.execute("PRAGMA integrity_check").fetchone()
        connection.close()
        return found if verdict == "ok" else [*found, f"catalogue: {verdict}"]

    def _told_before(self, position: int) -> Ledger:
        """An answer counts as soon as it was on its way: nobody can take it back."""
        ledger = Ledger()
        told = {answer.message_id for answer in self.answers if answer.position <= position}
        for message_id, image in self.images.items():
            ledger.enter(image, SUCCESS if message_id in told else None)
        return ledger


def record_scenario(
    folder: Path, recorder: Recorder, images_each: int = IMAGES_EACH, drop: str = ""
) -> Scenario:
    """Send so many images over each association to a new receiver, and let it end in order."""
    disk, log = folder / "disk", folder / "recording"
    disk.mkdir()
    images = [_images(number, images_each) for number in range(ASSOCIATIONS)]
    environment = recorder.environment(disk, log, drop)
    with Receiver(disk / DATA_DIR, folder / "receiver.log", environment) as receiver:
        receiver.start()
        with ThreadPoolExecutor(ASSOCIATIONS) as pool:
            sending = [pool.submit(_send, receiver.address, sent) for sent in images]
            for future in sending:
                future.result(60)
        receiver.stop()
    operations = read_recording(log)
    return Scenario(
        disk=disk,
        root=disk.stat().st_ino,
        images={number: image for sent in images for number, image in sent.items()},
        operations=operations,
        answers=tuple(_answers(operations)),
    )


def _images(association: int, count: int) -> dict[int, Image]:
    """Images by Message ID; some come twice, some a second time changed."""
    chance = random.Random(f"{SEED}-{association}")
    study = f"2.25.{SEED}{association}"
    sent: list[Image] = []
    for number in range(1, count + 1):
        if number % 6 == 0:
            sent.append(chance.choice(sent))
        elif number % 7 == 0:
            sent.append(changed(chance, chance.choice(sent)))
        else:
            sent.append(make_image(chance, study, f"{study}.1.{number}", SMALLEST, LARGEST))
    return {1000 * association + n: image for n, image in enumerate(sent, start=1)}


def _send(peer: DicomAddress, images: Mapping[int, Image]) -> None:
    with LightSender(peer, "SENDER") as association:
        for message_id, image in images.items():
            request = encoded_request(image.sop_instance_uid, image.data_set, message_id)
            assert association.store(request) == SUCCESS
        association.release()


def _answers(operations: tuple[Operation, ...]) -> list[Answer]:
    found, streams = [], dict[int, bytes]()
    for position, operation in enumerate(operations):
        if not isinstance(operation, Sent):
            continue
        stream = streams.get(operation.connection, b"") + operation.data
        while len(stream) >= _PDU_HEADER:
            end = _PDU_HEADER + int.from_bytes(stream[2:_PDU_HEADER], "big")
            if len(stream) < end:
                break
            if stream[0] == P_DATA_TF_TYPE:
                command = read_command_set(stream[_PDU_HEADER:end])
                if command.CommandField == _C_STORE_RSP and command.Status == SUCCESS:
                    message_id = int(command.MessageIDBeingRespondedTo)
                    found.append(Answer(position, message_id, str(command.AffectedSOPInstanceUID)))
            stream = stream[end:]
        streams[operation.connection] = stream
    return found
