"""Key Object Selection documents (PS3.3 A.35.4, PS3.16 TID 2010): a title, words, references."""

from __future__ import annotations

from collections.abc import Sequence

from highdicom.ko import KeyObjectSelection, KeyObjectSelectionDocument
from pydicom.dataset import Dataset
from pydicom.sr.coding import Code

from mome_node.results.context import ResultContext
from mome_node.results.encodings import object_syntax
from mome_node.results.sources import ImageReference
from mome_node.results.sr import device
from mome_node.results.stamp import equipment, without_names

_DOCUMENT_CLASSES = "1.2.840.10008.5.1.4.1.1.88."
"""Root of the SOP Class UIDs of SR and Key Object documents: every other class here is images."""


def select(
    references: Sequence[ImageReference],
    *,
    title: Code,
    words: str,
    context: ResultContext,
    identity: Dataset,
    uids: tuple[str, str],
    series_number: int,
    series_description: str,
) -> Dataset:
    """A document that names instances, or frames of them, in this order; to be stamped.

    ``identity`` is the patient and study, which all instances are of; ``uids`` are those of series
    and instance.
    """
    content = KeyObjectSelection(
        document_title=title,
        referenced_objects=[_selected(reference) for reference in references],
        observer_device_context=device(context),
        description=words,
    )
    series_uid, instance_uid = uids
    document = KeyObjectSelectionDocument(
        evidence=_evidence(references, identity),
        content=content,
        series_instance_uid=series_uid,
        series_number=series_number,
        sop_instance_uid=instance_uid,
        instance_number=1,
        series_description=series_description,
        transfer_syntax_uid=object_syntax(context.profile),
        **equipment(context),
    )
    named = [item for item in document.ContentSequence if "ReferencedSOPSequence" in item]
    for item, reference in zip(named, references, strict=True):
        del item.ConceptNameCodeSequence  # TID 2010 rows 8 to 10 have no concept name
        if reference.frame is not None:
            item.ReferencedSOPSequence[0].ReferencedFrameNumber = reference.frame
    return document


def _selected(reference: ImageReference) -> Dataset:
    """As highdicom takes it: what has rows and columns is an image."""
    selected = reference.evidence()
    if not reference.sop_class_uid.startswith(_DOCUMENT_CLASSES):
        selected.Rows = selected.Columns = 1
    return selected


def _evidence(references: Sequence[ImageReference], identity: Dataset) -> list[Dataset]:
    first = without_names(identity)  # highdicom takes patient and study from it
    first.update(references[0].evidence())
    return [first, *(reference.evidence() for reference in references)]
