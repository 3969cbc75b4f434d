"""What the catalogue keeps of corrections and rejections, and what older catalogues become."""

from __future__ import annotations

from pathlib import Path

import pytest
from alembic import command
from alembic.config import Config
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import create_engine, text

import mome_node.catalog
from mome_node.catalog.catalog import Catalog
from mome_node.catalog.changes import Change, Standing
from mome_node.catalog.records import Receipt
from mome_node.catalog.states import StudyState, find_transition, reopens, targets_of
from mome_node.dicom.patient import patient_mark, shown_mark
from mome_node.errors import CatalogError

S = StudyState


def test_catalogue_of_the_first_version_is_brought_up_to_date(url, at) -> None:
    config = Config()
    folder = Path(mome_node.catalog.__file__).parent / "migrations"
    config.set_main_option("script_location", str(folder))
    engine = create_engine(url)
    with engine.begin() as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, "0001")
        moment = at(0).replace(tzinfo=None)
        connection.execute(
            text(
                "INSERT INTO studies VALUES ('1.2', 'P-1', 'HOSPITAL', 'receiving', 1, :at, :at, "
                ":at, 1, NULL, 0, '', '')"
            ),
            {"at": str(moment)},
        )
        connection.execute(
            text(
                "INSERT INTO instances VALUES (1, '1.2', '1.2.0', '1.2.3', "
                "'1.2.840.10008.5.1.4.1.1.4', '1.2', 'k', 'a', 1, 'PACS', :at, 1, NULL)"
            ),
            {"at": str(moment)},
        )
    engine.dispose()
    with Catalog.open(url) as catalog:
        (instance,) = catalog.instances_of("1.2")
        assert (instance.standing, instance.patient_mark) == (Standing.READ, "")
        assert catalog.study("1.2").change is Change.NONE
        with catalog._database.read() as session:
            found = session.execute(text("SELECT patient_id FROM instances")).scalar_one()
        assert found == "P-1"


def test_acts_cannot_be_changed_or_deleted(catalog, arrival, at) -> None:
    catalog.record_instance(arrival())
    catalog.reject("1.2", at(1), instances=["1.2.3"])
    for statement in ("UPDATE acts SET cause = 'other'", "DELETE FROM acts"):
        with pytest.raises(CatalogError), catalog._database.write() as session:
            session.execute(text(statement))
    assert [a.cause for a in catalog.acts_of("1.2")] == ["1 instances rejected by hand"]


def test_only_what_withdraws_reopens_a_study_whose_results_are_on_their_way() -> None:
    assert find_transition(S.DELIVERING, S.RECEIVING).opens_revision
    assert not reopens(S.DELIVERING, withdraws=False)
    for state in S:
        assert reopens(state, withdraws=True) == (S.RECEIVING in targets_of(state))


def test_the_weightiest_of_several_changes_is_told(catalog, arrival, at) -> None:
    catalog.record_instance(arrival())
    catalog.transition("1.2", S.RECEIVING, S.NOT_EVALUABLE, "x", at(1))
    catalog.record_instance(arrival("1.5", seconds=2))
    assert catalog.study("1.2").change is Change.LATE
    catalog.record_instance(arrival(content="b", seconds=3))
    catalog.record_instance(arrival("1.6", seconds=4))
    assert catalog.study("1.2").change is Change.CORRECTED
    catalog.transition("1.2", S.NOT_EVALUABLE, S.RECEIVING, "x", at(5))
    after = catalog.transition("1.2", S.RECEIVING, S.ASSEMBLED, "x", at(6))
    assert (after.change, after.revision_change) == (Change.NONE, Change.CORRECTED)


def test_rejected_copy_that_comes_late_takes_no_sound_copys_place(catalog, arrival, at) -> None:
    catalog.record_instance(arrival())
    catalog.reject("1.2", at(1), instances=["1.2.3"])
    assert catalog.record_instance(arrival(content="b", seconds=2)) is Receipt.CHANGED
    (current,) = catalog.instances_of("1.2")
    assert (current.sha256, current.standing) == ("b", Standing.REJECTED)
    assert catalog.studies_with_late_input() == ()


NAMES = st.text(alphabet="ABC^ ,.", max_size=8)


@given(NAMES, NAMES)
def test_a_mark_tells_patients_apart_and_names_nobody(one: str, other: str) -> None:
    first, second = (patient_mark("P-1", "", name, "") for name in (one, other))
    words = [
        tuple(n.replace("^", " ").replace(",", " ").replace(".", " ").split()) for n in (one, other)
    ]
    assert (first == second) == (words[0] == words[1])
    assert shown_mark("1.2", first) != shown_mark("1.3", first)


def test_who_says_nothing_has_no_mark() -> None:
    assert patient_mark(" ", "", "^^", "") == ""
    assert shown_mark("1.2", "") == "not stated"
