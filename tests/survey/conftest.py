"""One small phantom: a file of each series, and the roles that the engine gives all of them."""

from __future__ import annotations

from pathlib import Path

import pytest

from mome_node.assembly.plan import Role
from mome_node.assembly.rules import AssemblyRules
from mome_node.assembly.series import series_roles
from mome_node.dicom.header_reading import read_facts
from mome_node.phantom.dicom_writer import write_study
from mome_node.phantom.exam import Protocol, Vendor
from mome_node.phantom.render import render_exam

SMALL = Protocol((48, 48, 12), (32, 32, 8), (32, 32, 8))


@pytest.fixture(scope="session", params=list(Vendor))
def exam_files(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> tuple[str, dict[str, Path], dict[str, Role]]:
    """Study Instance UID; one file and the role of each series, by Series Instance UID."""
    folder = tmp_path_factory.mktemp("exam")
    exam = render_exam(3, protocol=SMALL, with_lesions=False)
    paths = write_study(exam, folder, vendor=request.param)
    facts = {path: read_facts(path) for path in paths}
    roles = {s.series_uid: s.role for s in series_roles(tuple(facts.values()), AssemblyRules())}
    return next(iter(facts.values())).study_uid, {f.series_uid: p for p, f in facts.items()}, roles
