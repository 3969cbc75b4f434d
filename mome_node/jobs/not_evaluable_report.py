"""The report on a study that was not evaluated, where the site wants one. Loads highdicom."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

import pydicom
import structlog
from pydicom.dataset import Dataset

from mome_node.assembly.plan import StudyPlan, Verdict
from mome_node.catalog.catalog import Catalog
from mome_node.catalog.records import ResultRow, StudyRecord
from mome_node.errors import ResultError
from mome_node.jobs.identified import Identified
from mome_node.jobs.not_evaluable import Why
from mome_node.jobs.reading import SourceInstance
from mome_node.jobs.requests import InstalledModel, MadeObject
from mome_node.jobs.result_files import keep, predecessors
from mome_node.jobs.site_policy import SitePolicy
from mome_node.jobs.unevaluated import not_evaluable_study
from mome_node.results.context import ResultContext
from mome_node.results.findings import NotEvaluableStudy
from mome_node.results.not_evaluable import make_not_evaluable_report
from mome_node.results.result_set import encode
from mome_node.results.validation import refuse_invalid
from mome_node.storage.local import LocalStore

log = structlog.get_logger(__name__)

REPORT: Final = "sr"


def reports_on(
    study: StudyRecord,
    why: Why,
    sources: Sequence[SourceInstance],
    models: Sequence[InstalledModel],
    catalog: Catalog,
    store: LocalStore,
    policy: SitePolicy,
    at: datetime,
) -> list[ResultRow]:
    """The reports that a study was not evaluated, one a profile, kept in the store.

    None where no destination takes reports, or no image is left that says whose study it is. One
    that cannot be made is told in the log. Raises StorageError, and what a header makes the
    libraries raise.
    """
    wanted = [profile for profile in policy.profiles if profile.wants(REPORT)]
    if not wanted or not sources:
        return []
    header = _header(sources)
    said = _said(study, why, models, synthetic=header.get("SyntheticData") == "YES")
    results = catalog.results_of(study.study_uid)
    deliveries = catalog.deliveries.of_study(study.study_uid)
    before = dict(predecessors(study.revision, results, policy.routes, deliveries, store))
    made = []
    with TemporaryDirectory(prefix="report-") as folder:
        for number, profile in enumerate(wanted):
            context = ResultContext(
                study_uid=study.study_uid,
                revision=study.revision,
                inputs_digest="",
                issue=study.issue,
                recorded_at=at.astimezone(),
                profile=profile,
                predecessor=before.get(profile.digest),
                station_name=policy.station_name,
            )
            path = Path(folder) / f"{number}.dcm"
            try:
                made.append(_written(said, context, header, path))
            except ResultError as error:
                log.error("no report on a study", study=study.study_uid, cause=str(error))
        return keep(made, store, at)


def _written(
    said: NotEvaluableStudy, context: ResultContext, header: Dataset, path: Path
) -> MadeObject:
    report = make_not_evaluable_report(said, context, header)
    path.write_bytes(encode(report))
    refuse_invalid(REPORT, path)
    return MadeObject(
        REPORT,
        context.profile.digest,
        str(report.SOPClassUID),
        str(report.SOPInstanceUID),
        str(report.SeriesInstanceUID),
        path,
    )


def _said(
    study: StudyRecord, why: Why, models: Sequence[InstalledModel], *, synthetic: bool
) -> NotEvaluableStudy:
    plan = why.plan or StudyPlan(study.study_uid, Verdict.NOT_EVALUABLE, ())
    said = not_evaluable_study(plan, why.reasons, models, why.refused)
    return replace(said, synthetic=synthetic)


def _header(sources: Sequence[SourceInstance]) -> Dataset:
    """That of an image of the study, with the patient that a person gave it."""
    paths = {source.sop_instance_uid: source.path for source in sources}
    first = sources[0]
    given = {first.sop_instance_uid: first.as_patient_of} if first.as_patient_of in paths else {}
    identified = Identified(
        lambda uid: pydicom.dcmread(paths[uid], stop_before_pixels=True), given, {}
    )
    return identified.header(first.sop_instance_uid)
