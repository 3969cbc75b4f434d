"""Results whose region is the phantom's lesion itself: no model has a say in where it lies.

So what a viewer draws can be held to the phantom's truth. Files are planned, read and built into
volumes as the node does it; only the findings are made by hand.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from pydicom import dcmread
from pydicom.dataset import Dataset

from conformance.lesion_forms import FORMS, Form, write_form
from mome_node.assembly.plan import Role, StudyPlan
from mome_node.assembly.rules import AssemblyRules
from mome_node.assembly.study import plan_study
from mome_node.dicom.geometry import Grid
from mome_node.dicom.header import FrameRef
from mome_node.dicom.uids import derived_uid
from mome_node.jobs.evaluate_study import sources_from
from mome_node.jobs.reading import (
    SourceInstance,
    build_exam,
    contents_of,
    inputs_digest,
    read_study,
)
from mome_node.mome.prediction import ChannelUse, Prediction
from mome_node.phantom.exam import Lesion, PhantomExam, Protocol
from mome_node.phantom.render import axial_grid, render_exam
from mome_node.results.context import ResultContext
from mome_node.results.findings import (
    Explanation,
    Findings,
    ModelIdentity,
    Region,
    SeriesUse,
    TaskNotRun,
    TaskScore,
)
from mome_node.results.outline import largest_slice
from mome_node.results.profile import DEFAULT_PROFILE, ResultProfile
from mome_node.results.result_set import encode, make_results
from mome_node.volumes.volume import Exam, Modality, Volume

MAP = (48, 48, 12)
RECORDED_AT = datetime(2026, 11, 1, 16, 30, tzinfo=UTC)
SCORE, NEGATIVE_SCORE, PRIOR = 0.81, 0.17, 0.5
SHARE, SHARE_OUTSIDE = 0.4, 0.06
METHOD = "integrated gradients at the voxels"
MODEL = ModelIdentity("hand-made findings", "1", "0" * 64, synthetic=True)
MISSING_WARNING = "the study has no T2 and no DWI: the model was given the dynamic alone"

Headers = Callable[[FrameRef], Dataset]


@dataclass(frozen=True, slots=True, eq=False)
class LesionStudy:
    """One study: its images, the lesions that are in them, and findings that point at these.

    ``lesions`` are the truth, in mm LPS; the findings of a negative study leave them out.
    """

    name: str
    study_uid: str
    images: tuple[Path, ...]
    lesions: tuple[Lesion, ...]
    findings: Findings
    context: ResultContext
    headers: Headers
    folder: Path

    def results(self, profile: ResultProfile = DEFAULT_PROFILE) -> dict[str, list[Path]]:
        """The files of the results in a profile, by their kind."""
        context = replace(self.context, profile=profile)
        made: dict[str, list[Path]] = {}
        for result in make_results(self.findings, context, self.headers).objects:
            path = self.folder / f"{result.sop_instance_uid}.dcm"
            path.write_bytes(encode(result.dataset))
            made.setdefault(result.kind, []).append(path)
        return made

    def image(self, sop_instance_uid: str) -> Dataset:
        """The header of one of its images."""
        return self.headers(FrameRef(sop_instance_uid))


class LesionStudyMaker:
    """Makes each wanted study once; its files stay in ``folder``."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._exams: dict[tuple[int, Protocol], PhantomExam] = {}
        self._made: dict[str, LesionStudy] = {}

    def __call__(self, name: str) -> LesionStudy:
        """The study of one of FORMS."""
        if name not in self._made:
            self._made[name] = self._make(name, FORMS[name])
        return self._made[name]

    def _make(self, name: str, form: Form) -> LesionStudy:
        exam = self._exam(form)
        folder = self._folder / name
        study_uid = derived_uid("lesion study", name)
        images = write_form(exam, form, folder / "exam", study_uid=study_uid)
        if form.only_dynamic:
            images = _of_dynamic(images)
        plan, volumes, digest = _read(images)
        headers = {str(ds.SOPInstanceUID): ds for ds in map(_header, images)}
        return LesionStudy(
            name=name,
            study_uid=plan.study_uid,
            images=images,
            lesions=exam.truth.lesions,
            findings=_findings(plan, volumes, exam.truth.lesions if form.with_regions else ()),
            context=ResultContext(plan.study_uid, 0, digest, 0, RECORDED_AT),
            headers=lambda frame: headers[frame.sop_instance_uid],
            folder=folder,
        )

    def _exam(self, form: Form) -> PhantomExam:
        key = form.seed, form.protocol
        if key not in self._exams:
            self._exams[key] = render_exam(form.seed, protocol=form.protocol)
        return self._exams[key]


def inside(lesions: Iterable[Lesion], points: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Which of some points (..., 3) in mm LPS lie in a lesion's ellipsoid."""
    within = [
        (((points - np.array(lesion.center_mm)) / np.array(lesion.radii_mm)) ** 2).sum(axis=-1) <= 1
        for lesion in lesions
    ]
    return np.any(within, axis=0) if within else np.zeros(points.shape[:-1], dtype=bool)


def _header(path: Path) -> Dataset:
    return dcmread(path, stop_before_pixels=True)


def _of_dynamic(images: Sequence[Path]) -> tuple[Path, ...]:
    roles = {series.series_uid: series.role for series in _plan(images)[0].series}
    return tuple(p for p in images if roles[str(_header(p).SeriesInstanceUID)] is Role.DCE)


def _plan(images: Sequence[Path]) -> tuple[StudyPlan, tuple[SourceInstance, ...]]:
    instances = sources_from({str(_header(path).SOPInstanceUID): path for path in images})
    facts = read_study(instances)
    plan = plan_study(
        facts.instances, AssemblyRules(), now=RECORDED_AT, unreadable=facts.unreadable
    )
    assert plan.dce, plan.reasons
    return plan, instances


def _read(images: Sequence[Path]) -> tuple[StudyPlan, Exam, str]:
    plan, instances = _plan(images)
    paths = {instance.sop_instance_uid: instance.path for instance in instances}
    return plan, build_exam(plan, paths.__getitem__), inputs_digest(plan, contents_of(instances))


def _findings(plan: StudyPlan, exam: Exam, lesions: tuple[Lesion, ...]) -> Findings:
    key = exam.dce[1]
    regions = tuple(_region(n, lesion, key.grid) for n, lesion in enumerate(lesions, start=1))
    probability = SCORE if regions else NEGATIVE_SCORE
    missing = tuple(m for m in Modality if m not in exam.modalities)
    columns, rows, slices = key.grid.shape
    return Findings(
        study_uid=plan.study_uid,
        tasks=(
            TaskScore(
                task="malignancy",
                prediction=_prediction(probability, exam.modalities),
                model=MODEL,
                label_definition="malignant on histology",
                calibration="no",
            ),
        ),
        not_run=(TaskNotRun("tnbc", "condition unknown"), TaskNotRun("pcr", "condition unknown")),
        modalities_used=exam.modalities,
        modalities_missing=missing,
        channels=tuple(ChannelUse(n, n, t) for n, t in enumerate(exam.phase_times_s)),
        dwi_b_value=exam.dwi_b_value,
        series=tuple(_series(plan)),
        regions=regions,
        share_outside_breast=SHARE_OUTSIDE if regions else 0.0,
        explanation=Explanation(METHOD, 1, 0.0) if regions else None,
        not_explained="" if regions else "the score does not lie above its reference",
        warnings=(MISSING_WARNING,) if missing else (),
        synthetic=True,
        key_volume=key,
        key_subtraction=Volume(key.array - exam.dce[0].array, key.grid, key.frames),
        key_slice=largest_slice(regions[0].mask) if regions else slices // 2,
        field_box=(round(0.02 * columns), round(0.02 * rows), columns - 3, rows - 3),
        attribution=_attribution(lesions) if regions else None,
    )


def _prediction(probability: float, modalities: tuple[Modality, ...]) -> Prediction:
    """The dynamic moved the score by more than the rest did, which moved it back a little."""
    others = tuple((m, -0.04) for m in modalities[1:])
    dynamic = probability - PRIOR - sum(value for _, value in others)
    return Prediction(
        logits=(1 - probability, probability),
        probabilities=(1 - probability, probability),
        probability=probability,
        prior=PRIOR,
        contributions=((Modality.DCE, dynamic), *others),
    )


def _attribution(lesions: tuple[Lesion, ...]) -> Volume:
    """One in the lesions, on a grid of its own, as a model's is."""
    grid = axial_grid(MAP)
    return Volume(inside(lesions, _voxels(grid)).astype(np.float32), grid)


def _voxels(grid: Grid) -> NDArray[np.float64]:
    """Where the voxels' centres lie, (x, y, z, 3) in mm LPS."""
    indices = np.moveaxis(np.indices(grid.shape), 0, -1)
    places: NDArray[np.float64] = indices @ grid.affine[:3, :3].T + grid.affine[:3, 3]
    return places


def _region(number: int, lesion: Lesion, grid: Grid) -> Region:
    """The voxels whose centres lie in a lesion."""
    return Region(
        number=number,
        tracking_uid=derived_uid("lesion", *map(str, lesion.center_mm)),
        mask=inside([lesion], _voxels(grid)),
        center_mm=lesion.center_mm,
        laterality=lesion.laterality,
        share=SHARE / number,
    )


def _series(plan: StudyPlan) -> Iterator[SeriesUse]:
    stacks = [("dce", s) for s in plan.dce]
    stacks += [(name, s) for name, s in (("dwi", plan.dwi), ("t2", plan.t2)) if s is not None]
    for series in plan.series:
        used = [(name, s.frames) for name, s in stacks if s.series_uid == series.series_uid]
        yield SeriesUse(
            series_uid=series.series_uid,
            number=series.series_number,
            description=series.description,
            role=series.role.value,
            used_as=used[0][0] if used else None,
            reason=series.reason,
            frames=tuple(frame for _, frames in used for frame in frames),
        )
