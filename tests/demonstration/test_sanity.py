"""Regions come from what the weights learned."""

from __future__ import annotations

import pytest

from mome_node.demonstration.sanity import hit_rates, is_sane
from mome_node.jobs.models import ModelChoice
from mome_node.mome.package import ModelPackage


@pytest.mark.parametrize("method", [pytest.param("voxels", marks=pytest.mark.long), "tokens"])
def test_random_weights_hit_the_lesion_less_than_half_as_often(method, record_property):
    package = ModelPackage.load(ModelChoice().path)
    report = hit_rates(package, 4, methods=[method])
    record_property(f"hits at the {method} of 4", report[method]["trained"]["value"])
    assert report[method]["trained"]["value"] >= 0.5
    assert is_sane(report, [method])


@pytest.mark.parametrize(("trained", "random", "sane"), [(0.8, 0.3, True), (0.8, 0.4, False)])
def test_half_as_often_is_too_often(trained, random, sane):
    report = {"tokens": {"trained": {"value": trained}, "random": {"value": random}}}
    assert is_sane(report, ["tokens"]) is sane
