"""C-STORE SCU (PS3.4 annex B): several instances over one association, a receipt for each."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from dataclasses import dataclass

from pydicom.uid import ExplicitVRLittleEndian, ImplicitVRLittleEndian
from pynetdicom.association import Association
from pynetdicom.presentation import PresentationContext, build_context

from mome_node.delivery.association import DEFAULT_TIMEOUTS, Timeouts, association
from mome_node.delivery.destination import Destination, Outgoing, Receipt
from mome_node.delivery.instance_file import Syntax, read_dataset, read_syntax
from mome_node.delivery.status import judge
from mome_node.errors import (
    InterruptedDeliveryError,
    PermanentDeliveryError,
    TransientDeliveryError,
)

_MAX_CONTEXTS = 128  # odd context IDs in one byte, PS3.8 section 9.3.2.2
_CONVERTIBLE = (ExplicitVRLittleEndian, ImplicitVRLittleEndian)
_MESSAGE_IDS = 65536
_MEDIUM_PRIORITY = 0


@dataclass(frozen=True, slots=True)
class DimseSender:
    """Sends instances to one DICOM peer."""

    destination: Destination
    timeouts: Timeouts = DEFAULT_TIMEOUTS

    def send(self, objects: Sequence[Outgoing]) -> Generator[Receipt, None, None]:
        """See ``Sender.send``. Files that cannot be read get their receipt before any is sent."""
        readable: list[tuple[Outgoing, Syntax]] = []
        for item in objects:
            try:
                readable.append((item, read_syntax(item)))
            except PermanentDeliveryError as error:
                yield Receipt(item.sop_instance_uid, None, error=error)
        if not readable:
            return
        contexts = presentation_contexts([syntax for _, syntax in readable])
        with association(self.destination, contexts, self.timeouts) as assoc:
            for number, (item, syntax) in enumerate(readable):
                yield self._store(assoc, item, syntax, number % _MESSAGE_IDS)

    def _store(self, assoc: Association, item: Outgoing, syntax: Syntax, number: int) -> Receipt:
        if not _accepted(assoc, syntax):
            refusal = PermanentDeliveryError(
                f"{self.destination}: it does not take {syntax.sop_class.name} in "
                f"{syntax.transfer_syntax.name}; have the peer accept it"
            )
            return Receipt(item.sop_instance_uid, None, error=refusal)
        if not assoc.is_established:
            raise TransientDeliveryError(f"{self.destination}: the association was lost")
        try:
            answer = assoc.send_c_store(
                read_dataset(item), msg_id=number, priority=_MEDIUM_PRIORITY
            )
        except PermanentDeliveryError as error:
            return Receipt(item.sop_instance_uid, None, error=error)
        except (AttributeError, ValueError) as error:
            refusal = PermanentDeliveryError(
                f"the file of instance {item.sop_instance_uid} cannot be encoded for sending "
                f"({type(error).__name__})"
            )
            refusal.__cause__ = error
            return Receipt(item.sop_instance_uid, None, error=refusal)
        except RuntimeError as error:
            lost = f"{self.destination}: the association was lost"
            raise InterruptedDeliveryError(lost, item.sop_instance_uid) from error
        if "Status" not in answer:
            raise InterruptedDeliveryError(
                f"{self.destination}: the link broke, or no answer to C-STORE within "
                f"{self.timeouts.answer_s:g} s",
                item.sop_instance_uid,
            )
        return judge(item.sop_instance_uid, answer.Status, str(self.destination))


def presentation_contexts(syntaxes: Sequence[Syntax]) -> list[PresentationContext]:
    """Propose each SOP class in the transfer syntaxes that its instances have, one a context.

    A class with uncompressed instances is proposed in both little endian syntaxes, which can be
    converted into each other. One transfer syntax a context leaves no choice to the peer that
    would force a conversion. Raises PermanentDeliveryError for more than an association can hold.
    """
    wanted = dict.fromkeys(syntaxes)
    for syntax in syntaxes:
        if syntax.transfer_syntax in _CONVERTIBLE:
            wanted.update(dict.fromkeys(Syntax(syntax.sop_class, ts) for ts in _CONVERTIBLE))
    if len(wanted) > _MAX_CONTEXTS:
        raise PermanentDeliveryError(
            f"{len(wanted)} combinations of SOP class and transfer syntax in one delivery; one "
            f"association can negotiate {_MAX_CONTEXTS}"
        )
    return [build_context(syntax.sop_class, syntax.transfer_syntax) for syntax in wanted]


def _accepted(assoc: Association, syntax: Syntax) -> bool:
    fitting = _CONVERTIBLE if syntax.transfer_syntax in _CONVERTIBLE else (syntax.transfer_syntax,)
    return any(
        context.abstract_syntax == syntax.sop_class and context.transfer_syntax[0] in fitting
        for context in assoc.accepted_contexts
    )
