from __future__ import annotations

import zipfile
from collections.abc import Callable
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from torch import Tensor

from mome_node.errors import ModelInputError
from mome_node.mome.arrays import predict_arrays, read_arrays
from mome_node.mome.config import ModelConfig
from mome_node.mome.network import Mome
from mome_node.volumes.volume import Modality

SUBSETS = [s for n in (1, 2, 3) for s in combinations(Modality, n)]
Save = Callable[..., Path]


@pytest.fixture
def arrays(inputs: dict[Modality, Tensor]) -> dict[str, Any]:
    return {m.value: v[0].numpy() for m, v in inputs.items()}


@pytest.fixture
def save(tmp_path: Path) -> Save:
    def save_npz(**arrays: Any) -> Path:
        path = tmp_path / "in.npz"
        np.savez_compressed(path, **arrays)
        return path

    return save_npz


@pytest.mark.parametrize("subset", SUBSETS, ids="+".join)
def test_scores_of_any_subset_are_written_as_promised(
    network: Mome,
    arrays: dict[str, Any],
    inputs: dict[Modality, Tensor],
    save: Save,
    tmp_path: Path,
    subset: tuple[Modality, ...],
) -> None:
    source = save(**{m: arrays[m] for m in subset})
    predict_arrays([network], source, tmp_path / "out.npz", positive_class=1, prior=0.5)
    with np.load(tmp_path / "out.npz", allow_pickle=False) as out:
        scores = {name: out[name] for name in out.files}
    with torch.inference_mode():
        logits = network({m: inputs[m] for m in subset})[0]
    np.testing.assert_allclose(scores["logits"], logits, atol=1e-5)
    np.testing.assert_allclose(scores["probabilities"], logits.softmax(0), atol=1e-5)
    assert scores["probability"] == scores["probabilities"][1]
    shares = {name for name in scores if name.startswith("contribution_")}
    assert shares == {f"contribution_{m}" for m in subset}
    total = sum(scores[name] for name in shares)
    assert total == pytest.approx(scores["probability"] - 0.5, abs=1e-12)
    assert not list(tmp_path.glob(".*"))


@pytest.mark.parametrize("dtype", [np.float16, np.float64, ">f4"])
def test_other_floating_types_are_taken(
    small: ModelConfig, arrays: dict[str, Any], save: Save, dtype: Any
) -> None:
    found = read_arrays(save(dwi=np.asfortranarray(arrays["dwi"].astype(dtype))), small)
    assert found[Modality.DWI].dtype is torch.float32
    np.testing.assert_allclose(found[Modality.DWI][0], arrays["dwi"], atol=2e-3)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda a: {"DWI": a["dwi"]}, "'DWI'.*only dce, dwi and t2"),
        (lambda a: {"dwi": a["dwi"][0]}, r"dwi has the shape \(32, 16, 16\).*\(1, 32, 16, 16\)"),
        (lambda a: {"dwi": a["dwi"].astype(np.int16)}, "dwi is int16"),
        (lambda a: {"dwi": a["dwi"].astype(complex)}, "dwi is complex128"),
        (lambda a: {"dwi": np.full_like(a["dwi"], np.nan)}, "dwi holds NaN or infinite"),
        (lambda a: {"dwi": np.full(a["dwi"].shape, 1e300)}, "dwi holds NaN or infinite"),
        (lambda a: {"dwi": np.array([{}])}, "dwi is object"),
        (lambda a: {}, "holds 0 arrays"),
    ],
)
def test_what_the_model_cannot_take_is_refused_by_name(
    small: ModelConfig,
    arrays: dict[str, Any],
    save: Save,
    change: Callable[[dict[str, Any]], dict[str, Any]],
    said: str,
) -> None:
    with pytest.raises(ModelInputError, match=said):
        read_arrays(save(**change(arrays)), small)


def test_array_that_is_there_twice_is_refused(
    small: ModelConfig, arrays: dict[str, Any], save: Save
) -> None:
    path = save(dwi=arrays["dwi"])
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr("dwi", archive.read("dwi.npy"))
    with pytest.raises(ModelInputError, match="holds 2 arrays"):
        read_arrays(path, small)


def test_huge_array_is_refused_before_it_is_read(small: ModelConfig, tmp_path: Path) -> None:
    header = b"{'descr': '<f4', 'fortran_order': False, 'shape': (1, 90000, 90000, 90000)}\n"
    with zipfile.ZipFile(tmp_path / "in.npz", "w") as archive:
        magic = b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little")
        archive.writestr("dwi.npy", magic + header)
    with pytest.raises(ModelInputError, match="shape"):
        read_arrays(tmp_path / "in.npz", small)


@pytest.mark.parametrize("content", [b"", b"\x93NUMPY", b"PK\x03\x04 and so on"])
def test_file_that_is_no_archive_is_refused(
    small: ModelConfig, tmp_path: Path, content: bytes
) -> None:
    (tmp_path / "in.npz").write_bytes(content)
    with pytest.raises(ModelInputError, match=r"no readable \.npz"):
        read_arrays(tmp_path / "in.npz", small)


def test_missing_file_is_refused(small: ModelConfig, tmp_path: Path) -> None:
    with pytest.raises(ModelInputError, match="FileNotFoundError"):
        read_arrays(tmp_path / "none.npz", small)


@settings(
    max_examples=80, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(where=st.floats(0, 1), junk=st.binary(min_size=1, max_size=30), cut=st.booleans())
def test_damaged_archive_is_read_or_refused_and_nothing_else(
    small: ModelConfig,
    arrays: dict[str, Any],
    tmp_path: Path,
    where: float,
    junk: bytes,
    cut: bool,
) -> None:
    path = tmp_path / "damaged.npz"
    np.savez_compressed(path, dwi=np.round(arrays["dwi"]))
    data = bytearray(path.read_bytes())
    # Most bytes are voxels; the interesting ones lie at both ends.
    place = int(where * 600) % len(data) if junk[0] % 2 else len(data) - int(where * 150) - 1
    data[place : len(data) if cut else place + len(junk)] = junk
    path.write_bytes(bytes(data))
    try:
        found = read_arrays(path, small)
    except ModelInputError:
        return
    assert set(found) == {Modality.DWI}
