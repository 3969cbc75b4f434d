"""Header facts of files that real scanners wrote: what each maker says, and where."""

import csv
import re
import warnings
from hashlib import sha256
from pathlib import Path

import pytest
from pydicom import dcmread

from mome_node.dicom.element_values import Elements
from mome_node.dicom.header import InstanceFacts
from mome_node.dicom.header_reading import read_facts
from mome_node.errors import HeaderError

DATA = Path(__file__).parents[1] / "data" / "dicom"
FILES = sorted(p.relative_to(DATA).as_posix() for p in DATA.rglob("*.dcm"))


def facts_of(folder: str) -> list[InstanceFacts]:
    """Facts of a folder's files, in the order of their names."""
    return [read_facts(path) for path in sorted((DATA / folder).rglob("*.dcm"))]


def refused() -> set[str]:
    with (DATA / "expected.csv").open(newline="") as table:
        return {row["file"] for row in csv.DictReader(table) if row["outcome"] == "refused"}


REFUSED = refused()


@pytest.mark.parametrize("file", FILES)
def test_every_file_gives_facts_or_a_header_error(file):
    try:
        facts = read_facts(DATA / file)
    except HeaderError:
        assert file.startswith(("malformed/", "transfer-syntaxes/single/", "charsets/"))
        return
    assert facts.sop_instance_uid
    assert facts.study_uid
    assert facts.series_uid


@pytest.mark.parametrize("file", [f for f in FILES if f not in REFUSED and "TC0339" not in f])
def test_every_file_that_is_received_gives_facts(file):
    assert read_facts(DATA / file).sop_class_uid


STANDARD, SIEMENS, GE, PHILIPS = "(0018,9087)", "(0019,100C)", "(0043,1039)", "(2001,1003)"
UIH_NOMINAL = "(0065,100A)"
B_VALUES = [
    ("vendor-mr/siemens-skyra-dwi", {(1000.0, SIEMENS)}),
    ("vendor-mr/siemens-skyra-dwi-implicit", {(1000.0, SIEMENS)}),
    ("vendor-mr/siemens-xa30-classic-dwi/11001-dwi", {(0.0, SIEMENS), (2500.0, SIEMENS)}),
    ("vendor-mr/siemens-xa30-classic-dwi/12001-adc", {(None, None)}),
    ("vendor-mr/siemens-xa30-classic-dwi/13001-tracew", {(2500.0, SIEMENS)}),
    ("enhanced/siemens-xa30-dwi/12-tracew", {(2500.0, STANDARD)}),
    ("vendor-mr/ge-mr750-dwi", {(0.0, GE), (1000.0, GE)}),
    ("vendor-mr/ge-mr750-dwi-implicit", {(0.0, GE), (1000.0, GE)}),
    ("vendor-mr/ge-pioneer-dwi", {(0.0, GE), (1000.0, STANDARD)}),
    ("vendor-mr/ge-hdxt-adc", {(500.0, GE)}),
    ("vendor-mr/philips-achieva2008-dwi-private-b-only", {(0.0, PHILIPS), (1000.0, PHILIPS)}),
    ("vendor-mr/philips-elition-dwi-b2", {(b, STANDARD) for b in (0.0, 2.0, 2000.0)}),
    ("vendor-mr/philips-ingenia-dwi-implicit", {(0.0, STANDARD), (1000.0, STANDARD)}),
    ("vendor-mr/philips-ingenia-dwi-un-bytes", {(0.0, STANDARD), (1000.0, STANDARD)}),
    ("vendor-mr/philips-ssh-dwi", {(None, None)}),
    ("enhanced/philips-achieva-dwi", {(0.0, STANDARD), (1300.0, STANDARD)}),
    ("vendor-mr/canon-galan-dwi", {(0.0, STANDARD), (1500.0, STANDARD)}),
    ("headers/siemens-skyra-dwi-implicit", {(0.0, SIEMENS)}),
    ("headers/siemens-xa30-dwi/10-dwi", {(0.0, STANDARD), (2500.0, STANDARD)}),
    ("headers/siemens-xa30-dwi/11-adc", {(None, None)}),
    ("headers/philips-achieva-dwi-four-b", {(b, STANDARD) for b in (0.0, 40.0, 273.0, 800.0)}),
    ("headers/canon-galan-v61-dwi", {(0.0, STANDARD), (1500.0, STANDARD)}),
    ("headers/canon-v61-dwi-520-frames", {(0.0, STANDARD), (1500.0, STANDARD)}),
    ("headers/uih-umr770-dwi-vframe", {(0.0, UIH_NOMINAL)}),
    ("vendor-mr/uih-umr770-dwi-vframe", {(1000.0, UIH_NOMINAL)}),
    # Toshiba leaves it out on b 0; facts are what an object says, so it is unknown there.
    ("vendor-mr/toshiba-galan-dwi", {(None, None), (1500.0, STANDARD)}),
]


@pytest.mark.parametrize(("folder", "expected"), B_VALUES, ids=[f for f, _ in B_VALUES])
def test_b_values_are_those_of_the_maker(folder, expected):
    told = {(f.b_value, f.b_value_source) for i in facts_of(folder) for f in i.frames}
    assert told == expected


@pytest.mark.parametrize(
    "folder",
    ["vendor-mr/philips-ingenia-dwi-implicit", "vendor-mr/philips-ingenia-dwi-un-bytes"],
)
def test_float_written_as_unknown_bytes_is_decoded_where_the_standard_element_is_missing(
    folder, tmp_path
):
    for number, path in enumerate(sorted((DATA / folder).glob("*.dcm"))):
        ds = dcmread(path)
        said = ds.DiffusionBValue
        del ds.DiffusionBValue
        ds.save_as(tmp_path / f"{number}.dcm")
        (frame,) = read_facts(tmp_path / f"{number}.dcm").frames
        assert (frame.b_value, frame.b_value_source) == (said, PHILIPS)


@pytest.mark.parametrize(
    ("folder", "nominal", "effective"),
    [
        ("headers/uih-umr770-dwi-vframe", 0.0, 1.25),
        ("vendor-mr/uih-umr770-dwi-vframe", 1000.0, 929.75),
    ],
)
def test_nominal_b_value_stands_before_the_effective_one_and_both_are_told(
    folder, nominal, effective
):
    (frame,) = (f for i in facts_of(folder) for f in i.frames)
    assert frame.b_value == nominal
    assert frame.effective_b_value == pytest.approx(effective, abs=0.01)


DIRECTIONS = [
    ("vendor-mr/siemens-xa30-classic-dwi/11001-dwi", {(0.0, "NONE"), (2500.0, "BMATRIX")}),
    ("vendor-mr/siemens-xa30-classic-dwi/13001-tracew", {(2500.0, "ISOTROPIC")}),
    ("vendor-mr/siemens-skyra-dwi-implicit", {(1000.0, "DIRECTIONAL")}),
    ("vendor-mr/ge-mr750-dwi", {(0.0, None), (1000.0, "DIRECTIONAL")}),
    ("vendor-mr/ge-pioneer-dwi", {(0.0, None), (1000.0, "DIRECTIONAL")}),
    (
        "vendor-mr/philips-achieva2008-dwi-private-b-only",
        {(0.0, None), (1000.0, "DIRECTIONAL")},
    ),
    (
        "headers/philips-achieva-dwi-four-b",
        {(0.0, None), *((b, "ISOTROPIC") for b in (40.0, 273.0, 800.0))},
    ),
    ("vendor-mr/canon-galan-dwi", {(0.0, None), (1500.0, "DIRECTIONAL")}),
    ("vendor-mr/toshiba-galan-dwi", {(None, None), (1500.0, "DIRECTIONAL")}),
    ("vendor-mr/uih-umr770-dwi-vframe", {(1000.0, "DIRECTIONAL")}),
]


@pytest.mark.parametrize(("folder", "expected"), DIRECTIONS, ids=[f for f, _ in DIRECTIONS])
def test_trace_and_single_direction_are_told_apart_by_every_maker(folder, expected):
    frames = [f for i in facts_of(folder) for f in i.frames]
    told = {(f.b_value, f.diffusion_directionality) for f in frames}
    assert {(b, None if b == 0 and d == "NONE" else d) for b, d in told} == {
        (b, None if d == "NONE" else d) for b, d in expected
    }
    for frame in frames:
        directed = frame.diffusion_directionality in ("DIRECTIONAL", "BMATRIX")
        assert (frame.diffusion_direction is not None) == directed


def test_temporal_position_of_canon_counts_directions():
    (canon,) = facts_of("headers/canon-v61-dwi-520-frames")
    assert len(canon.frames) == 520
    directions = {f.temporal_position: f.diffusion_direction for f in canon.frames}
    assert sorted(directions) == list(range(1, 14))
    assert len(set(directions.values())) == 13
    assert {f.stack_id for f in canon.frames} == {"1"}


def test_real_part_of_a_signal_is_told_in_image_type():
    (facts,) = facts_of("headers/philips-elition-perfusion")
    assert {f.image_type[-1] for f in facts.frames} == {"REAL"}


def test_enhanced_diffusion_tells_trace_from_direction():
    (trace,) = facts_of("enhanced/siemens-xa30-dwi/12-tracew")
    assert [f.diffusion_directionality for f in trace.frames] == ["ISOTROPIC"] * 39
    (philips,) = facts_of("enhanced/philips-achieva-dwi")
    kinds = {(f.b_value, f.diffusion_directionality) for f in philips.frames}
    assert kinds == {(0.0, "NONE"), (1300.0, "DIRECTIONAL")}
    assert [f.b_value for f in philips.frames].count(0.0) == 8


def test_classic_siemens_export_names_trace_adc_and_direction():
    names = {
        i.series_number: (i.sequence_name, i.image_type[3])
        for i in facts_of("vendor-mr/siemens-xa30-classic-dwi")
        if i.instance_number
    }
    assert names[12001] == ("ep_b0_2500", "ADC")
    assert names[13001] == ("ep_b2500t", "TRACEW")
    directed = facts_of("vendor-mr/siemens-xa30-classic-dwi/11001-dwi")
    assert [i.sequence_name for i in directed] == ["ep_b0", "ep_b2500#1"]


def test_ge_multiphase_names_temporal_positions_and_a_trigger_time_per_slice():
    images = facts_of("vendor-mr/ge-architect-multiphase")
    frames = [i.frames[0] for i in images]
    assert [f.temporal_position for f in frames] == [1, 1, 1, 2, 2, 2]
    assert [f.trigger_time_ms for f in frames] == [700, 300, 800, 1700, 1300, 1800]
    assert {f.acquired_s for f in frames} == {7 * 3600 + 29 * 60 + 25}
    assert {i.temporal_positions for i in images} == {10}


def test_ge_dynamic_may_tell_its_phases_by_instance_number_only():
    images = facts_of("vendor-mr/ge-mr750-dynamic-no-tpi")
    said = {
        (f.temporal_position, f.trigger_time_ms, f.acquired_s, i.acquisition_number)
        for i in images
        for f in i.frames
    }
    assert said == {(None, None, 11 * 3600 + 48 * 60 + 15, 1)}
    assert [i.instance_number for i in images] == [7, 8, 22, 23, 37, 38, 52, 53]
    assert {i.temporal_positions for i in images} == {10}


def test_philips_dynamic_runs_through_time_before_slices():
    images = sorted(
        facts_of("vendor-mr/philips-achieva-dynamic-three"), key=lambda i: i.instance_number
    )
    frames = [i.frames[0] for i in images]
    assert [f.temporal_position for f in frames] == [1, 2, 3] * 9
    assert [f.trigger_time_ms for f in frames[:3]] == [0, 2000, 4000]
    assert [f.acquired_s - frames[0].acquired_s for f in frames[:3]] == pytest.approx([0, 2, 4])
    assert frames[0].rescale_slope == pytest.approx(1.29035409)


def test_philips_label_and_control_share_position_and_time():
    images = facts_of("vendor-mr/philips-elition-dynamic-label-control")
    frames = [i.frames[0] for i in images]
    assert [f.temporal_position for f in frames] == [1, 1, 2, 2, 3, 3]
    assert len({f.image_position for f in frames}) == 1


def test_siemens_phases_are_series_that_only_their_clock_and_number_tell_apart():
    images = facts_of("vendor-mr/siemens-xa30-seven-series-dynamic")[:3]
    times = [i.frames[0].acquired_s for i in images]
    assert [t - times[0] for t in times] == pytest.approx([0, 4.8, 9.6])
    assert [i.acquisition_number for i in images] == [1, 2, 3]
    assert len({i.series_uid for i in images}) == 3
    assert len({i.series_description for i in images}) == 1
    assert {(i.temporal_positions, i.frames[0].temporal_position) for i in images} == {(7, None)}


def test_siemens_enhanced_phases_are_objects_of_one_series():
    first, second = facts_of("enhanced/siemens-xa10-dynamic")
    assert first.series_uid == second.series_uid
    assert (first.acquisition_number, second.acquisition_number) == (1, 2)
    assert (len(first.frames), len(second.frames)) == (6, 6)
    starts = [min(f.acquired_s for f in i.frames) for i in (first, second)]
    assert starts[1] - starts[0] == pytest.approx(0.5)


def test_temporal_position_index_of_enhanced_frames_is_read():
    (philips,) = facts_of("enhanced/philips-achieva-temporal")
    assert [f.temporal_position for f in philips.frames].count(4) == 8
    (acme,) = facts_of("enhanced/acme-temporal-positions")
    assert [f.temporal_position for f in acme.frames] == list(range(1, 20))
    times = [f.acquired_s for f in acme.frames]
    assert times == sorted(set(times))
    assert times[1] - times[0] == 240


def test_breast_slice_tells_its_time_by_clock_and_name_only():
    (facts,) = facts_of("breast-mr")
    assert (facts.body_part, facts.acquisition_type, facts.acquisition_number) == (
        "BREAST",
        "3D",
        9,
    )
    assert facts.scanning_sequence == ("GR",)
    assert facts.series_description.endswith("TT=190.2s")
    (frame,) = facts.frames
    assert (frame.temporal_position, frame.trigger_time_ms) == (None, None)
    assert facts.temporal_positions is None
    assert frame.acquired_s == pytest.approx(20 * 3600 + 31 * 60 + 48.1425)


@pytest.mark.parametrize("folder", ["siemens-skyra-mosaic", "uih-umr770-dwi-vframe"])
def test_several_slices_in_one_plane_are_told(folder):
    assert [f.tiled for i in facts_of(f"vendor-mr/{folder}") for f in i.frames] == [True]


def test_ordinary_planes_are_not_taken_for_mosaics():
    plain = [
        f for f in FILES if f.startswith(("vendor-mr/", "enhanced/", "breast-mr/", "headers/"))
    ]
    tiled = {f for f in plain if any(frame.tiled for frame in read_facts(DATA / f).frames)}
    assert {f.split("/")[1] for f in tiled} == {"siemens-skyra-mosaic", "uih-umr770-dwi-vframe"}


def test_file_that_a_reader_finds_empty_has_its_header_all_the_same():
    facts = read_facts(DATA / "malformed/found-in-the-field/GH1339.dcm")
    assert (facts.modality, facts.rows, facts.columns) == ("MR", 320, 320)
    assert facts.frames[0].image_position is not None


NAMES = {
    "chrArab": "قباني^لنزار",
    "chrFren": "Buc^Jérôme",
    "chrFrenMulti": "Buc^Jérôme",
    "chrGerm": "Äneas^Rüdiger",
    "chrGreek": "Διονυσιος",
    "chrH31": "Yamada^Tarou=山田^太郎=やまだ^たろう",
    "chrI2": "Hong^Gildong=洪^吉洞=홍^길동",
    "chrJapMulti": "やまだ^たろう",
    "chrX1": "Wang^XiaoDong=王^小東",
    "chrX2": "Wang^XiaoDong=王^小东",
}


@pytest.mark.parametrize(("file", "name"), NAMES.items())
def test_names_of_every_character_set_are_the_standard_s_examples(file, name):
    assert read_facts(DATA / f"charsets/{file}.dcm").patient_name == name


def test_character_set_of_an_item_holds_inside_it():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        outer = Elements(dcmread(DATA / "charsets/chrSQEncoding.dcm"))
        (item,) = outer.items("RequestedProcedureCodeSequence")
    assert outer.text("RequestingPhysician") == "Doctor^Who^^MD"
    assert item.text("PatientName") == "ﾔﾏﾀﾞ^ﾀﾛｳ=山田^太郎=やまだ^たろう"


def test_chinese_name_of_a_real_file_is_decoded():
    facts = read_facts(DATA / "malformed/found-in-the-field/GH1301.dcm")
    assert facts.patient_name == "Wang^XiaoDong=王^小东"


def test_every_file_is_the_one_that_the_manifest_names():
    with (DATA / "MANIFEST.csv").open(newline="") as table:
        named = {row["file"]: row for row in csv.DictReader(table)}
    assert sorted(named) == FILES
    for file, row in named.items():
        digest = sha256((DATA / file).read_bytes()).hexdigest()
        assert digest == row["sha256"], file
        assert (digest == row["sha256_of_source"]) == (row["altered"] == "no"), file
        assert row["source_repository"], file
        assert row["source_commit"], file
        owner = row["source_repository"].replace("/", "_")
        assert list((DATA / "LICENSES").glob(f"{owner}_*")), file


SITES = {
    "InstitutionName": r"SIT\w*|X*",
    "InstitutionAddress": r"ADD\w*|[-X]*",
    "StationName": r"STAT\w*|0*",
    "ReferringPhysicianName": r"PE\w*|[\^X]*",
    "PerformingPhysicianName": r"PE\w*|\^*",
    "OperatorsName": r"PE\w*|-*",
}


@pytest.mark.parametrize(
    "file", [f for f in FILES if not f.startswith(("malformed/", "charsets/"))]
)
def test_no_file_names_a_site_or_a_person_of_its_staff(file):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        ds = Elements(dcmread(DATA / file, stop_before_pixels=True))
    for keyword, neutral in SITES.items():
        assert re.fullmatch(neutral, ds.text(keyword)), keyword
