"""Integrated gradients add up to the score's change and keep their place."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from mome_node.dicom.geometry import Grid
from mome_node.errors import ModelInputError, NotANumberError
from mome_node.mome.config import InputSize, ModelConfig
from mome_node.mome.network import Mome
from mome_node.mome.voxel_gradients import integrated_gradients
from mome_node.volumes.volume import Modality

SHAPE = (16, 12, 8)
GRID = Grid(SHAPE, np.diag([3.6, 3.6, 5.0, 1.0]))


class Linear(nn.Module):
    """Logits that look at one box of the DCE and at the mean of T2."""

    def __init__(self, classes: int = 2) -> None:
        super().__init__()
        weight = torch.zeros(classes, 2, *SHAPE)
        weight[1, :, 9:12, 4:7, 2:4] = 1.0
        weight[0, 0, 9:12, 4:7, 2:4] = -0.5
        self.weight = nn.Parameter(weight)
        self.largest_batch = 0

    def forward(self, inputs) -> Tensor:
        dce = inputs[Modality.DCE]
        self.largest_batch = max(self.largest_batch, len(dce))
        logits = torch.einsum("bcxyz,kcxyz->bk", dce, self.weight)
        if Modality.T2 in inputs:
            logits = logits + inputs[Modality.T2].mean(dim=(1, 2, 3, 4))[:, None] * torch.tensor(
                [0.0, 3.0]
            )
        return logits


class Curved(nn.Module):
    """A smooth network without norms."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(3)
        self.conv = nn.Conv3d(2, 4, 3, padding=1)
        self.head = nn.Linear(4, 3)

    def forward(self, inputs) -> Tensor:
        return self.head(torch.tanh(self.conv(inputs[Modality.DCE])).mean(dim=(2, 3, 4)) * 20)


class Normed(nn.Module):
    """An instance norm first, as in the tokenizer: the output hardly depends on the scale."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(4)
        self.body = nn.Sequential(
            nn.Conv3d(2, 8, 3, padding=1, bias=False), nn.InstanceNorm3d(8), nn.ReLU()
        )
        self.head = nn.Linear(8, 2)

    def forward(self, inputs) -> Tensor:
        return self.head(self.body(inputs[Modality.DCE]).amax(dim=(2, 3, 4)))


def exam(seed=0, channels=2):
    generator = torch.Generator().manual_seed(seed)
    return {Modality.DCE: torch.randn(1, channels, *SHAPE, generator=generator)}


def explained(network, inputs, **options):
    options = {"positive_class": 1, "dce_grid": GRID, **options}
    return integrated_gradients(network.eval(), inputs, **options)


def test_attribution_of_a_linear_score_is_weight_times_voxel_summed_over_channels():
    inputs, network = exam(), Linear()
    result = explained(network, inputs)
    weight = (network.weight[1] - network.weight[0]).detach()
    expected = (weight * inputs[Modality.DCE][0]).sum(dim=0)
    np.testing.assert_allclose(result.array, expected.numpy(), rtol=0.01, atol=1e-5)
    assert result.array.dtype == np.float32
    assert result.grid is GRID


def test_attribution_lies_where_the_network_looks():
    result = explained(Linear(), exam())
    box = np.zeros(SHAPE, dtype=bool)
    box[9:12, 4:7, 2:4] = True
    assert (result.array[~box] == 0).all()
    assert (result.array[box] != 0).all()


@pytest.mark.parametrize("network", [Linear(), Curved(), Normed()])
def test_attributions_add_up_to_the_change_of_the_score(network):
    assert explained(network, exam()).completeness_gap < 0.01


def test_completeness_gap_is_that_of_the_positive_class_log_odds():
    network, inputs = Curved().eval(), exam()
    with torch.no_grad():
        both = torch.cat([torch.zeros_like(inputs[Modality.DCE]), inputs[Modality.DCE]])
        odds = torch.logit(network({Modality.DCE: both}).softmax(dim=1)[:, 2].double())
    result = explained(network, inputs, positive_class=2)
    change = float(odds[1] - odds[0])
    assert float(result.array.sum(dtype=np.float64)) == pytest.approx(change, rel=0.01)


class Stepped(nn.Module):
    """The score jumps in a stretch of the path that no fixed rule would look at."""

    def __init__(self, place: float) -> None:
        super().__init__()
        self.place = place

    def forward(self, inputs) -> Tensor:
        level = inputs[Modality.DCE].abs().mean(dim=(1, 2, 3, 4)).clamp_min(1e-30)
        logit = 3.0 * torch.tanh((level / self.place).log() * 20)
        return torch.stack([torch.zeros_like(logit), logit], dim=1)


@pytest.mark.parametrize("place", [1e-6, 3e-4, 0.02, 0.4])
def test_jump_of_the_score_is_found_wherever_it_lies_on_the_path(place):
    assert explained(Stepped(place), exam()).completeness_gap < 0.05


def test_other_modalities_are_held():
    inputs = exam()
    alone = explained(Linear(), inputs)
    with_t2 = explained(Linear(), {**inputs, Modality.T2: torch.ones(1, 1, 8, 8, 8)})
    np.testing.assert_allclose(with_t2.array, alone.array, rtol=1e-3, atol=1e-5)
    assert with_t2.completeness_gap < 0.01


def test_no_more_than_one_batch_is_held_at_a_time():
    network = Linear()
    explained(network, exam(), steps=16, batch=3)
    assert network.largest_batch == 3


def test_batch_size_does_not_change_the_map():
    inputs, network = exam(), Curved()
    one, many = (explained(network, inputs, batch=b).array for b in (1, 32))
    np.testing.assert_allclose(one, many, atol=1e-6)


def test_explaining_twice_gives_the_same_map():
    first, second = (explained(Curved(), exam()).array for _ in range(2))
    np.testing.assert_array_equal(first, second)


def test_parameters_and_inputs_keep_no_gradient():
    network, inputs = Linear(), exam()
    explained(network, inputs)
    assert network.weight.grad is None
    assert inputs[Modality.DCE].grad is None
    assert not inputs[Modality.DCE].requires_grad


def test_too_few_steps_are_refused():
    with pytest.raises(ValueError, match="steps = 5"):
        explained(Linear(), exam(), steps=5)


def test_all_steps_are_taken_and_no_more():
    class Counting(Linear):
        gradients = 0

        def forward(self, inputs) -> Tensor:
            if torch.is_grad_enabled():
                self.gradients += len(inputs[Modality.DCE])
            return super().forward(inputs)

    network = Counting()
    explained(network, exam(), steps=21, batch=4)
    assert network.gradients == 21


def test_exam_without_dce_is_refused():
    with pytest.raises(ModelInputError, match="DCE"):
        explained(Linear(), {Modality.T2: torch.ones(1, 1, 8, 8, 8)})


def test_dce_on_another_grid_is_refused():
    with pytest.raises(ModelInputError, match="grid"):
        explained(Linear(), exam(), dce_grid=Grid((4, 4, 4), np.eye(4)))


def test_output_that_is_not_finite_is_refused():
    network = Linear()
    with torch.no_grad():
        network.weight[1, 0, 0, 0, 0] = float("nan")
    with pytest.raises(NotANumberError, match="NaN"):
        explained(network, exam())


def test_network_in_training_mode_is_refused():
    with pytest.raises(ValueError, match="training mode"):
        integrated_gradients(Linear().train(), exam(), positive_class=1, dce_grid=GRID)


def test_streams_held_by_the_real_network_give_what_its_plain_call_gives():
    config = ModelConfig(
        width=16,
        heads=2,
        ffn=32,
        layers=3,
        sparse_layers=2,
        adapter=4,
        experts=4,
        stem=(4, 8),
        dce=InputSize(2, (32, 32, 16)),
        dwi=InputSize(1, (16, 16, 16)),
        t2=InputSize(1, (32, 32, 16)),
    )
    torch.manual_seed(5)
    network = Mome(config).eval()
    inputs = {m: torch.randn(1, *config.input_of(m).shape) for m in Modality}
    grid = Grid((32, 32, 16), np.eye(4))

    class Plain(nn.Module):
        def forward(self, given) -> Tensor:
            return network(given)

    held = explained(network, inputs, dce_grid=grid, steps=12, batch=2)
    plain = explained(Plain(), inputs, dce_grid=grid, steps=12, batch=2)
    np.testing.assert_allclose(held.array, plain.array, rtol=1e-3, atol=1e-5)
