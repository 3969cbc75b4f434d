"""One exam, all installed models, one set of findings. Runs where torch is, not in the receiver."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch

from mome_node.assembly.plan import Stack, StudyPlan
from mome_node.dicom import codes
from mome_node.dicom.header import InstanceFacts
from mome_node.dicom.uids import derived_uid
from mome_node.errors import ModelInputError
from mome_node.fitness.checks import Outcome
from mome_node.fitness.knowledge import not_assessed
from mome_node.fitness.policy import Judgement, refusing
from mome_node.jobs.eligibility import (
    PRIMARY_TASK,
    Refusal,
    judge_headers,
    known_facts,
    no_model_reason,
    refusal_reasons,
)
from mome_node.jobs.image_checks import image_failures
from mome_node.jobs.models import LoadedModel
from mome_node.mome.device_errors import device_errors
from mome_node.mome.explain import attribute
from mome_node.mome.predict import ExamRun, prediction_of, run_exam
from mome_node.mome.preprocess import ModelInputs, PreprocessSpec, prepare
from mome_node.mome.regions import FoundRegions, find_regions
from mome_node.results.findings import (
    Explanation,
    Findings,
    FitnessFinding,
    Region,
    SeriesUse,
    TaskNotRun,
    TaskScore,
)
from mome_node.results.wording import percent, task_name
from mome_node.volumes.volume import Exam, Modality, Volume

TASKS = tuple(codes.SCORES)
"""What the report tells of, run or not."""

COMPLETENESS_TOLERANCE = 0.05
"""A larger error of the attribution is told as a warning."""

SWITCHED_OFF = "the site's settings switch it off"
NOT_RAISED = "the score does not lie above its reference"
NO_DYNAMIC = "no DCE was used"

NO_REGIONS = FoundRegions((), 0.0)

OnInputs = Callable[[Exam, ModelInputs], None]


class NoModelError(ModelInputError):
    """No installed model may evaluate this exam; ``reasons`` are the checks that forbid it."""

    def __init__(self, refused: Sequence[Refusal]) -> None:
        super().__init__(no_model_reason(refused))
        self.reasons = refusal_reasons(refused)


@dataclass(frozen=True, slots=True, eq=False)
class _Explained:
    explanation: Explanation | None
    why_not: str = ""
    found: FoundRegions = NO_REGIONS
    attribution: Volume | None = None


@dataclass(frozen=True, slots=True, eq=False)
class _Ran:
    model: LoadedModel
    inputs: ModelInputs
    score: TaskScore
    explained: _Explained


def evaluate(
    plan: StudyPlan,
    exam: Exam,
    models: Sequence[LoadedModel],
    *,
    inputs_digest: str,
    instances: Sequence[InstanceFacts] = (),
    on_inputs: OnInputs = lambda *_: None,
) -> Findings:
    """Findings of an exam by every model that it is fit for.

    ``instances`` are what all instances of the study say: a package that asks for something of
    them does not run without. ``on_inputs`` is told of each model's inputs.

    Raises NoModelError where no model may, ModelInputError where none can take the exam,
    NotANumberError or DeviceError where one fails: then there are no findings at all.
    """
    judged = _judged(plan, exam, models, instances)
    allowed, not_run = _allowed(models, judged)
    key = _key_volume(exam)
    ran: list[_Ran] = []
    faults: dict[str, str] = {}
    for model in allowed:
        try:
            with device_errors(model.device):
                ran.append(_run(model, exam, key, is_primary=not ran, on_inputs=on_inputs))
        except ModelInputError as error:
            faults[model.package.statement.task] = str(error)
    if not ran:
        raise ModelInputError(_fault_reason(faults))
    known = known_facts(ran[0].model.installed, instances)
    findings = _findings(plan, exam, key, ran, not_run | faults, inputs_digest)
    return replace(
        findings,
        fitness=tuple(
            FitnessFinding(task, j.code, j.outcome, j.text)
            for task, judgements in judged.items()
            for j in judgements
        ),
        warnings=tuple(_warnings(plan, ran, judged)),
        known=known,
        not_assessed=not_assessed(known),
    )


def _findings(
    plan: StudyPlan,
    exam: Exam,
    key: Volume,
    ran: Sequence[_Ran],
    not_run: dict[str, str],
    inputs_digest: str,
) -> Findings:
    primary = ran[0]
    inputs, explained = primary.inputs, primary.explained
    used = {modality for one in ran for modality in one.inputs.arrays}
    regions = _regions(explained.found, inputs_digest, primary.model)
    return Findings(
        study_uid=plan.study_uid,
        tasks=tuple(one.score for one in ran),
        not_run=tuple(TaskNotRun(t, not_run[t]) for t in TASKS if t in not_run),
        modalities_used=tuple(m for m in Modality if m in inputs.arrays),
        modalities_missing=tuple(m for m in Modality if m not in inputs.arrays),
        channels=inputs.channels,
        dwi_b_value=exam.dwi_b_value if Modality.DWI in used else None,
        series=_series(plan, used),
        regions=regions,
        share_outside_breast=explained.found.share_outside,
        explanation=explained.explanation,
        not_explained=explained.why_not,
        warnings=(),
        synthetic=plan.synthetic or any(one.score.model.synthetic for one in ran),
        key_volume=key,
        key_subtraction=Volume(key.array - exam.dce[0].array, key.grid, key.frames),
        key_slice=_key_slice(regions, inputs, key),
        field_box=_field_box(inputs, key),
        attribution=explained.attribution,
    )


def _judged(
    plan: StudyPlan, exam: Exam, models: Sequence[LoadedModel], instances: Sequence[InstanceFacts]
) -> dict[str, tuple[Judgement, ...]]:
    """The checks that the exam fails, by headers and images, and what each does, by task.

    The images are not looked at where no model may have the exam by its headers.
    """
    by_headers = {
        m.package.statement.task: judge_headers(m.installed, plan, instances) for m in models
    }
    if all(refusing(judgements) for judgements in by_headers.values()):
        return by_headers
    failures = image_failures(exam, plan, instances)
    return {
        m.package.statement.task: (
            *by_headers[m.package.statement.task],
            *m.installed.fitness.judge(failures),
        )
        for m in models
    }


def _allowed(
    models: Sequence[LoadedModel], judged: dict[str, tuple[Judgement, ...]]
) -> tuple[list[LoadedModel], dict[str, str]]:
    """The models to run, the primary one first, and every task that is not run with its reason."""
    refused = [Refusal(t, refusing(j)) for t, j in judged.items() if refusing(j)]
    if len(refused) == len(models):
        raise NoModelError(refused)
    of_task = {model.package.statement.task: model for model in models}
    reasons = {t: "no model installed" for t in TASKS if t not in of_task}
    reasons |= {refusal.task: refusal.text for refusal in refused}
    allowed = [task for task in of_task if task not in reasons]
    allowed.sort(key=lambda task: task != PRIMARY_TASK)
    return [of_task[task] for task in allowed], reasons


def _fault_reason(faults: dict[str, str]) -> str:
    """Why none of the models that may evaluate an exam can take it, in one line."""
    if len(set(faults.values())) == 1:
        return next(iter(faults.values()))
    return "; ".join(f"{task}: {fault}" for task, fault in faults.items())


def _run(
    model: LoadedModel, exam: Exam, key: Volume, *, is_primary: bool, on_inputs: OnInputs
) -> _Ran:
    """One model's score, and what explains it where it is the primary one's."""
    said, config = model.package.statement, model.package.config
    spec = PreprocessSpec.from_json(dict(model.package.preprocessing))
    sizes = {m: config.input_of(m).shape for m in Modality}
    inputs = prepare(exam, spec, sizes, device=model.device)
    on_inputs(exam, inputs)
    tensors = {m: torch.from_numpy(a)[None].to(model.device) for m, a in inputs.arrays.items()}
    runs = run_exam(model.networks, tensors)
    score = TaskScore(
        task=said.task,
        prediction=prediction_of(
            runs,
            positive_class=said.positive_index,
            prior=said.prior,
            temperature=said.calibration.temperature,
        ),
        model=model.package.identity,
        label_definition=said.label_definition,
        calibration=said.calibration.told,
        operating_points=said.operating_points,
        channels=inputs.channels,
    )
    if not is_primary:
        return _Ran(model, inputs, score, _Explained(None))
    return _Ran(model, inputs, score, _explain(model, runs, tensors, inputs, key, score))


def _explain(
    model: LoadedModel,
    runs: Sequence[ExamRun],
    tensors: dict[Modality, torch.Tensor],
    inputs: ModelInputs,
    key: Volume,
    score: TaskScore,
) -> _Explained:
    """Regions that raised the score; none where nothing raised it above its reference."""
    if model.choice.explain == "off":
        return _Explained(None, SWITCHED_OFF)
    if Modality.DCE not in inputs.arrays:
        return _Explained(None, NO_DYNAMIC)
    if score.prediction.probability <= score.prediction.prior:
        return _Explained(None, NOT_RAISED)
    attribution = attribute(
        model.networks,
        runs,
        tensors,
        method=model.choice.explain,
        positive_class=model.package.statement.positive_index,
        dce_grid=inputs.dce_grid,
    )
    return _Explained(
        Explanation(attribution.method, attribution.steps, attribution.completeness_gap),
        found=find_regions(attribution, key, inputs.breasts),
        attribution=Volume(attribution.array, attribution.grid),
    )


def _key_volume(exam: Exam) -> Volume:
    """The first post-contrast phase: what radiologists look at first."""
    if len(exam.dce) < 2:
        raise ModelInputError("there is no post-contrast phase to show the result on")
    return exam.dce[1]


def _regions(found: FoundRegions, inputs_digest: str, model: LoadedModel) -> tuple[Region, ...]:
    return tuple(
        Region(
            number=number,
            tracking_uid=derived_uid("region", inputs_digest, model.package.digest, str(number)),
            mask=region.mask,
            center_mm=region.center_mm,
            laterality=region.laterality,
            share=region.share,
        )
        for number, region in enumerate(found.regions, start=1)
    )


def _series(plan: StudyPlan, modalities: set[Modality]) -> tuple[SeriesUse, ...]:
    used: dict[str, str] = {}
    read: dict[str, list[Stack]] = {}
    for modality, stacks in (
        (Modality.DCE, plan.dce),
        (Modality.DWI, (plan.dwi,)),
        (Modality.T2, (plan.t2,)),
    ):
        for stack in stacks if modality in modalities else ():
            if stack is not None:
                used[stack.series_uid] = modality.value
                read.setdefault(stack.series_uid, []).append(stack)
    return tuple(
        SeriesUse(
            series_uid=series.series_uid,
            number=series.series_number,
            description=series.description,
            role=series.role.value,
            used_as=used.get(series.series_uid),
            reason=series.reason,
            frames=tuple(f for s in read.get(series.series_uid, ()) for f in s.frames),
            times_s=tuple(
                s.time_s for s in read.get(series.series_uid, ()) if s.time_s is not None
            ),
        )
        for series in plan.series
    )


def _warnings(
    plan: StudyPlan, ran: Sequence[_Ran], judged: dict[str, tuple[Judgement, ...]]
) -> Iterator[str]:
    """What is to be known of the primary model's result, then of the others what differs."""
    told: set[str] = set()
    for one in ran:
        task = one.score.task
        before = "" if one is ran[0] else f"{task_name(task)}: "
        ignored = {j.text for j in judged[task] if j.outcome is Outcome.IGNORE}
        warned = [j.text for j in judged[task] if j.outcome is Outcome.WARN]
        for text in (*plan.warnings, *warned, *one.inputs.warnings):
            if text not in told | ignored:
                told.add(text)
                yield f"{before}{text}"
    primary = ran[0]
    explanation = primary.explained.explanation
    if explanation is not None and explanation.completeness_error > COMPLETENESS_TOLERANCE:
        yield (
            f"the attribution misses {percent(explanation.completeness_error)} of the score's "
            "difference: regions are uncertain"
        )


def _key_slice(regions: tuple[Region, ...], inputs: ModelInputs, key: Volume) -> int:
    """The slice where the first region is largest; without one, the middle of the breasts."""
    if regions:
        return int(regions[0].mask.sum(axis=(0, 1)).argmax())
    inside = np.argwhere(inputs.breast_mask)
    middle = inside.mean(axis=0) if len(inside) else (np.array(inputs.dce_grid.shape) - 1) / 2
    z = key.grid.to_index(inputs.dce_grid.to_patient(tuple(middle)))[2]
    return int(np.clip(round(z), 0, key.grid.shape[2] - 1))


def _field_box(inputs: ModelInputs, key: Volume) -> tuple[int, int, int, int]:
    """The part of a key slice that the model saw, as voxel indices x0, y0, x1, y1."""
    corners = np.array(np.meshgrid(*[(-0.5, n - 0.5) for n in inputs.dce_grid.shape])).reshape(
        3, -1
    )
    seen = np.array([key.grid.to_index(inputs.dce_grid.to_patient(tuple(c))) for c in corners.T])
    columns, rows = key.grid.shape[:2]
    margin_x, margin_y = round(0.02 * columns), round(0.02 * rows)
    low, high = seen.min(axis=0), seen.max(axis=0)
    x0 = int(np.clip(round(low[0]), margin_x, columns // 2))
    y0 = int(np.clip(round(low[1]), margin_y, rows // 2))
    x1 = int(np.clip(round(high[0]), columns // 2 + 1, columns - 1 - margin_x))
    y1 = int(np.clip(round(high[1]), rows // 2 + 1, rows - 1 - margin_y))
    return x0, y0, x1, y1
