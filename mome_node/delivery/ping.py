"""C-ECHO (PS3.4 annex A) to a destination, told in plain words."""

from __future__ import annotations

import time
from dataclasses import dataclass

from pynetdicom.association import Association
from pynetdicom.presentation import build_context
from pynetdicom.sop_class import Verification  # type: ignore[attr-defined]  # made at import

from mome_node.delivery.association import Timeouts, association
from mome_node.delivery.destination import Destination
from mome_node.errors import DeliveryError, TransientDeliveryError


@dataclass(frozen=True, slots=True)
class Echo:
    """How a destination answered. ``words`` is a sentence for people."""

    reached: bool
    words: str


def ping(destination: Destination, timeouts: Timeouts | None = None) -> Echo:
    """Ask ``destination`` for a C-ECHO. Never raises for what the peer does."""
    started = time.monotonic()
    try:
        _echo(destination, timeouts or Timeouts(answer_s=10.0))
    except DeliveryError as error:
        return Echo(False, str(error))
    elapsed_ms = 1000 * (time.monotonic() - started)
    return Echo(True, f"{destination}: answered C-ECHO in {elapsed_ms:.0f} ms")


def _echo(destination: Destination, timeouts: Timeouts) -> None:
    with association(destination, [build_context(Verification)], timeouts) as assoc:
        echo_on(assoc, destination, timeouts)


def echo_on(assoc: Association, destination: Destination, timeouts: Timeouts) -> None:
    """Ask for a C-ECHO on an association that takes it; TransientDeliveryError."""
    answer = assoc.send_c_echo()
    if "Status" not in answer:
        raise TransientDeliveryError(
            f"{destination}: no answer to C-ECHO within {timeouts.answer_s:g} s"
        )
    if answer.Status != 0x0000:
        raise TransientDeliveryError(
            f"{destination}: answered C-ECHO with status 0x{answer.Status:04X}"
        )
