import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from mome_node.demonstration.evaluate import outside_mm
from mome_node.demonstration.make_package import operating_point
from mome_node.demonstration.statistics import auroc, proportion
from mome_node.phantom.exam import Lesion


def test_auroc_is_the_one_that_everybody_computes_and_lies_in_its_interval():
    rng = np.random.default_rng(1)
    positive = rng.random(200) < 0.4
    scores = np.round(rng.normal(positive.astype(float), 1.0), 1)  # with ties
    found = auroc(scores, positive)
    assert found.value == pytest.approx(roc_auc_score(positive, scores))
    assert found.low < found.value < found.high
    assert found == auroc(scores, positive)


def test_perfect_and_useless_scores_are_told():
    positive = np.array([True, True, False, False])
    assert auroc(np.array([0.9, 0.8, 0.2, 0.1]), positive).value == 1.0
    assert auroc(np.full(4, 0.5), positive).value == 0.5


def test_interval_of_a_share_is_wilsons():
    share = proportion(8, 10)
    assert share.value == 0.8
    assert share.low == pytest.approx(0.4902, abs=1e-4)
    assert share.high == pytest.approx(0.9433, abs=1e-4)


def test_no_cases_give_no_share_but_the_widest_interval():
    nothing = proportion(0, 0)
    assert np.isnan(nothing.value)
    assert (nothing.low, nothing.high) == (0.0, 1.0)


def test_threshold_parts_the_exams_as_well_as_can_be():
    scores = np.linspace(0.005, 0.995, 100)
    positive = scores > 0.4
    point = operating_point(scores, positive)
    assert point.threshold == pytest.approx(0.4, abs=0.01)
    assert point.sensitivity == 1.0
    assert point.n == 100
    assert point.prevalence == pytest.approx(positive.mean())
    assert point.specificity == 1.0


@pytest.mark.parametrize(
    ("point", "outside"),
    [((0, 0, 0), 0.0), ((9, 0, 0), 0.0), ((15, 0, 0), 5.0), ((0, 8, 0), 3.0)],
)
def test_distance_from_a_lesion_is_told_from_its_surface(point, outside):
    lesion = Lesion((0.0, 0.0, 0.0), (10.0, 5.0, 5.0), malignant=True, laterality="L")
    assert outside_mm(point, lesion) == pytest.approx(outside)
