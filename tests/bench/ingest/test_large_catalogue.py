"""The large catalogue is one that the node itself could have made."""

from __future__ import annotations

from pathlib import Path

from mome_node.bench.ingest.large_catalogue import fill_catalogue
from mome_node.catalog.catalog import Catalog
from mome_node.catalog.states import StudyState
from mome_node.dicom.uids import is_valid_uid


def test_a_filled_catalogue_holds_so_many_different_instances(tmp_path: Path) -> None:
    fill_catalogue(tmp_path / "data", 1_500)
    with Catalog.open(f"sqlite:///{tmp_path}/data/catalog.db") as catalog:
        studies = catalog.studies_in(StudyState.DELIVERED)
        assert studies == catalog.studies()
        assert len(studies) == 3
        assert catalog.studies_with_late_input() == ()  # the node has nothing to do with them
        records = [r for s in studies for r in catalog.instances_of(s.study_uid)]
    assert len(records) == 1_500
    assert len({r.sop_instance_uid for r in records}) == 1_500
    assert len({r.key for r in records}) == 1_500
    assert {len(r.key) for r in records} == {64}
    assert all(is_valid_uid(r.sop_instance_uid) for r in records)
    assert all(is_valid_uid(r.series_uid) for r in records)
