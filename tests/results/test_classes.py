"""What a destination is asked to take is what results are made as."""

from __future__ import annotations

from pydicom.uid import RLELossless

from mome_node.results.classes import STORAGE_CLASSES, transfer_syntaxes
from mome_node.results.profile import KINDS
from mome_node.results.result_set import make_results


def test_every_kind_of_result_has_its_class(make_exam, context) -> None:
    exam = make_exam(regions=1)
    assert tuple(STORAGE_CLASSES) == KINDS
    made = make_results(exam.findings, context, exam.headers).objects
    assert made
    assert all(each.sop_class_uid == STORAGE_CLASSES[each.kind] for each in made)
    assert all(
        each.dataset.file_meta.TransferSyntaxUID in transfer_syntaxes(each.kind, "explicit")
        for each in made
    )


def test_only_pictures_are_compressed() -> None:
    compressed = [kind for kind in KINDS if transfer_syntaxes(kind, "rle") == (RLELossless,)]
    assert compressed == ["summary"]
