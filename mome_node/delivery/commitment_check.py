"""What of a transaction is really here: the catalogue's row, and the file that it names."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import BinaryIO, Final

from mome_node.catalog.commitments import Commitment, CommitmentLedger, HeldCopy
from mome_node.dicom.commitment import CommitmentResult, FailureReason, ReferencedInstance
from mome_node.storage.soundness import Soundness, examine

_AT_ONCE: Final = 500  # instances that are asked for in one query

DEFAULT_DIGEST_BYTES: Final = 4 << 30


@dataclass(frozen=True, slots=True)
class CommitmentCheck:
    """Compares what is asked for with what is there.

    ``sop_classes``: those that we store. ``digest_bytes``: so much of one transaction is read and
    compared by SHA-256; of what goes beyond, only that the file is there and its size.
    """

    ledger: CommitmentLedger
    open_instance: Callable[[str], BinaryIO]
    sop_classes: frozenset[str]
    digest_bytes: int = DEFAULT_DIGEST_BYTES

    def result_of(self, commitment: Commitment) -> CommitmentResult:
        """Return what can be said of a transaction now."""
        named = self.ledger.named_by(commitment.commitment_id)
        allowance = _Allowance(self.digest_bytes)
        committed: list[ReferencedInstance] = []
        failed: list[tuple[ReferencedInstance, FailureReason]] = []
        for start in range(0, len(named), _AT_ONCE):
            some = named[start : start + _AT_ONCE]
            copies = self.ledger.copies_of({i.sop_instance_uid for i in some})
            for instance in some:
                held = copies.get(instance.sop_instance_uid, ())
                reason = self._reason_against(instance, held, allowance)
                if reason is None:
                    committed.append(instance)
                else:
                    failed.append((instance, reason))
        return CommitmentResult(commitment.transaction_uid, tuple(committed), tuple(failed))

    def _reason_against(
        self, instance: ReferencedInstance, held: Sequence[HeldCopy], allowance: _Allowance
    ) -> FailureReason | None:
        """Why an instance is not committed.

        Of one that came with several contents every one must be sound: nobody knows which of
        them the peer means.
        """
        if not held:
            known = instance.sop_class_uid in self.sop_classes
            return FailureReason.NO_SUCH_INSTANCE if known else FailureReason.CLASS_NOT_SUPPORTED
        of_class = [copy for copy in held if copy.sop_class_uid == instance.sop_class_uid]
        if not of_class:
            return FailureReason.CLASS_INSTANCE_CONFLICT
        found = {self._examine(copy, allowance) for copy in of_class}
        if Soundness.DAMAGED in found:
            return FailureReason.PROCESSING_FAILURE
        return FailureReason.NO_SUCH_INSTANCE if Soundness.ABSENT in found else None

    def _examine(self, copy: HeldCopy, allowance: _Allowance) -> Soundness:
        compare = allowance.covers(copy.size)
        return examine(
            self.open_instance,
            copy.key,
            size=copy.size,
            sha256_in=(copy.transfer_syntax_uid, copy.sha256) if compare else None,
        )


@dataclass(slots=True)
class _Allowance:
    """The bytes that may still be read for one transaction."""

    left: int

    def covers(self, count: int) -> bool:
        """Tell whether so many bytes may be read, and take them off."""
        if count > self.left:
            return False
        self.left -= count
        return True
