from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import replace
from importlib import resources
from pathlib import Path
from typing import Any

import pytest

from mome_node.errors import PackageError
from mome_node.fitness.checks import Outcome
from mome_node.fitness.policy import PackageFitness
from mome_node.mome.bundle import parse_metadata
from mome_node.mome.digests import write_sums
from mome_node.mome.network import Mome
from mome_node.mome.package import CARD, INFERENCE, LICENSE, METADATA, ModelPackage, write_package
from mome_node.mome.statement import (
    CONDITIONS,
    LATERALITIES,
    MODALITIES,
    Accepts,
    Calibration,
    OperatingPoint,
    Statement,
)

Document = dict[str, Any]

DOCS = Path(__file__).parents[2] / "docs"
WEIGHTS = "models/model.safetensors"

POINT = OperatingPoint(
    name="high sensitivity",
    threshold=0.2,
    sensitivity=0.95,
    sensitivity_ci=(0.9, 0.98),
    specificity=0.6,
    specificity_ci=(0.5, 0.7),
    n=400,
    prevalence=0.5,
    population="phantoms",
    modalities=("dce", "t2"),
)


@pytest.fixture
def edit(package: ModelPackage) -> Callable[[Callable[[Document], object]], None]:
    """Change the metadata and state the new digests."""

    def edit_metadata(change: Callable[[Document], object]) -> None:
        path = package.path / METADATA
        document = json.loads(path.read_text())
        change(document)
        path.write_text(json.dumps(document))
        write_sums(package.path, (METADATA, INFERENCE, WEIGHTS, CARD, LICENSE))

    return edit_metadata


def test_everything_that_is_stated_survives(
    tmp_path: Path, network: Mome, statement: Statement
) -> None:
    stated = replace(
        statement,
        applies_when=CONDITIONS,
        accepts=Accepts(("siemens", "ge"), (1.5, 3.0), ("unilateral", "bilateral")),
        calibration=Calibration(1.5, "two sites", 0.25),
        operating_points=(POINT, replace(POINT, modalities=("dce",), threshold=0.3)),
    )
    write_package(tmp_path / "p", network, stated, license_text="free")
    assert ModelPackage.load(tmp_path / "p").statement == stated


ACQUISITION: Document = {
    "slice_thickness_mm": (0.8, 3.0),
    "pixel_spacing_mm": (0.4, 1.2),
    "min_slices": 40,
    "min_posts": 3,
    "first_post_s": (50.0, 120.0),
    "last_post_s": (240.0, 600.0),
    "fat_suppression": True,
}
FITNESS = PackageFitness({"implants": Outcome.REFUSE}, ("vendor-outside-package",))


def test_what_is_stated_of_acquisitions_and_checks_survives_and_stands_on_the_card(
    tmp_path: Path, network: Mome, statement: Statement
) -> None:
    stated = replace(statement, accepts=Accepts(**ACQUISITION), fitness=FITNESS)
    package = write_package(tmp_path / "p", network, stated, license_text="free")
    assert ModelPackage.load(package.path).statement == stated
    card = (package.path / CARD).read_text(encoding="utf-8")
    for line in (
        "- Slice distance: 0.8 to 3 mm",
        "- Slices: at least 40",
        "- First post-contrast phase: 50 to 120 s",
        "- Fat suppression: needed",
        "- An exam that fails implants: is not evaluable",
        "- A site may loosen: vendor-outside-package",
    ):
        assert line in card


def test_what_is_not_stated_is_not_written_so_that_older_nodes_read_the_package(
    package: ModelPackage,
) -> None:
    mome = json.loads((package.path / METADATA).read_text())["mome"]
    assert set(mome["accepts"]) == {"vendors", "field_strengths_t", "laterality"}
    assert "fitness" not in mome


@pytest.mark.parametrize(
    ("stated", "said"),
    [
        ({"outcomes": {"no-breasts-in-image": "warn"}}, "guards safety"),
        ({"outcomes": {"slice-gap": "warn"}}, "is no check; allowed: .*slice-gaps"),
        ({"outcomes": {"slice-gaps": "stop"}}, r"mome\.fitness\.outcomes\.slice-gaps"),
        ({"loosenable": ["synthetic-weights"]}, "guards safety"),
        ({"outcome": {}}, "mome.fitness"),
    ],
)
def test_a_wrong_statement_on_checks_is_refused_by_its_name(
    package: ModelPackage,
    edit: Callable[[Callable[[Document], object]], None],
    stated: Document,
    said: str,
) -> None:
    edit(lambda document: document["mome"].update(fitness=stated))
    with pytest.raises(PackageError, match=said):
        ModelPackage.load(package.path)


def test_every_optional_field_has_its_meaning_on_the_page() -> None:
    page = (DOCS / "model.md").read_text(encoding="utf-8")
    assert not [name for name in ACQUISITION if f"`accepts.{name}`" not in page]
    assert "| `fitness` |" in page


def test_package_of_format_1_is_refused_with_what_to_do(
    package: ModelPackage, edit: Callable[[Callable[[Document], object]], None]
) -> None:
    def as_before(document: Document) -> None:
        mome = document["mome"]
        for field in ("applies_when", "accepts", "operating_points", "views", "weights"):
            del mome[field]
        mome.update(format=1, calibration="no", operating_point=None)

    edit(as_before)
    with pytest.raises(PackageError, match=r"mome\.format: found 1, 2 is allowed.*build the pack"):
        ModelPackage.load(package.path)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda d: d["mome"].update(prior=1.5), "mome.prior: 1.5"),
        (lambda d: d["mome"].update(prior="half"), "mome.prior"),
        (lambda d: d["mome"].update(format=3), "mome.format"),
        (lambda d: d["mome"].pop("format"), "mome: 'format'"),
        (lambda d: d["mome"].update(synthetic=1), "mome.synthetic"),
        (lambda d: d["mome"].update(positive_class="cancer"), "mome.positive_class: 'cancer'"),
        (lambda d: d["mome"].update(classes=["a", "a"]), "mome.classes"),
        (lambda d: d["mome"].update(classes=["a", "b", "malignant"]), "mome.classes has 3"),
        (lambda d: d["mome"].update(operating_points=[{"name": "x"}]), "mome.operating_points.0"),
        (lambda d: d["mome"].update(applies_when=["pregnant"]), "mome.applies_when.0: 'pregnant'"),
        (lambda d: d["mome"]["accepts"].update(vendors=["GE"]), "mome.accepts.vendors.0: 'GE'"),
        (lambda d: d["mome"]["accepts"].update(vendors=[" "]), "mome.accepts.vendors.0: ' '"),
        (lambda d: d["mome"]["accepts"].update(vendors="ge"), "mome.accepts.vendors: 'ge'"),
        (
            lambda d: d["mome"]["accepts"].update(field_strengths_t=[3, 1.5]),
            r"mome.accepts.field_strengths_t: \[3, 1.5\]",
        ),
        (
            lambda d: d["mome"]["accepts"].update(field_strengths_t=[0, 3]),
            "mome.accepts.field_strengths_t",
        ),
        (
            lambda d: d["mome"]["accepts"].update(laterality=["left"]),
            "accepts.laterality.0: 'left'",
        ),
        (lambda d: d["mome"]["accepts"].update(laterality=[]), "mome.accepts.laterality: "),
        (lambda d: d["mome"]["accepts"].pop("vendors"), "mome.accepts: 'vendors'"),
        (lambda d: d["mome"].update(calibration="no"), "mome.calibration: 'no'"),
        (
            lambda d: d["mome"]["calibration"].update(temperature=0),
            "mome.calibration.temperature: 0",
        ),
        (
            lambda d: d["mome"]["calibration"].update(temperature=2),
            "mome.calibration.population: it is empty",
        ),
        (
            lambda d: d["mome"]["calibration"].update(prevalence=2),
            "mome.calibration.prevalence: ",
        ),
        (lambda d: d["mome"].update(views=["identity", "flip x"]), "mome.views: .*test-time views"),
        (lambda d: d["mome"].update(views=[]), "mome.views"),
        (
            lambda d: d["mome"]["preprocessing"]["dce"].update(clip=[4, 1]),
            r"mome.preprocessing.dce.clip: found \[4",
        ),
        (
            lambda d: d["mome"]["preprocessing"]["dce"].update(target_times_s=[60]),
            "mome.preprocessing.dce.target_times_s has 1 entries, 2 are needed",
        ),
        (lambda d: d["mome"].pop("weights"), "mome: 'weights'"),
        (lambda d: d["mome"].pop("preprocessing"), "mome: 'preprocessing'"),
        (lambda d: d["mome"].update(labels=1), "mome: .*'labels'"),
        (lambda d: d["mome"]["network"].update(heads=5), "mome.network: 5 heads"),
        (lambda d: d["mome"]["network"].update(width=10**9), "mome.network.width"),
        (lambda d: d["mome"]["network"]["dce"].update(size=[32, 32, 17]), "network.dce.size.2"),
        (
            lambda d: d["mome"]["reference_run"].update(logits=[[1.0]]),
            "reference_run.logits.0 has 1",
        ),
        (lambda d: d["mome"]["reference_run"].update(logits=[]), "reference_run.logits has 0"),
        (
            lambda d: d["mome"]["reference_run"].update(logits=[1.0, 2.0]),
            r"reference_run.logits.\d: \d.0 is not",
        ),
        (lambda d: d["mome"]["reference_run"].update(tolerance=9), "reference_run.tolerance"),
        (lambda d: d.pop("network_data_format"), "'network_data_format' is a required"),
        (lambda d: d.update(version="../1"), "version"),
    ],
)
def test_wrong_metadata_is_refused_by_the_fields_name(
    package: ModelPackage,
    edit: Callable[[Callable[[Document], object]], None],
    change: Callable[[Document], object],
    said: str,
) -> None:
    edit(change)
    with pytest.raises(PackageError, match=rf"configs/metadata\.json: .*{said}"):
        ModelPackage.load(package.path)


@pytest.mark.parametrize("text", ["", "{", "[]", '{"version": NaN}', "[" * 100_000, "null"])
def test_metadata_that_is_no_document_is_refused(text: str) -> None:
    with pytest.raises(PackageError, match=r"metadata\.json"):
        parse_metadata(text)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"applies_when": ("a hunch",)}, r"mome\.applies_when\.0: 'a hunch' is none of"),
        ({"applies_when": CONDITIONS[:1] * 2}, r"mome\.applies_when: one is there twice"),
        ({"views": ("flip x",)}, "test-time views are not run by this node"),
        ({"operating_points": (POINT, POINT)}, r"mome\.operating_points: one is there twice"),
        (
            {"operating_points": (POINT, replace(POINT, modalities=("adc",)))},
            r"mome\.operating_points\.1\.modalities\.0: 'adc'",
        ),
        ({"operating_points": (replace(POINT, modalities=()),)}, r"0\.modalities: it is empty"),
        (
            {"operating_points": (replace(POINT, specificity=0.9),)},
            r"mome\.operating_points\.0\.specificity: 0\.9 does not lie in its interval",
        ),
    ],
)
def test_contradictions_are_refused_before_anything_is_written(
    statement: Statement, change: Document, said: str
) -> None:
    with pytest.raises(PackageError, match=said):
        replace(statement, **change)


def test_one_threshold_may_be_stated_for_each_combination_of_modalities(
    statement: Statement,
) -> None:
    points = (POINT, replace(POINT, modalities=("dce",)))
    assert replace(statement, operating_points=points).operating_points == points


@pytest.mark.parametrize(
    ("calibration", "told"),
    [
        (Calibration(), "no"),
        (Calibration(1.3, "two sites", 0.3), "on two sites, prevalence 0.3"),
        (Calibration(1.0, "two sites", 0.25), "on two sites, prevalence 0.25"),
        (Calibration(1.3, "two sites"), "on two sites, prevalence unknown"),
    ],
)
def test_calibration_is_told_with_its_population(calibration: Calibration, told: str) -> None:
    assert calibration.told == told


@pytest.mark.parametrize(
    "stated",
    [
        {"temperature": 1.2},
        {"temperature": 1.2, "population": "  "},
        {"prevalence": 0.3},
        {"temperature": float("nan"), "population": "two sites"},
        {"temperature": -1.0, "population": "two sites"},
        {"population": "two sites", "prevalence": 1.5},
    ],
)
def test_calibration_without_a_population_or_sense_is_refused(stated: Document) -> None:
    with pytest.raises(PackageError, match=r"mome\.calibration\."):
        Calibration(**stated)


def test_schema_allows_the_words_that_the_code_knows() -> None:
    schema = json.loads(
        resources.files("mome_node.mome").joinpath("package_schema.json").read_text()
    )
    mome = schema["properties"]["mome"]["properties"]
    accepts = mome["accepts"]["properties"]
    point = schema["$defs"]["operating_point"]["properties"]
    assert tuple(mome["applies_when"]["items"]["enum"]) == CONDITIONS
    assert tuple(accepts["laterality"]["items"]["enum"]) == LATERALITIES
    assert tuple(point["modalities"]["items"]["enum"]) == MODALITIES


def test_every_field_of_a_package_has_its_meaning_on_the_page(package: ModelPackage) -> None:
    page = (DOCS / "model.md").read_text(encoding="utf-8")
    section = page.split("## The model package")[1].split("\n## ")[0]
    mome = json.loads((package.path / METADATA).read_text())["mome"]
    spec = mome["preprocessing"]
    parts = (mome, mome["accepts"], mome["calibration"], spec, spec["dce"], spec["dwi"], spec["t2"])
    missing = {
        field
        for part in parts
        for field in part
        if not re.search(rf"`(\w+\.)?{field}[`.]", section)
    }
    assert not missing


def test_card_tells_what_the_package_states(
    tmp_path: Path, folds: tuple[Mome, ...], statement: Statement
) -> None:
    stated = replace(
        statement,
        applies_when=CONDITIONS,
        accepts=Accepts(("siemens",), (1.5, 3.0)),
        calibration=Calibration(1.5, "two sites", 0.25),
        operating_points=(POINT,),
    )
    package = write_package(tmp_path / "p", folds, stated, license_text="free")
    card = (package.path / CARD).read_text(encoding="utf-8")
    point = (
        "high sensitivity: probability 0.2 with DCE + T2; sensitivity 0.950 (95 % interval 0.900 "
        "to 0.980), specificity 0.600 (95 % interval 0.500 to 0.700); n = 400, prevalence 0.500, "
        "measured on phantoms"
    )
    for line in (
        "- Applies when: histology-proven invasive cancer; exam before treatment",
        f"- Operating point: {point}",
        "- Calibrated: on two sites, prevalence 0.25; logits are divided by 1.5",
        "- Vendors: siemens",
        "- Field strength: 1.5 to 3 T",
        "- Laterality: bilateral",
        "- Weight files: 3; the result is the mean of their probabilities",
        "- Input DWI: 1 channel of 32 x 16 x 16 voxels (columns x rows x slices)",
    ):
        assert line in card.splitlines()
