"""Several packages on one exam: real networks of random weights, small enough for a test."""

from __future__ import annotations

import json
import pickle
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from highdicom.pm import ParametricMap
from pydicom import dcmread

from mome_node.assembly.rules import AssemblyRules
from mome_node.demonstration.card import LICENSE_TEXT, demonstration_statement
from mome_node.errors import (
    DeviceLostError,
    DeviceMemoryError,
    ModelError,
    NotANumberError,
)
from mome_node.jobs.evaluate_study import evaluate_study, sources_from
from mome_node.jobs.models import LoadedModel, ModelChoice, load_models
from mome_node.jobs.requests import Evaluated, EvaluationRequest, NotEvaluated
from mome_node.mome.config import InputSize, ModelConfig
from mome_node.mome.device_errors import device_errors
from mome_node.mome.network import Mome
from mome_node.mome.package import write_package
from mome_node.mome.preprocess_spec import default_spec
from mome_node.mome.statement import CONDITIONS, HISTOLOGY_PROVEN, Accepts, OperatingPoint
from mome_node.phantom.dicom_writer import write_study
from mome_node.phantom.exam import Protocol, Vendor
from mome_node.phantom.render import render_exam
from mome_node.results.profile import ResultProfile
from mome_node.volumes.volume import Modality

NOW = datetime(2026, 1, 1, 12, tzinfo=UTC)
SMALL = Protocol((64, 64, 10), (32, 32, 5), (64, 64, 6))
NETWORK = ModelConfig(
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
NAMES = {"malignancy": "MOME malignancy", "tnbc": "MOME subtype", "pcr": "MOME response"}
POINT = OperatingPoint("rule-in", 0.5, 0.9, (0.8, 0.95), 0.8, (0.7, 0.9), 150, 0.5, "phantoms")


def network(seed: int, *, bias: float) -> Mome:
    """Random weights whose score lies above its reference if the bias is above 0, else below."""
    torch.manual_seed(seed)
    made = Mome(NETWORK).eval()
    with torch.no_grad():
        made.head.weight.mul_(0.1)
        made.head.bias.copy_(torch.tensor([-bias, bias]))
    return made


Install = Callable[..., ModelChoice]


@pytest.fixture(scope="module")
def install(tmp_path_factory: pytest.TempPathFactory) -> Install:
    """Write a package, unless one like it was written, and choose it."""

    @cache
    def written(task: str, bias: float, networks: int, planes: tuple[str, ...], **said: Any) -> str:
        spec = replace(default_spec(NETWORK), planes=planes)
        statement = replace(
            demonstration_statement(),
            name=NAMES.get(task, task),
            task=task,
            preprocessing=spec.to_json(),
            **said,
        )
        folder = tmp_path_factory.mktemp("models") / task
        members = [network(seed, bias=bias) for seed in range(networks)]
        write_package(folder, members, statement, license_text=LICENSE_TEXT)
        return str(folder)

    def install(
        task: str = "malignancy",
        *,
        bias: float = 1.0,
        networks: int = 1,
        planes: tuple[str, ...] = ("axial",),
        choice: dict[str, Any] | None = None,
        **said: Any,
    ) -> ModelChoice:
        package = written(task, bias, networks, planes, **said)
        return ModelChoice(package, device="cpu", **(choice or {}))

    return install


@pytest.fixture(scope="module")
def exam(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, ...]:
    rendered = render_exam(3, protocol=SMALL)
    folder = tmp_path_factory.mktemp("exam")
    return write_study(rendered, folder, vendor=Vendor.SIEMENS, study_date=NOW.date())


@pytest.fixture
def request_of(exam: tuple[Path, ...], tmp_path: Path) -> EvaluationRequest:
    headers = {path: dcmread(path, stop_before_pixels=True) for path in exam}
    return EvaluationRequest(
        study_uid=str(next(iter(headers.values())).StudyInstanceUID),
        revision=1,
        instances=sources_from({str(ds.SOPInstanceUID): path for path, ds in headers.items()}),
        rules=AssemblyRules(),
        profiles=(ResultProfile(label="research use only"),),
        station_name="MOME",
        recorded_at=NOW,
        out_dir=tmp_path / "out",
    )


class Report:
    """What an evaluation left: findings.json, and the sentences of the SR."""

    def __init__(self, outcome: Evaluated | NotEvaluated) -> None:
        assert isinstance(outcome, Evaluated), outcome
        self.findings = json.loads(outcome.findings_path.read_text())
        self.kinds = {made.kind for made in outcome.objects}
        (sr,) = (made for made in outcome.objects if made.kind == "sr")
        self.sentences = list(self._texts(dcmread(sr.path)))

    def _texts(self, item: Any) -> Iterator[str]:
        for child in item.get("ContentSequence", ()):
            if child.ValueType == "TEXT":
                yield str(child.TextValue)
            yield from self._texts(child)

    @property
    def tasks(self) -> list[str]:
        return [task["task"] for task in self.findings["tasks"]]

    @property
    def not_run(self) -> dict[str, str]:
        return {entry["task"]: entry["reason"] for entry in self.findings["tasks_not_run"]}

    def says(self, words: str) -> bool:
        return any(words in sentence for sentence in self.sentences)


def report(request: EvaluationRequest, *choices: ModelChoice) -> Report:
    return Report(evaluate_study(request, load_models(choices)))


# One report of all


def test_one_report_holds_every_task_that_was_run_and_says_which_was_not(install, request_of):
    response = install(
        "pcr",
        bias=-1.0,
        applies_when=CONDITIONS,
        choice={"asserts": CONDITIONS, "when": (("study_description", "breast|mamma"),)},
    )
    subtype = install("tnbc", applies_when=(HISTOLOGY_PROVEN,))
    found = report(request_of, response, subtype, install("malignancy"))
    assert found.tasks == ["malignancy", "pcr"]
    assert found.not_run == {
        "tnbc": "condition unknown: histology-proven invasive cancer is not asserted for this study"
    }
    assert found.says("Exam malignancy score: ")
    assert found.says("Response score: ")
    assert found.says("Triple-negative: not run: condition unknown: histology-proven")
    digests = {task["model"]["digest"] for task in found.findings["tasks"]}
    assert len(digests) == 2


def test_regions_are_those_of_malignancy_wherever_it_stands_among_the_models(install, request_of):
    found = report(request_of, install("pcr"), install("malignancy"))
    assert found.findings["explanation"]["model"]["name"] == "MOME malignancy"
    assert found.says("of the Exam malignancy score by MOME malignancy 1.")
    assert found.findings["tasks"][0]["task"] == "malignancy"


def test_without_malignancy_the_regions_are_those_of_the_first_task_that_ran(install, request_of):
    found = report(request_of, install("pcr"), install("tnbc"))
    assert found.tasks == ["pcr", "tnbc"]
    assert found.findings["explanation"]["model"]["name"] == "MOME response"
    assert found.says("of the Response score by MOME response 1.")
    assert found.not_run == {"malignancy": "no model installed"}


def test_package_that_cannot_take_the_exam_does_not_stop_the_others(install, request_of):
    found = report(request_of, install("malignancy", planes=("sagittal",)), install("tnbc"))
    assert found.tasks == ["tnbc"]
    assert "its slices are axial, the model takes sagittal" in found.not_run["malignancy"]
    assert found.says("Exam malignancy score: not run: the dynamic is not one that the model takes")


def test_exam_that_no_package_can_take_is_not_evaluable_with_every_reason(install, request_of):
    models = load_models(
        (install("malignancy", planes=("sagittal",)), install("tnbc", planes=("coronal",)))
    )
    outcome = evaluate_study(request_of, models)
    assert isinstance(outcome, NotEvaluated)
    assert "malignancy: the dynamic is not one that" in outcome.reason
    assert "tnbc: the dynamic is not one that" in outcome.reason
    assert not request_of.out_dir.exists()


def test_package_is_not_run_on_a_scanner_that_it_was_not_validated_for(install, request_of):
    subtype = install("tnbc", accepts=Accepts(vendors=("philips",)))
    found = report(request_of, install("malignancy"), subtype)
    assert found.not_run["tnbc"] == "not validated for Siemens: the package takes Philips"


def test_no_package_that_may_run_makes_no_result_and_tells_each_reason(install, request_of):
    models = load_models(
        (
            install("pcr", applies_when=CONDITIONS),
            install("tnbc", accepts=Accepts(field_strengths_t=(1.5, 1.5))),
        )
    )
    outcome = evaluate_study(request_of, models)
    assert isinstance(outcome, NotEvaluated)
    assert "pcr: [condition-not-asserted] condition unknown" in outcome.reason
    assert "tnbc: [field-strength-outside-package] not validated for 3 T" in outcome.reason
    assert not request_of.out_dir.exists()


# What goes together, told at start


def test_two_packages_of_one_task_are_refused(install):
    choices = (install("tnbc"), install("tnbc"))
    with pytest.raises(ModelError, match=r"two packages for the task tnbc: .*; install one"):
        load_models(choices)


def test_task_that_the_report_has_no_concept_for_is_refused(install):
    with pytest.raises(ModelError, match=r"density.*allowed here: malignancy, tnbc, pcr"):
        load_models((install("density"),))


def test_gpu_that_is_asked_for_and_not_there_is_told(install, monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    choice = install()
    with pytest.raises(DeviceLostError, match="PyTorch finds no GPU here"):
        load_models((replace(choice, device="cuda"),))
    assert load_models((replace(choice, device="auto"),))[0].device.type == "cpu"


# The explanation


def test_explanation_names_method_steps_and_error_in_report_and_findings(install, request_of):
    found = report(request_of, install(choice={"explain": "tokens"}))
    told = found.findings["explanation"]
    assert "tokens" in told["method"]
    assert told["steps"] >= 1
    assert found.says(f"by {told['method']}, {told['steps']} steps, completeness error ")
    large = told["completeness_error"] > 0.05
    assert any("the attribution misses" in w for w in found.findings["warnings"]) is large


def test_explanation_that_a_site_switched_off_is_said_to_be(install, request_of):
    found = report(request_of, install(choice={"explain": "off"}))
    assert (found.findings["regions"], found.findings["explanation"]) == ([], None)
    assert found.says("Regions were not looked for: the site's settings switch it off.")
    assert found.kinds == {"sr"}


def test_score_that_nothing_raised_has_no_regions_and_says_why(install, request_of):
    found = report(request_of, install(bias=-1.0))
    assert found.says("Regions were not looked for: the score does not lie above its reference.")


def test_map_holds_what_was_attributed_to_the_voxels_of_the_models_grid(
    install, request_of, monkeypatch
):
    from mome_node.jobs import evaluation

    attribute, kept = evaluation.attribute, []
    monkeypatch.setattr(
        evaluation,
        "attribute",
        lambda *args, **how: kept.append(attribute(*args, **how)) or kept[-1],
    )
    wanted = replace(request_of, profiles=(ResultProfile(objects=("sr", "map")),))
    outcome = evaluate_study(wanted, load_models((install(choice={"explain": "tokens"}),)))
    assert isinstance(outcome, Evaluated)
    (made,) = (o for o in outcome.objects if o.kind == "map")
    volume = ParametricMap.from_dataset(dcmread(made.path)).get_volume()
    (attribution,) = kept
    for index in ((0, 0, 0), (40, 30, 7), (95, 63, 15)):
        place = np.array([attribution.grid.to_patient(index)])
        found = np.round(volume.map_reference_to_indices(place)[0]).astype(int)
        assert volume.array[tuple(found)] == attribution.array[index]
    assert volume.array.sum() == pytest.approx(attribution.array.sum(), rel=1e-4)


@pytest.mark.parametrize(("gap", "warned"), [(0.051, True), (0.05, False)])
def test_error_of_the_attribution_above_five_percent_is_a_warning(
    install, request_of, monkeypatch, gap, warned
):
    from mome_node.jobs import evaluation

    attribute = evaluation.attribute
    monkeypatch.setattr(
        evaluation,
        "attribute",
        lambda *args, **how: replace(attribute(*args, **how), completeness_gap=gap),
    )
    found = report(request_of, install(choice={"explain": "tokens"}))
    assert found.says("Warning: the attribution misses 5 % of the score's difference") is warned


# What a package says of its score


def test_ensemble_and_thresholds_of_a_package_reach_report_and_findings(install, request_of):
    dce_only = replace(POINT, name="abbreviated", modalities=("dce",))
    found = report(request_of, install(networks=3, operating_points=(POINT, dce_only)))
    (task,) = found.findings["tasks"]
    assert task["networks"] == 3
    assert task["spread"] > 0
    assert [p["name"] for p in task["operating_points"]] == ["rule-in", "abbreviated"]
    assert found.says("mean of 3 networks, spread ")
    assert found.says("This threshold was measured with DCE, not with DCE, DWI, T2 as here")


def test_inputs_of_every_model_are_shown_once_to_who_asks(install, request_of):
    from mome_node.assembly.study import plan_study
    from mome_node.jobs.evaluation import evaluate
    from mome_node.jobs.reading import build_exam, read_study

    facts = read_study(request_of.instances)
    plan = plan_study(facts.instances, request_of.rules, now=NOW)
    paths = {i.sop_instance_uid: i.path for i in request_of.instances}
    exam = build_exam(plan, paths.__getitem__)
    shown = []
    evaluate(
        plan,
        exam,
        load_models((install("tnbc"), install("malignancy"))),
        inputs_digest="d",
        on_inputs=lambda *of: shown.append(of),
    )
    assert len(shown) == 2
    assert all(seen is exam and set(inputs.arrays) == set(Modality) for seen, inputs in shown)


# Failures: no number is ever made up


class Failing:
    """A network on a device that fails, with words that must not be told."""

    def __init__(self, error: Exception) -> None:
        self._error = error

    def __getattr__(self, name: str) -> object:
        raise self._error


def broken(model: LoadedModel, error: Exception) -> LoadedModel:
    """The model on a device that fails once it computes."""
    return replace(model, networks=(Failing(error),))


CUDA_LOST = torch.AcceleratorError("CUDA error: an illegal memory access Doe^Jane")


@pytest.mark.parametrize(
    ("raised", "ours"),
    [
        (torch.OutOfMemoryError("CUDA out of memory. Doe^Jane"), DeviceMemoryError),
        (RuntimeError("CUDA error: unspecified launch failure Doe^Jane"), DeviceLostError),
        (RuntimeError("cuDNN error: CUDNN_STATUS_EXECUTION_FAILED"), DeviceLostError),
        (RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED"), DeviceMemoryError),
        (RuntimeError("CUDA error: out of memory"), DeviceMemoryError),
        (CUDA_LOST, DeviceLostError),
        (MemoryError("Doe^Jane"), DeviceMemoryError),
        (
            RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory: Doe^Jane"),
            DeviceMemoryError,
        ),
    ],
)
def test_device_that_fails_is_told_by_type_in_our_words_and_leaves_no_result(
    install, request_of, raised, ours
):
    (model,) = load_models((install(),))
    with pytest.raises(ours) as caught:
        evaluate_study(request_of, (broken(model, raised),))
    assert not request_of.out_dir.exists()
    crossed = pickle.loads(pickle.dumps(caught.value))
    assert type(crossed) is ours
    assert (str(crossed), crossed.device) == (str(caught.value), "cpu")
    assert "Doe" not in f"{crossed!r}"
    assert crossed.__cause__ is None


def test_memory_of_the_machine_is_told_apart_from_that_of_the_gpu():
    gpu = torch.device("cuda", 0)
    for raised, device in (
        (torch.OutOfMemoryError("CUDA out of memory"), "cuda:0"),
        (RuntimeError("DefaultCPUAllocator: can't allocate memory"), "cpu"),
        (MemoryError(), "cpu"),
    ):
        with pytest.raises(DeviceMemoryError) as caught, device_errors(gpu):
            raise raised
        assert caught.value.device == device


def test_fault_of_a_program_is_no_fault_of_its_device():
    for fault in (RuntimeError("mat1 and mat2 shapes cannot be multiplied"), ValueError("x")):
        with pytest.raises(type(fault)) as caught, device_errors(torch.device("cpu")):
            raise fault
        assert caught.value is fault


def test_weights_that_are_no_numbers_give_an_error_and_no_result(install, request_of):
    (model,) = load_models((install(),))
    with torch.no_grad():
        model.networks[0].head.weight.fill_(float("nan"))
    with pytest.raises(NotANumberError):
        evaluate_study(request_of, (model,))
    assert not request_of.out_dir.exists()


def test_one_model_whose_answer_is_no_number_leaves_no_half_of_a_report(install, request_of):
    models = load_models((install("malignancy"), install("tnbc")))
    with torch.no_grad():
        models[1].networks[0].head.bias.fill_(float("inf"))
    with pytest.raises(NotANumberError):
        evaluate_study(request_of, models)
    assert not request_of.out_dir.exists()


def test_images_that_hold_no_numbers_are_not_evaluable(install, request_of, monkeypatch):
    from mome_node.jobs import evaluate_study as module

    build = module.build_exam

    def with_nan(*arguments):
        exam = build(*arguments)
        array = exam.dce[0].array.copy()
        array[3, 3, 3] = float("nan")
        return replace(exam, dce=(replace(exam.dce[0], array=array), *exam.dce[1:]))

    monkeypatch.setattr(module, "build_exam", with_nan)
    outcome = evaluate_study(request_of, load_models((install(),)))
    assert isinstance(outcome, NotEvaluated)
    assert "not finite" in outcome.reason
    assert not request_of.out_dir.exists()
