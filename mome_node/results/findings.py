"""All that a report says of one study, in one value: the results' only input besides the images."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from mome_node.dicom.geometry import Point
from mome_node.dicom.header import FrameRef
from mome_node.dicom.reason_codes import Reason
from mome_node.fitness.checks import Outcome
from mome_node.fitness.knowledge import NOT_ASSESSED
from mome_node.mome.prediction import ChannelUse, Prediction
from mome_node.mome.statement import ModelIdentity as ModelIdentity
from mome_node.mome.statement import OperatingPoint as OperatingPoint
from mome_node.volumes.volume import Modality, Volume

Side = Literal["L", "R"]


@dataclass(frozen=True, slots=True)
class TaskScore:
    """One task that was run: the score, whose score it is, and what the package says of it.

    ``channels`` is which phase filled each of this model's DCE channels.
    """

    task: str  # malignancy, tnbc, pcr
    prediction: Prediction
    model: ModelIdentity
    label_definition: str
    calibration: str  # "no", or "on POPULATION, prevalence P"
    operating_points: tuple[OperatingPoint, ...] = ()
    channels: tuple[ChannelUse, ...] = ()

    @property
    def modalities(self) -> tuple[Modality, ...]:
        """What this model was given of the exam."""
        return tuple(modality for modality, _ in self.prediction.contributions)


@dataclass(frozen=True, slots=True)
class TaskNotRun:
    """One task that was not run, and why."""

    task: str
    reason: str


@dataclass(frozen=True, slots=True)
class FitnessFinding:
    """One check that the exam failed for one task's model, and what that did."""

    task: str
    code: str  # of fitness.checks
    outcome: Outcome
    text: str


@dataclass(frozen=True, slots=True)
class Explanation:
    """How the regions of the primary task were looked for, and how exactly.

    ``completeness_error`` is the part of the score's difference that the attribution misses.
    """

    method: str  # such as "integrated gradients at the voxels"
    steps: int
    completeness_error: float


@dataclass(frozen=True, slots=True)
class SeriesUse:
    """One series of the study: what it was taken for and what it was used as.

    ``frames`` are the image planes of it that a model read: the report's image library lists them.
    ``times_s`` are the known times of the phases among them, in seconds after the pre-contrast one.
    """

    series_uid: str
    number: int | None
    description: str
    role: str
    used_as: str | None  # "dce", "dwi", "t2"; None: left out
    reason: str
    frames: tuple[FrameRef, ...] = ()
    times_s: tuple[float, ...] = ()


@dataclass(frozen=True, slots=True, eq=False)
class Region:
    """One region that influenced the score, on the grid of the key volume.

    ``mask`` bool (x, y, z). ``share`` is its part of the positive attribution of the whole field,
    0 to 1. Not an outline of a lesion. ``laterality`` is None where the side cannot be told.
    """

    number: int
    tracking_uid: str
    mask: NDArray[np.bool_]
    center_mm: Point
    laterality: Side | None
    share: float

    @property
    def tracking_id(self) -> str:
        """Identifier for people, the same in SR, SEG and pictures."""
        return f"Region {self.number}"


@dataclass(frozen=True, slots=True, eq=False)
class Findings:
    """Everything that the results of one study say.

    The first of ``tasks`` is the primary one: its model is the one that regions belong to, and
    ``modalities_used``, ``modalities_missing`` and ``channels`` are that model's. Other models may
    have used others (``TaskScore.modalities``); ``series`` and ``dwi_b_value`` tell of all models.
    Without an ``explanation`` no region was looked for; ``not_explained`` says why.

    ``key_volume`` is the DCE phase that regions lie on and pictures show (first post-contrast),
    ``key_subtraction`` the same minus pre-contrast. ``field_box`` is the evaluated field on the
    key volume's grid as (x0, y0, x1, y1) voxel indices, ``key_slice`` the slice that it is drawn
    on. ``share_outside_breast`` is the part of the positive attribution outside the breasts.

    ``fitness`` has the failed checks of every model, run or not; those that warn of one that was
    run are among ``warnings``, too. ``known`` is what the site knows of the study, and
    ``not_assessed`` what nobody does.

    ``attribution`` is what each voxel of the primary model's DCE grid added to its score, not
    smoothed, in log-odds (natural logarithm) of the positive class before any calibration; the
    values add up to the score less that of a DCE in which nothing enhances, but for the
    explanation's completeness error. None where nothing was explained.
    """

    study_uid: str
    tasks: tuple[TaskScore, ...]
    not_run: tuple[TaskNotRun, ...]
    modalities_used: tuple[Modality, ...]
    modalities_missing: tuple[Modality, ...]
    channels: tuple[ChannelUse, ...]
    dwi_b_value: float | None
    series: tuple[SeriesUse, ...]
    regions: tuple[Region, ...]
    share_outside_breast: float
    explanation: Explanation | None
    not_explained: str
    warnings: tuple[str, ...]
    synthetic: bool  # the exam or a model is synthetic: Synthetic Data = YES on every object
    key_volume: Volume
    key_subtraction: Volume
    key_slice: int
    field_box: tuple[int, int, int, int]
    fitness: tuple[FitnessFinding, ...] = ()
    known: tuple[str, ...] = ()
    not_assessed: tuple[str, ...] = NOT_ASSESSED
    attribution: Volume | None = None


@dataclass(frozen=True, slots=True)
class ModelAsked:
    """A model that was asked to evaluate a study, and why it did not."""

    name: str
    version: str
    task: str
    reason: str


@dataclass(frozen=True, slots=True)
class NotEvaluableStudy:
    """All that a report says of a study that was not evaluated.

    ``reasons`` has the code (of ``dicom.reason_codes`` or of a fitness check) and the words of
    each; ``series`` what each series was taken for, where that is known. ``demonstration``: only
    models that never saw a patient are installed. ``synthetic``: the exam is artificial.
    """

    study_uid: str
    reasons: tuple[Reason, ...]
    series: tuple[SeriesUse, ...] = ()
    models: tuple[ModelAsked, ...] = ()
    warnings: tuple[str, ...] = ()
    demonstration: bool = False
    synthetic: bool = False
