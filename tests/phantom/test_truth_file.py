from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mome_node.errors import PhantomError
from mome_node.phantom.exam import Lesion, Truth
from mome_node.phantom.truth_file import read_truth, write_truth

TRUTH = Truth(
    seed=7,
    version="1",
    malignant=True,
    lesions=(Lesion((50.5, -20.0, 3.25), (6.0, 5.0, 4.0), True, "L"),),
    phase_times_s=(0.0, 90.5, 181.0),
)

number = st.floats(allow_nan=False, allow_infinity=False)
point = st.tuples(number, number, number)
truths = st.builds(
    Truth,
    seed=st.integers(0, 2**40),
    version=st.text(max_size=5),
    malignant=st.booleans(),
    lesions=st.lists(
        st.builds(Lesion, point, point, st.booleans(), st.sampled_from(["L", "R"])), max_size=3
    ).map(tuple),
    phase_times_s=st.lists(number, max_size=7).map(tuple),
)


@given(truth=truths)
def test_a_truth_comes_back_as_it_was_written(
    truth: Truth, tmp_path_factory: pytest.TempPathFactory
) -> None:
    path = tmp_path_factory.mktemp("truth") / "truth.json"
    write_truth(truth, path)
    assert read_truth(path) == truth


def test_the_file_has_the_keys_that_others_build_on(tmp_path: Path) -> None:
    write_truth(TRUTH, tmp_path / "truth.json")
    found = json.loads((tmp_path / "truth.json").read_text())
    assert set(found) == {"malignant", "lesions", "phase_times_s", "seed", "version"}
    assert found["lesions"] == [
        {
            "center_mm": [50.5, -20.0, 3.25],
            "radii_mm": [6.0, 5.0, 4.0],
            "malignant": True,
            "laterality": "L",
        }
    ]


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("malignant", "yes"),
        ("seed", 1.5),
        ("phase_times_s", ["soon"]),
        ("lesions", [{"center_mm": [0, 0]}]),
        ("version", None),
    ],
)
def test_a_wrong_value_is_refused_with_its_place(tmp_path: Path, key: str, value: Any) -> None:
    path = tmp_path / "truth.json"
    write_truth(TRUTH, path)
    path.write_text(json.dumps({**json.loads(path.read_text()), key: value}))
    with pytest.raises(PhantomError, match=key):
        read_truth(path)


@pytest.mark.parametrize("content", [b"", b"\xff\xfe", b"[1, 2", b"[]", b"{}", b"[" * 100_000])
def test_what_is_no_truth_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "truth.json"
    path.write_bytes(content)
    with pytest.raises(PhantomError):
        read_truth(path)


def test_a_missing_file_and_a_missing_folder_are_told(tmp_path: Path) -> None:
    with pytest.raises(PhantomError, match="cannot read"):
        read_truth(tmp_path / "none.json")
    with pytest.raises(PhantomError, match="cannot write"):
        write_truth(TRUTH, tmp_path / "none" / "truth.json")
