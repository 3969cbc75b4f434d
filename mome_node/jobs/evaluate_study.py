"""A study's files become result objects: read, build volumes, run the models, write."""

from __future__ import annotations

import json
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import cache
from pathlib import Path

import pydicom
from pydicom.dataset import Dataset

from mome_node.assembly.plan import Verdict
from mome_node.assembly.study import plan_study
from mome_node.dicom.header import FrameRef, InstanceFacts
from mome_node.dicom.reason_codes import MODEL_INPUT, NO_VOLUME, UNDECODABLE, Reason
from mome_node.errors import (
    InvalidResultError,
    ModelInputError,
    PixelDataError,
    UnreadableSliceError,
    VolumeError,
)
from mome_node.jobs.debug_steps import preparation_steps
from mome_node.jobs.eligibility import rules_for
from mome_node.jobs.evaluation import NoModelError, evaluate
from mome_node.jobs.identified import Identified, stated_by
from mome_node.jobs.models import LoadedModel
from mome_node.jobs.reading import (
    SourceInstance,
    build_exam,
    contents_of,
    inputs_digest,
    read_study,
)
from mome_node.jobs.requests import (
    FINDINGS,
    NOT_TRIED_AGAIN,
    Evaluated,
    EvaluationRequest,
    MadeObject,
    NotEvaluated,
)
from mome_node.mome.preprocess import ModelInputs
from mome_node.results.context import ResultContext
from mome_node.results.debug_pictures import PreparationSteps, write_debug_pictures
from mome_node.results.findings import Findings
from mome_node.results.findings_json import findings_json
from mome_node.results.label import marked_label
from mome_node.results.pictures import draw_pictures, write_pictures
from mome_node.results.profile import ResultProfile
from mome_node.results.result_set import ResultSet, encode, make_results
from mome_node.results.sources import SourceImages
from mome_node.results.validation import validate_objects
from mome_node.volumes.volume import Exam

Progress = Callable[[str], None]


def evaluate_study(
    request: EvaluationRequest,
    models: tuple[LoadedModel, ...],
    progress: Progress = lambda _: None,
) -> Evaluated | NotEvaluated:
    """Evaluate one study. The same request gives the same objects, byte for byte.

    Raises InvalidResultError if an object is not what it has to be: then none is returned.
    """
    clock = _Clock(progress)
    clock.step("reading")
    facts = read_study(request.instances)
    plan = plan_study(
        facts.instances,
        rules_for(request.rules, [model.installed for model in models]),
        now=request.recorded_at,
        unreadable=facts.unreadable,
    )
    if plan.verdict is not Verdict.EVALUABLE:
        quarantine = plan.verdict is Verdict.QUARANTINED
        return NotEvaluated("; ".join(plan.reasons), quarantine, reasons=plan.coded_reasons)
    plan = replace(plan, warnings=(*request.lacking, *plan.warnings))
    digest = inputs_digest(plan, contents_of(request.instances))
    paths = {i.sop_instance_uid: i.path for i in request.instances}
    steps: list[PreparationSteps] = []

    def keep_steps(exam: Exam, inputs: ModelInputs) -> None:
        if request.debug and not steps:  # of the primary model, which comes first
            steps.extend(preparation_steps(exam, inputs))

    try:
        exam = build_exam(plan, paths.__getitem__)
        clock.step("inference")
        findings = evaluate(
            plan,
            exam,
            models,
            inputs_digest=digest,
            instances=facts.instances,
            on_inputs=keep_steps,
        )
    except (PixelDataError, UnreadableSliceError) as error:
        reasons = (Reason(UNDECODABLE, str(error)),)
        return NotEvaluated(str(error), True, _undecodable(error), reasons)
    except NoModelError as error:
        return NotEvaluated(str(error), reasons=error.reasons)
    except (VolumeError, ModelInputError) as error:
        code = NO_VOLUME if isinstance(error, VolumeError) else MODEL_INPUT
        return NotEvaluated(str(error), reasons=(Reason(code, str(error)),))
    clock.step("reporting")
    inputs = [f for f in facts.instances if f.sop_instance_uid in plan.inputs]
    objects = _write(findings, digest, request, inputs)
    profile = request.profiles[0]
    label = marked_label(findings, profile.label, profile.audience)
    write_debug_pictures(steps, request.out_dir, label, synthetic=findings.synthetic)
    return Evaluated(objects, digest, request.out_dir / FINDINGS, clock.stop(), findings.channels)


def _undecodable(error: PixelDataError | UnreadableSliceError) -> tuple[str, ...]:
    uid = error.sop_instance_uid if isinstance(error, UnreadableSliceError) else ""
    return (uid,) if uid else ()


def sources_from(paths: dict[str, Path]) -> tuple[SourceInstance, ...]:
    """Instances of a folder, whose digest is that of their file."""
    from hashlib import sha256

    return tuple(
        SourceInstance(uid, path, sha256(path.read_bytes()).hexdigest())
        for uid, path in paths.items()
    )


def _write(
    findings: Findings, digest: str, request: EvaluationRequest, inputs: Sequence[InstanceFacts]
) -> tuple[MadeObject, ...]:
    """Objects, findings.json and pictures, with the label of the first profile on the latter."""
    label, audience = request.profiles[0].label, request.profiles[0].audience
    pictures = draw_pictures(findings, label, audience) if request.pictures else {}
    with ThreadPoolExecutor(1) as beside:  # packing them leaves the interpreter free
        written = beside.submit(write_pictures, pictures, request.out_dir)
        made = _make_objects(findings, digest, request, inputs)
        document = json.dumps(findings_json(findings, label, audience), indent=2, allow_nan=False)
        (request.out_dir / FINDINGS).write_text(document + "\n")
        written.result()
    return made


def _make_objects(
    findings: Findings, digest: str, request: EvaluationRequest, inputs: Sequence[InstanceFacts]
) -> tuple[MadeObject, ...]:
    """The objects of every profile, all checked; those of the first lie in the folder itself."""
    paths = {i.sop_instance_uid: i.path for i in request.instances}

    @cache
    def read(sop_instance_uid: str) -> Dataset:
        return pydicom.dcmread(paths[sop_instance_uid], stop_before_pixels=True)

    given = {i.sop_instance_uid: i.as_patient_of for i in request.instances if i.as_patient_of}
    identified = Identified(read, given, stated_by(inputs))

    def headers(frame: FrameRef) -> Dataset:
        return identified.header(frame.sop_instance_uid)

    made: list[MadeObject] = []
    for profile in request.profiles:
        folder = request.out_dir / profile.digest if made else request.out_dir
        results = make_results(findings, _context(request, digest, profile), headers, inputs)
        made += _write_objects(results, profile.digest, folder)
    _check(made, findings, headers)
    return tuple(made)


def _context(request: EvaluationRequest, digest: str, profile: ResultProfile) -> ResultContext:
    return ResultContext(
        study_uid=request.study_uid,
        revision=request.revision,
        inputs_digest=digest,
        issue=request.issue,
        recorded_at=request.recorded_at,
        profile=profile,
        predecessor=dict(request.predecessors).get(profile.digest),
        replaces=request.replaces,
        station_name=request.station_name,
    )


def _write_objects(results: ResultSet, profile: str, folder: Path) -> Iterator[MadeObject]:
    """A file each, named by its kind; of several of a kind, with its number."""
    folder.mkdir(parents=True, exist_ok=True)
    of_kind = Counter(result.kind for result in results.objects)
    told: Counter[str] = Counter()
    for result in results.objects:
        told[result.kind] += 1
        number = f"-{told[result.kind]}" if of_kind[result.kind] > 1 else ""
        path = folder / f"{result.kind}{number}.dcm"
        path.write_bytes(encode(result.dataset))
        yield MadeObject(
            result.kind,
            profile,
            result.sop_class_uid,
            result.sop_instance_uid,
            result.series_uid,
            path,
        )


def _check(
    made: list[MadeObject], findings: Findings, headers: Callable[[FrameRef], Dataset]
) -> None:
    """Look at the files as they will be sent; another try would make the same ones."""
    sources = SourceImages(headers, findings.key_volume)
    try:
        validate_objects([(each.kind, each.path) for each in made], findings, sources)
    except InvalidResultError as error:
        raise InvalidResultError(f"{error}; {NOT_TRIED_AGAIN}") from error


class _Clock:
    """Seconds of each step, told as they begin."""

    def __init__(self, progress: Progress) -> None:
        self._progress = progress
        self._seconds: dict[str, float] = {}
        self._name = ""
        self._since = time.monotonic()

    def step(self, name: str) -> None:
        self.stop()
        self._name = name
        self._progress(name)

    def stop(self) -> dict[str, float]:
        now = time.monotonic()
        if self._name:
            self._seconds[self._name] = round(now - self._since, 3)
        self._name, self._since = "", now
        return dict(self._seconds)
