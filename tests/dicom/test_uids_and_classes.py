"""Unique identifiers, SOP classes and transfer syntaxes."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydicom.uid import UID

from mome_node.dicom.classes import (
    decodable_transfer_syntaxes,
    storage_classes,
    uses_role,
)
from mome_node.dicom.uids import (
    IMPLEMENTATION_CLASS_UID,
    IMPLEMENTATION_VERSION_NAME,
    derived_uid,
    is_valid_uid,
)


@pytest.mark.parametrize("uid", ["0", "1.2.840.10008.1.2", "2.25.0", "1." + "9" * 62])
def test_valid_uids(uid):
    assert is_valid_uid(uid)


@pytest.mark.parametrize(
    "uid",
    ["", ".", "1.", ".1", "1..2", "1.02", "1.2 ", "1.2\n", "1.a", "1." + "9" * 63, "1.٢", "1/2"],
)
def test_invalid_uids(uid):
    assert not is_valid_uid(uid)


@given(st.lists(st.text(max_size=20), min_size=1, max_size=5))
def test_derived_uids_are_valid_and_always_the_same(parts):
    uid = derived_uid(*parts)
    assert is_valid_uid(uid)
    assert uid.startswith("2.25.")
    assert uid == derived_uid(*parts)


@given(st.lists(st.text(max_size=4), min_size=1, max_size=3), st.data())
def test_different_parts_give_different_uids(parts, data):
    others = data.draw(st.lists(st.text(max_size=4), min_size=1, max_size=3))
    assert (derived_uid(*parts) == derived_uid(*others)) == (parts == others)


def test_a_derived_uid_never_changes_between_versions():
    assert derived_uid("1.2.3", "sr") == "2.25.251753993247609388494335703713966816198"
    with pytest.raises(ValueError, match="part"):
        derived_uid()


def test_this_implementation_has_a_valid_identity():
    assert is_valid_uid(IMPLEMENTATION_CLASS_UID)
    assert 0 < len(IMPLEMENTATION_VERSION_NAME) <= 16


def test_roles_are_for_mr_images_only():
    assert uses_role("1.2.840.10008.5.1.4.1.1.4")
    assert uses_role("1.2.840.10008.5.1.4.1.1.4.1")
    assert uses_role("1.2.840.10008.5.1.4.1.1.4.4")
    assert not uses_role("1.2.840.10008.5.1.4.1.1.4.3")  # enhanced MR colour
    assert not uses_role("1.2.840.10008.5.1.4.1.1.88.33")
    assert not uses_role("1.2.840.10008.5.1.4.1.1.66.4")


def test_all_storage_classes_are_accepted_once():
    classes = storage_classes()
    assert len(classes) == len(set(classes)) > 150
    assert all(is_valid_uid(uid) for uid in classes)


def test_transfer_syntaxes_are_those_that_can_be_decoded():
    syntaxes = set(decodable_transfer_syntaxes())
    assert "1.2.840.10008.1.2" in syntaxes
    for suffix in (
        "1",
        "1.99",
        "2",
        "4.57",
        "4.70",
        "4.80",
        "4.81",
        "4.90",
        "4.91",
        "4.201",
        "4.203",
        "5",
    ):
        assert f"1.2.840.10008.1.2.{suffix}" in syntaxes
    assert "1.2.840.10008.1.2.8.1" not in syntaxes  # deflated frames
    assert not any("MPEG" in UID(uid).name for uid in syntaxes)
