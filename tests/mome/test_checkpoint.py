from __future__ import annotations

import collections
import io
import os
import pickle
import zipfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from torch import Tensor

from mome_node.errors import CheckpointError
from mome_node.mome.authors_layout import authors_names
from mome_node.mome.checkpoint import import_checkpoint, read_checkpoint
from mome_node.mome.config import LARGE, ModelConfig
from mome_node.mome.network import Mome
from mome_node.volumes.volume import Modality

State = dict[str, Any]


@pytest.fixture
def state(network: Mome, small: ModelConfig) -> State:
    """The small network's weights as the authors would name them."""
    names = authors_names(small)
    return {names[name]: weight.clone() for name, weight in network.state_dict().items()}


@pytest.fixture
def sizes(small: ModelConfig) -> dict[Modality, tuple[int, int, int]]:
    return {m: small.input_of(m).size for m in Modality}


@pytest.fixture
def load(tmp_path: Path, sizes: dict[Modality, tuple[int, int, int]]) -> Callable[[object], Mome]:
    """Save an object as a checkpoint and import it."""

    def save_and_import(checkpoint: object) -> Mome:
        path = tmp_path / "checkpoint.th"
        torch.save(checkpoint, path)
        return import_checkpoint(path, heads=3, sizes=sizes)

    return save_and_import


def wrapped(state: State) -> State:
    return {"epoch": 7, "state_dict": state, "optimizer": {"state": {0: torch.zeros(3)}}}


@pytest.mark.parametrize("prefix", ["", "module."])
@pytest.mark.parametrize("wrap", [dict, wrapped, collections.OrderedDict])
def test_imported_network_answers_like_the_one_that_was_saved(
    load: Callable[[object], Mome],
    state: State,
    network: Mome,
    inputs: dict[Modality, Tensor],
    prefix: str,
    wrap: Callable[[State], object],
) -> None:
    imported = load(wrap({prefix + name: weight for name, weight in state.items()}))
    assert imported.config == network.config
    assert not imported.training
    with torch.inference_mode():
        assert torch.equal(imported(inputs), network(inputs))


def test_the_large_variants_layers_are_read_off_the_weights(
    tmp_path: Path,
    small: ModelConfig,
    sizes: dict[Modality, tuple[int, int, int]],
    inputs: dict[Modality, Tensor],
    make_network: Callable[..., Mome],
) -> None:
    config = replace(small, layers=LARGE.layers, sparse_layers=LARGE.sparse_layers)
    assert (config.layers, config.sparse_layers) == (24, 9)
    network, names = make_network(config), authors_names(config)
    state = {names[name]: weight for name, weight in network.state_dict().items()}
    torch.save(state, tmp_path / "large.th")
    imported = import_checkpoint(tmp_path / "large.th", heads=3, sizes=sizes)
    assert imported.config == config
    with torch.inference_mode():
        assert torch.equal(imported(inputs), network(inputs))


@pytest.mark.parametrize(("width", "heads"), [(768, 12), (1024, 16)])
def test_published_widths_need_no_number_of_heads(
    tmp_path: Path,
    small: ModelConfig,
    sizes: dict[Modality, tuple[int, int, int]],
    make_network: Callable[..., Mome],
    width: int,
    heads: int,
) -> None:
    config = replace(small, width=width, heads=heads)
    names = authors_names(config)
    state = {names[name]: weight for name, weight in make_network(config).state_dict().items()}
    torch.save(state, tmp_path / "checkpoint.th")
    assert import_checkpoint(tmp_path / "checkpoint.th", sizes=sizes).config == config


@pytest.mark.parametrize("classes", [3, 4])
def test_number_of_classes_is_read_off_the_head(
    load: Callable[[object], Mome], state: State, classes: int
) -> None:
    state |= {"head.weight": torch.zeros(classes, 24), "head.bias": torch.zeros(classes)}
    assert load(state).config.classes == classes


def test_half_precision_weights_become_float32(
    load: Callable[[object], Mome], state: State
) -> None:
    imported = load({name: weight.half() for name, weight in state.items()})
    assert {weight.dtype for weight in imported.state_dict().values()} == {torch.float32}


def test_report_names_missing_unknown_and_misshaped_weights(
    load: Callable[[object], Mome], state: State
) -> None:
    del state["beit3.encoder.layers.1.self_attn.q_proj.B.bias"]
    state["beit3.mask_token"] = torch.zeros(1)
    state["fc_norm.bias"] = torch.zeros(25)
    with pytest.raises(CheckpointError) as refused:
        load(state)
    said = str(refused.value)
    assert "1 missing: beit3.encoder.layers.1.self_attn.q_proj.B.bias" in said
    assert "1 unknown: beit3.mask_token" in said
    assert "1 misshaped: fc_norm.bias is (25,) and should be (24,)" in said


def test_report_counts_what_it_has_no_room_to_name(
    load: Callable[[object], Mome], state: State
) -> None:
    gone = [name for name in state if ".fc1." in name]
    for name in gone:
        del state[name]
    last = "beit3.encoder.layers.2.ffn.A.fc1.weight"
    state[last] = torch.zeros(48, 24)  # the hidden width is read off it
    with pytest.raises(CheckpointError, match=rf"{len(gone) - 1} missing: .* and \d+ more"):
        load(state)


@pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf")])
def test_weights_that_are_no_numbers_are_refused_by_name(
    load: Callable[[object], Mome], state: State, value: float
) -> None:
    state["head.weight"][1, 3] = value
    with pytest.raises(CheckpointError, match=r"head\.weight holds NaN or infinite"):
        load(state)


def test_size_that_does_not_fit_the_position_table_is_refused_with_the_option_to_give(
    tmp_path: Path, state: State
) -> None:
    torch.save(state, tmp_path / "checkpoint.th")
    with pytest.raises(CheckpointError, match=r"384x256x128 needs 3074.*--size dce="):
        import_checkpoint(tmp_path / "checkpoint.th", heads=3)


def test_number_of_heads_is_asked_for_where_none_is_published(
    tmp_path: Path, state: State, sizes: dict[Modality, tuple[int, int, int]]
) -> None:
    torch.save(state, tmp_path / "checkpoint.th")
    with pytest.raises(CheckpointError, match=r"width of 24 .*--heads"):
        import_checkpoint(tmp_path / "checkpoint.th", sizes=sizes)


def test_heads_that_do_not_divide_the_width_are_refused(
    tmp_path: Path, state: State, sizes: dict[Modality, tuple[int, int, int]]
) -> None:
    torch.save(state, tmp_path / "checkpoint.th")
    with pytest.raises(CheckpointError, match="5 heads do not divide"):
        import_checkpoint(tmp_path / "checkpoint.th", heads=5, sizes=sizes)


def test_other_networks_checkpoint_is_told_apart(load: Callable[[object], Mome]) -> None:
    with pytest.raises(CheckpointError, match="does not hold a MOME network"):
        load({"conv1.weight": torch.zeros(3, 3)})


class Attack:
    def __init__(self, path: str) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, (self.path,)


def test_code_in_a_checkpoint_is_refused_and_not_run(
    load: Callable[[object], Mome], state: State, tmp_path: Path
) -> None:
    with pytest.raises(CheckpointError, match="something other than tensors"):
        load(wrapped(state) | {"args": Attack(str(tmp_path / "ran"))})
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize(
    "value",
    [
        "text",
        3,
        torch.zeros(3, dtype=torch.int64),
        torch.zeros(3).to_sparse(),
        torch.zeros(3, device="meta"),
    ],
    ids=["text", "number", "integers", "sparse", "meta"],
)
def test_what_is_no_weight_is_refused(
    load: Callable[[object], Mome], state: State, value: object
) -> None:
    with pytest.raises(CheckpointError, match=r"fc_norm\.bias is not a weight"):
        load(state | {"fc_norm.bias": value})


@pytest.mark.parametrize("checkpoint", [[], {}, 5, {"state_dict": {}}, {"state_dict": [1]}])
def test_checkpoint_without_state_dict_is_refused(
    load: Callable[[object], Mome], checkpoint: object
) -> None:
    with pytest.raises(CheckpointError, match="no state dict"):
        load(checkpoint)


def test_names_that_double_without_their_prefix_are_refused(
    load: Callable[[object], Mome], state: State
) -> None:
    with pytest.raises(CheckpointError, match="doubled"):
        load(state | {"module.head.bias": torch.zeros(2)})


def test_tensor_that_claims_more_than_the_file_holds_is_refused(
    load: Callable[[object], Mome], state: State
) -> None:
    state["head.weight"] = torch.zeros(1).expand(100_000, 100_000)
    with pytest.raises(CheckpointError, match="larger than the file"):
        load(state)


def test_packed_archive_is_refused_before_it_is_unpacked(tmp_path: Path, state: State) -> None:
    torch.save(state | {"zeros": torch.zeros(1_000_000)}, tmp_path / "plain.th")
    with (
        zipfile.ZipFile(tmp_path / "plain.th") as plain,
        zipfile.ZipFile(tmp_path / "bomb.th", "w", zipfile.ZIP_DEFLATED) as bomb,
    ):
        for entry in plain.infolist():
            bomb.writestr(entry.filename, plain.read(entry))
    with pytest.raises(CheckpointError, match="unpacks to more than it holds"):
        read_checkpoint(tmp_path / "bomb.th")


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04", pickle.dumps({"state_dict": {}})])
def test_file_that_is_no_archive_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "checkpoint.th"
    path.write_bytes(content)
    with pytest.raises(CheckpointError, match="not an archive"):
        read_checkpoint(path)


def test_missing_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="FileNotFoundError"):
        read_checkpoint(tmp_path / "none.th")


@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(where=st.floats(0, 1), junk=st.binary(min_size=1, max_size=40), cut=st.booleans())
def test_damaged_checkpoint_is_read_or_refused_and_nothing_else(
    tmp_path: Path, where: float, junk: bytes, cut: bool
) -> None:
    buffer = io.BytesIO()
    torch.save({"state_dict": {"a.weight": torch.ones(4, 4), "b": torch.ones(2)}}, buffer)
    data = bytearray(buffer.getvalue())
    place = int(where * len(data))
    data[place : len(data) if cut else place + len(junk)] = junk
    path = tmp_path / "damaged.th"
    path.write_bytes(bytes(data))
    try:
        weights = read_checkpoint(path)
    except CheckpointError:
        return
    assert all(isinstance(weight, Tensor) for weight in weights.values())
