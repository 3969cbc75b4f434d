"""The weights that are shipped, and how they came about."""

import numpy as np
import pytest
import torch

from mome_node.demonstration.card import demonstration_statement
from mome_node.demonstration.dataset import TRAINING_PROTOCOL, build, to_exam
from mome_node.demonstration.evaluate import HELD_OUT
from mome_node.demonstration.statistics import auroc
from mome_node.demonstration.train import DEMONSTRATION, Recipe, train
from mome_node.jobs.models import ModelChoice
from mome_node.mome.card import markdown
from mome_node.mome.package import ModelPackage, verify_package
from mome_node.mome.predict import predict
from mome_node.mome.preprocess import demonstration_spec, prepare
from mome_node.mome.statement import Accepts
from mome_node.phantom.render import render_exam
from mome_node.volumes.volume import Modality

SIZES = {m: DEMONSTRATION.input_of(m).shape for m in Modality}


@pytest.fixture(scope="module")
def package():
    return ModelPackage.load(ModelChoice().path)


def test_shipped_package_verifies_on_this_machine(package):
    assert verify_package(package.path).difference < 1e-4


def test_shipped_package_is_synthetic_and_says_that_it_has_no_clinical_meaning(package):
    assert package.statement.synthetic
    card = (package.path / "docs" / "README.md").read_text()
    assert "no clinical meaning" in card
    assert "Synthetic" in card


def test_shipped_package_asks_for_nothing_but_a_bilateral_exam(package):
    said = package.statement
    assert said.applies_when == ()
    assert said.accepts == Accepts(vendors=(), field_strengths_t=None, laterality=("bilateral",))


def test_shipped_package_is_what_its_statement_makes_of_its_weights(package):
    stated = demonstration_statement(package.statement.operating_points)
    assert package.statement == stated
    assert (package.path / "docs" / "README.md").read_text(encoding="utf-8") == markdown(
        stated, package.config, files=1
    )
    (point,) = stated.operating_points
    assert point.modalities == ("dce", "dwi", "t2")
    assert point.threshold == 0.885


def test_shipped_weights_are_at_most_ten_megabytes(package):
    assert (package.path / "models" / "model.safetensors").stat().st_size <= 10_000_000


def test_shipped_package_states_the_preprocessing_that_training_uses(package):
    assert dict(package.preprocessing) == demonstration_spec().to_json()


def test_shipped_weights_tell_malignant_phantoms_apart(package, record_property):
    networks, said = package.networks(), package.statement
    scores, truth = [], []
    for seed in range(HELD_OUT + 100_000, HELD_OUT + 100_024):
        phantom = render_exam(seed, protocol=TRAINING_PROTOCOL)
        arrays = prepare(to_exam(phantom), demonstration_spec(), SIZES).arrays
        inputs = {m: torch.from_numpy(a)[None] for m, a in arrays.items()}
        scored = predict(networks, inputs, positive_class=said.positive_index, prior=said.prior)
        scores.append(scored.probability)
        truth.append(phantom.truth.malignant)
    area = auroc(np.array(scores), np.array(truth))
    record_property("auroc on 24 phantoms", round(area.value, 3))
    assert area.value >= 0.90


def test_training_is_repeatable_and_its_answers_are_numbers(tmp_path):
    data = build(tmp_path, range(4), demonstration_spec(), SIZES, workers=1)
    assert data.lesions.any(axis=(1, 2, 3)).any()
    recipe = Recipe(epochs=1, batch=4)
    first, second = (train(data, recipe).state_dict() for _ in range(2))
    assert all(torch.isfinite(weight).all() for weight in first.values())
    torch.testing.assert_close(first, second)
