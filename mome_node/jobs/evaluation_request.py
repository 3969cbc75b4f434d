"""What the inference process is asked to do with a study, from what the catalogue knows of it."""

from __future__ import annotations

import hashlib
from pathlib import Path

from mome_node.catalog.catalog import Catalog
from mome_node.catalog.records import StudyRecord
from mome_node.catalog.states import StudyState
from mome_node.jobs.deadline import least_rules, shortfall
from mome_node.jobs.reading import SourceInstance
from mome_node.jobs.replaced import replaced_by
from mome_node.jobs.requests import FINDINGS, EvaluationRequest
from mome_node.jobs.result_files import predecessors
from mome_node.jobs.site_policy import SitePolicy
from mome_node.storage.local import LocalStore


def request_for(
    study: StudyRecord,
    sources: tuple[SourceInstance, ...],
    catalog: Catalog,
    store: LocalStore,
    policy: SitePolicy,
    data_dir: Path,
) -> EvaluationRequest:
    """The request for a study's current revision. Raises CatalogError, StorageError."""
    events = catalog.events_of(study.study_uid)
    assembled_at = [e.at for e in events if e.target is StudyState.ASSEMBLED][-1]
    results = catalog.results_of(study.study_uid)
    deliveries = catalog.deliveries.of_study(study.study_uid)
    lacking = shortfall(events)
    told = {
        revision: findings_dir(data_dir, study.study_uid, revision) / FINDINGS
        for revision in {r.revision for r in results}
    }
    return EvaluationRequest(
        study_uid=study.study_uid,
        revision=study.revision,
        instances=sources,
        rules=least_rules(policy.rules) if lacking else policy.rules,
        profiles=policy.profiles,
        station_name=policy.station_name,
        recorded_at=assembled_at.astimezone(),
        out_dir=findings_dir(data_dir, study.study_uid, study.revision),
        pictures=True,
        predecessors=predecessors(study.revision, results, policy.routes, deliveries, store),
        replaces=replaced_by(study, results, events, told),
        issue=study.issue,
        lacking=lacking,
    )


def findings_dir(data_dir: Path, study_uid: str, revision: int) -> Path:
    """Where findings.json and the pictures of a revision are kept; UIDs never make paths."""
    name = hashlib.sha256(study_uid.encode()).hexdigest()[:32]
    return data_dir / "findings" / name / f"revision-{revision}"
