"""One exam, all installed models, one set of findings. Runs where torch is, not in the receiver."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch

from mome_node.assembly.plan import StudyPlan
from mome_node.dicom.header import FrameRef
from mome_node.dicom.uids import derived_uid
from mome_node.errors import ModelInputError
from mome_node.jobs.models import LoadedModel
from mome_node.mome.explain import integrated_gradients
from mome_node.mome.predict import predict
from mome_node.mome.preprocess import ModelInputs, PreprocessSpec, prepare
from mome_node.mome.regions import FoundRegions, find_regions
from mome_node.results.findings import Findings, Region, SeriesUse, TaskNotRun, TaskScore
from mome_node.volumes.volume import Exam, Modality, Volume

TASKS = ("malignancy", "tnbc", "pcr")
EXPLAINED_TASK = "malignancy"
COMPLETENESS_TOLERANCE = 0.1
"""A larger gap of the integrated gradients is told as a warning."""


class NoModelError(ModelInputError):
    """No installed model may evaluate this exam."""


@dataclass(frozen=True, slots=True, eq=False)
class _Explained:
    inputs: ModelInputs
    found: FoundRegions | None
    gap: float


def evaluate(
    plan: StudyPlan, exam: Exam, models: Sequence[LoadedModel], *, inputs_digest: str
) -> Findings:
    """Findings of an exam by every model that may evaluate it.

    Raises NoModelError where none may, ModelInputError where the exam cannot be taken.
    """
    allowed, not_run = _allowed(plan, models)
    scores, explained = [], None
    for model in allowed:
        inputs = _prepare(exam, model)
        scores.append(_score(inputs, model))
        if explained is None and model.package.statement.task == EXPLAINED_TASK:
            explained = _explain(inputs, exam, model, scores[-1])
    if explained is None:
        raise NoModelError(f"no installed model has the task {EXPLAINED_TASK}")
    inputs, key = explained.inputs, _key_volume(exam)
    regions = _regions(explained.found, inputs_digest, allowed)
    return Findings(
        study_uid=plan.study_uid,
        tasks=tuple(scores),
        not_run=not_run,
        modalities_used=tuple(m for m in Modality if m in inputs.arrays),
        modalities_missing=tuple(m for m in Modality if m not in inputs.arrays),
        channels=inputs.channels,
        dwi_b_value=exam.dwi_b_value if Modality.DWI in inputs.arrays else None,
        series=_series(plan, inputs),
        regions=regions,
        share_outside_breast=explained.found.share_outside if explained.found else 0.0,
        warnings=(*plan.warnings, *inputs.warnings, *_gap_warning(explained.gap)),
        synthetic=plan.synthetic or any(m.package.statement.synthetic for m in allowed),
        key_volume=key,
        key_subtraction=Volume(key.array - exam.dce[0].array, key.grid, key.frames),
        key_slice=_key_slice(regions, inputs, key),
        field_box=_field_box(inputs, key),
    )


def _allowed(
    plan: StudyPlan, models: Sequence[LoadedModel]
) -> tuple[list[LoadedModel], tuple[TaskNotRun, ...]]:
    """The models to run, and every task that is not run with its reason."""
    allowed: list[LoadedModel] = []
    reasons = dict.fromkeys(TASKS, "no model installed")
    for model in models:
        said = model.package.statement
        if said.task != EXPLAINED_TASK:
            # Triple-negative and response hold only under a condition that the site must assert.
            reasons[said.task] = "condition unknown"
        elif not model.choice.accepts(
            synthetic_exam=plan.synthetic, synthetic_package=said.synthetic
        ):
            reasons[said.task] = "no clinical model installed"
        else:
            allowed.append(model)
            reasons.pop(said.task, None)
    if not allowed:
        raise NoModelError(reasons[EXPLAINED_TASK])
    return allowed, tuple(TaskNotRun(task, reason) for task, reason in reasons.items())


def _prepare(exam: Exam, model: LoadedModel) -> ModelInputs:
    config = model.network.config
    sizes = {m: config.input_of(m).shape for m in Modality}
    return prepare(exam, PreprocessSpec.from_json(dict(model.package.preprocessing)), sizes)


def _tensors(inputs: ModelInputs, device: torch.device) -> dict[Modality, torch.Tensor]:
    """(1, C, x, y, z) float32 of each modality that is used."""
    return {m: torch.from_numpy(a)[None].to(device) for m, a in inputs.arrays.items()}


def _score(inputs: ModelInputs, model: LoadedModel) -> TaskScore:
    said = model.package.statement
    prediction = predict(
        model.network,
        _tensors(inputs, model.device),
        positive_class=said.positive_index,
        prior=said.prior,
    )
    return TaskScore(
        task=said.task,
        prediction=prediction,
        model=model.package.identity,
        label_definition=said.label_definition,
        calibration=said.calibration,
        operating_point=said.operating_point,
    )


def _explain(inputs: ModelInputs, exam: Exam, model: LoadedModel, score: TaskScore) -> _Explained:
    """Regions that raised the score; none where nothing raised it above its reference."""
    raised = score.prediction.probability > score.prediction.prior
    if Modality.DCE not in inputs.arrays or not raised:
        return _Explained(inputs, None, 0.0)
    attribution = integrated_gradients(
        model.network,
        _tensors(inputs, model.device),
        positive_class=model.package.statement.positive_index,
        dce_grid=inputs.dce_grid,
    )
    found = find_regions(attribution, _key_volume(exam), inputs.breasts)
    return _Explained(inputs, found, attribution.completeness_gap)


def _key_volume(exam: Exam) -> Volume:
    """The first post-contrast phase: what radiologists look at first."""
    if len(exam.dce) < 2:
        raise ModelInputError("there is no post-contrast phase to show the result on")
    return exam.dce[1]


def _regions(
    found: FoundRegions | None, inputs_digest: str, models: Sequence[LoadedModel]
) -> tuple[Region, ...]:
    digests = [m.package.digest for m in models]
    return tuple(
        Region(
            number=number,
            tracking_uid=derived_uid("region", inputs_digest, *digests, str(number)),
            mask=region.mask,
            center_mm=region.center_mm,
            laterality=region.laterality,
            share=region.share,
        )
        for number, region in enumerate(found.regions if found else (), start=1)
    )


def _series(plan: StudyPlan, inputs: ModelInputs) -> tuple[SeriesUse, ...]:
    used: dict[str, str] = {}
    frames: dict[str, tuple[FrameRef, ...]] = {}
    for modality, stacks in (
        (Modality.DCE, plan.dce),
        (Modality.DWI, (plan.dwi,)),
        (Modality.T2, (plan.t2,)),
    ):
        if modality in inputs.arrays:
            for stack in stacks:
                if stack is not None:
                    used[stack.series_uid] = modality.value
                    frames[stack.series_uid] = (*frames.get(stack.series_uid, ()), *stack.frames)
    return tuple(
        SeriesUse(
            series_uid=series.series_uid,
            number=series.series_number,
            description=series.description,
            role=series.role.value,
            used_as=used.get(series.series_uid),
            reason=series.reason,
            frames=frames.get(series.series_uid, ()),
        )
        for series in plan.series
    )


def _gap_warning(gap: float) -> tuple[str, ...]:
    if gap <= COMPLETENESS_TOLERANCE:
        return ()
    return (f"the attribution misses {gap:.0%} of the score's difference: regions are uncertain",)


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
