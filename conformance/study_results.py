"""Studies evaluated by the node's own pipeline: phantoms as three vendors write them, and results.

The network is small and its weights are random, but for three things that make it answer the same
way whatever the exam: its first DCE kernels see enhancement, no kernel has mixed signs, and the
bias of its last layer decides on which side of the prior the score lies. So one package always
gives regions and a SEG, the other never.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import torch
from pydicom import dcmread

from mome_node.assembly.rules import AssemblyRules
from mome_node.demonstration.card import LICENSE_TEXT, demonstration_statement
from mome_node.jobs.evaluate_study import evaluate_study, sources_from
from mome_node.jobs.models import ModelChoice, load_models
from mome_node.jobs.requests import Evaluated, EvaluationRequest
from mome_node.mome.config import InputSize, ModelConfig
from mome_node.mome.network import Mome
from mome_node.mome.package import write_package
from mome_node.mome.preprocess_spec import default_spec
from mome_node.phantom.dicom_writer import write_study
from mome_node.phantom.exam import PhantomExam, Protocol, Vendor
from mome_node.phantom.render import render_exam
from mome_node.results.context import Predecessor, Replaced
from mome_node.results.profile import ResultProfile

SMALL_EXAM = Protocol((96, 96, 24), (48, 48, 12), (96, 96, 18))
MALIGNANT_SEED = 3
_WEIGHTS_SEED = 0
_STUDY_DATE = date(2026, 11, 1)
_RECORDED_AT = datetime(2026, 11, 1, 16, 30, tzinfo=UTC)
_NETWORK = ModelConfig(
    width=24,
    heads=3,
    ffn=48,
    layers=3,
    sparse_layers=2,
    adapter=6,
    experts=5,
    stem=(4, 8),
    dce=InputSize(6, (96, 64, 16)),
    dwi=InputSize(1, (48, 32, 16)),
    t2=InputSize(1, (48, 32, 16)),
)


@dataclass(frozen=True)
class EvaluatedStudy:
    """One study's files: the exam's images, the SR, and the SEG where there are regions."""

    name: str
    study_uid: str
    images: tuple[Path, ...]
    sr: Path
    seg: Path | None
    findings: dict[str, Any]

    @property
    def results(self) -> tuple[Path, ...]:
        return (self.sr,) if self.seg is None else (self.sr, self.seg)


def write_model(path: Path, *, raises_the_score: bool) -> Path:
    """Write a package whose score is always above its prior, or always below."""
    torch.manual_seed(_WEIGHTS_SEED)
    network = Mome(_NETWORK).eval()
    with torch.no_grad():
        for weight in network.tokenizers.parameters():
            weight.abs_()
        first = network.tokenizers["dce"].stem["0"].weight  # (channels, phases, 3, 3, 3)
        first[:, 0] = -first[:, 1:].sum(dim=1)
        network.head.weight.mul_(3)
        bias = 0.5 if raises_the_score else -1.0
        network.head.bias.copy_(torch.tensor([-bias, bias]))
    statement = replace(
        demonstration_statement(),
        name="random-weights",
        preprocessing=default_spec(_NETWORK).to_json(),
    )
    return write_package(path, network, statement, license_text=LICENSE_TEXT).path


def evaluate(
    exam: PhantomExam,
    model: Path | str,
    folder: Path,
    *,
    vendor: Vendor,
    enhanced: bool = False,
    doubtful: bool = False,
) -> EvaluatedStudy:
    """Write an exam to ``folder`` and evaluate it there by a package, or the one named "demo".

    ``doubtful``: its headers say supine, and name no contrast agent.
    """
    images = write_study(
        exam, folder / "exam", vendor=vendor, enhanced=enhanced, study_date=_STUDY_DATE
    )
    for path in images if doubtful else ():
        dataset = dcmread(path)
        dataset.PatientPosition = "HFS"
        dataset.pop("ContrastBolusAgent", None)
        dataset.save_as(path)
    return evaluate_images(images, model, folder / "results", name=folder.name)


def evaluate_images(
    images: tuple[Path, ...], model: Path | str, folder: Path, *, name: str
) -> EvaluatedStudy:
    """Evaluate a study's files."""
    request = request_for(images, folder)
    outcome = evaluate_study(request, load_models((ModelChoice(str(model), device="cpu"),)))
    assert isinstance(outcome, Evaluated), outcome
    made = {item.kind: item.path for item in outcome.objects}
    return EvaluatedStudy(
        name=name,
        study_uid=request.study_uid,
        images=images,
        sr=made["sr"],
        seg=made.get("seg"),
        findings=json.loads(outcome.findings_path.read_text()),
    )


def request_for(images: tuple[Path, ...], folder: Path) -> EvaluationRequest:
    """The request to evaluate a study's files and leave the results in a folder."""
    headers = {path: dcmread(path, stop_before_pixels=True) for path in images}
    return EvaluationRequest(
        study_uid=str(headers[images[0]].StudyInstanceUID),
        revision=0,
        instances=sources_from({str(ds.SOPInstanceUID): path for path, ds in headers.items()}),
        rules=AssemblyRules(),
        station_name="MOME",
        recorded_at=_RECORDED_AT,
        out_dir=folder,
    )


class StudyMaker:
    """Evaluates each wanted study once; its files stay in ``folder``."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._models: dict[bool, Path] = {}
        self._exams: dict[Protocol, PhantomExam] = {}
        self._made: dict[str, EvaluatedStudy] = {}

    def __call__(
        self,
        vendor: Vendor = Vendor.SIEMENS,
        *,
        enhanced: bool = False,
        with_regions: bool = True,
        doubtful: bool = False,
        protocol: Protocol = SMALL_EXAM,
    ) -> EvaluatedStudy:
        form = "enhanced" if enhanced else "classic"
        matrix = "x".join(str(n) for n in protocol.dce_matrix)
        name = f"{vendor}-{form}-{matrix}-{'regions' if with_regions else 'no-region'}"
        name += "-doubtful" * doubtful
        if name not in self._made:
            self._made[name] = evaluate(
                self._exam(protocol),
                self._model(with_regions),
                self._folder / name,
                vendor=vendor,
                enhanced=enhanced,
                doubtful=doubtful,
            )
        return self._made[name]

    def in_profiles(
        self,
        folder: Path,
        profiles: tuple[ResultProfile, ...],
        *,
        vendor: Vendor = Vendor.SIEMENS,
        enhanced: bool = False,
        with_regions: bool = True,
        replaced: Replaced | None = None,
    ) -> tuple[Path, ...]:
        """The objects of a study in each of several profiles, after a report that they replace."""
        study = self(vendor, enhanced=enhanced, with_regions=with_regions)
        before = Predecessor("1.2.840.10008.5.1.4.1.1.88.34", "2.25.1", "2.25.2")
        request = replace(
            request_for(study.images, folder),
            revision=1,
            profiles=profiles,
            predecessors=tuple((p.digest, before) for p in profiles) if replaced else (),
            replaces=replaced,
        )
        models = load_models((ModelChoice(str(self._model(with_regions)), device="cpu"),))
        outcome = evaluate_study(request, models)
        assert isinstance(outcome, Evaluated), outcome
        return tuple(made.path for made in outcome.objects)

    def _exam(self, protocol: Protocol) -> PhantomExam:
        if protocol not in self._exams:
            self._exams[protocol] = render_exam(MALIGNANT_SEED, protocol=protocol)
        return self._exams[protocol]

    def _model(self, raises_the_score: bool) -> Path:
        if raises_the_score not in self._models:
            path = self._folder / ("raises" if raises_the_score else "lowers")
            self._models[raises_the_score] = write_model(path, raises_the_score=raises_the_score)
        return self._models[raises_the_score]
