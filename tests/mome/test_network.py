from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace
from itertools import combinations

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from mome_node.errors import ModelError, ModelInputError, NotANumberError
from mome_node.mome.config import InputSize, ModelConfig
from mome_node.mome.layers import SoftMixture
from mome_node.mome.network import Mome
from mome_node.mome.predict import predict, run_exam
from mome_node.volumes.volume import Modality

SUBSETS = [s for n in (1, 2, 3) for s in combinations(Modality, n)]
Inputs = dict[Modality, Tensor]


def names(subset: Iterable[Modality]) -> str:
    return "+".join(subset)


@pytest.mark.parametrize("subset", SUBSETS, ids=names)
def test_shared_streams_give_what_a_forward_pass_of_the_subset_gives(
    network: Mome, inputs: Inputs, subset: tuple[Modality, ...]
) -> None:
    shared = run_exam([network], inputs)[0].logits[frozenset(subset)]
    with torch.inference_mode():
        alone = network({m: inputs[m] for m in subset})[0]
    torch.testing.assert_close(shared.float(), alone, atol=1e-5, rtol=1e-5)


def test_every_subset_gives_another_answer(network: Mome, inputs: Inputs) -> None:
    answers = torch.stack(list(run_exam([network], inputs)[0].logits.values()))
    assert len(answers) == 7
    gaps = torch.cdist(answers, answers) + torch.eye(7)
    assert gaps.min() > 1e-4


@pytest.mark.parametrize("subset", SUBSETS, ids=names)
def test_prediction_contributions_add_up_to_probability_minus_prior(
    network: Mome, inputs: Inputs, subset: tuple[Modality, ...]
) -> None:
    found = predict([network], {m: inputs[m] for m in subset}, positive_class=1, prior=0.3)
    assert tuple(m for m, _ in found.contributions) == subset
    total = sum(share for _, share in found.contributions)
    assert total == pytest.approx(found.probability - 0.3, abs=1e-12)
    assert sum(found.probabilities) == pytest.approx(1.0)
    assert found.probability == found.probabilities[1]


def test_order_in_which_the_modalities_are_given_does_not_matter(
    network: Mome, inputs: Inputs
) -> None:
    backwards = dict(reversed(inputs.items()))
    first = predict([network], inputs, positive_class=1, prior=0.5)
    assert predict([network], backwards, positive_class=1, prior=0.5) == first


def test_exams_of_a_batch_do_not_see_each_other(
    network: Mome, small: ModelConfig, make_noise: Callable[..., Inputs]
) -> None:
    batch = make_noise(small, batch=3, seed=5)
    with torch.inference_mode():
        together = network(batch)
        apart = torch.cat([network({m: v[n : n + 1] for m, v in batch.items()}) for n in range(3)])
    torch.testing.assert_close(together, apart, atol=1e-5, rtol=1e-5)


def test_sparse_layers_keep_modalities_apart(network: Mome, inputs: Inputs) -> None:
    changed = {**inputs, Modality.DWI: inputs[Modality.DWI].flip(2)}
    with torch.inference_mode():
        before, after = network.streams(inputs), network.streams(changed)
    assert torch.equal(before[Modality.DCE], after[Modality.DCE])
    assert not torch.equal(before[Modality.DWI], after[Modality.DWI])


@pytest.mark.parametrize("slots", [1, 3])
def test_soft_mixture_does_what_the_paper_writes(slots: int) -> None:
    torch.manual_seed(0)
    mixture = SoftMixture(width=4, experts=3, slots=slots)
    for weight in mixture.parameters():
        torch.nn.init.normal_(weight)
    x = torch.randn(2, 5, 4)
    logits = x @ mixture.phi.reshape(4, -1)  # one column a slot, the slots of an expert together
    slot_inputs = logits.softmax(dim=1).transpose(1, 2) @ x
    answers = torch.stack(
        [
            slot_inputs[:, s] @ mixture.weight[s // slots] + mixture.bias[s // slots]
            for s in range(3 * slots)
        ],
        dim=1,
    )
    torch.testing.assert_close(mixture(x), logits.softmax(dim=2) @ answers)


def test_gradients_reach_every_voxel_and_every_weight(
    make_network: Callable[..., Mome], small: ModelConfig, inputs: Inputs
) -> None:
    network = make_network(small)
    volumes = {m: v.requires_grad_() for m, v in inputs.items()}
    network(volumes)[0, 1].backward()
    assert all(bool((v.grad != 0).any()) for v in volumes.values() if v.grad is not None)
    assert all(v.grad is not None for v in volumes.values())
    last = "soft.0.experts."
    unused = {n for n, w in network.named_parameters() if w.grad is None}
    # Of the last layer only the class token is read, so the others' last steps decide nothing.
    assert all(n.startswith((f"{last}dwi", f"{last}t2")) for n in unused), unused


def test_encode_gives_the_class_token_that_the_logits_are_read_from(
    network: Mome, inputs: Inputs, small: ModelConfig
) -> None:
    del inputs[Modality.DCE]
    with torch.inference_mode():
        class_token, tokens = network.encode(inputs)
        assert torch.equal(network.head(network.head_norm(class_token)), network(inputs))
    assert {m: x.shape[1] for m, x in tokens.items()} == {
        m: small.input_of(m).tokens for m in inputs
    }


def test_network_learns_from_scratch(small: ModelConfig) -> None:
    torch.manual_seed(1)
    network = Mome(small)
    volumes = {m: torch.randn(4, *small.input_of(m).shape) for m in Modality}
    labels = torch.tensor([0, 1, 0, 1])
    volumes[Modality.DCE][1::2, :, 4:9, 4:9, 4:9] += 6.0
    optimizer = torch.optim.AdamW(network.parameters(), lr=3e-3)
    for _ in range(25):
        optimizer.zero_grad()
        loss = F.cross_entropy(network(volumes), labels)
        loss.backward()
        optimizer.step()
        if loss.item() < 0.2:
            break
    assert loss.item() < 0.2


def test_no_modality_is_refused(network: Mome) -> None:
    with pytest.raises(ModelInputError, match="no modality"):
        network({})


def test_wrong_size_is_refused_with_both_sizes(network: Mome) -> None:
    with pytest.raises(ModelInputError, match=r"dwi .*\(1, 1, 16, 16, 16\).*1, 32, 16, 16"):
        network({Modality.DWI: torch.zeros(1, 1, 16, 16, 16)})


def test_several_exams_are_not_scored_as_one(
    network: Mome, small: ModelConfig, make_noise: Callable[..., Inputs]
) -> None:
    with pytest.raises(ModelInputError, match="one exam at a time"):
        predict([network], make_noise(small, batch=2), positive_class=1, prior=0.5)


def test_score_that_is_no_number_is_an_error(network: Mome, inputs: Inputs) -> None:
    inputs[Modality.T2][0, 0, 3, 3, 3] = float("nan")
    with pytest.raises(NotANumberError, match="NaN"):
        predict([network], inputs, positive_class=1, prior=0.5)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"heads": 5}, "5 heads do not divide"),
        ({"sparse_layers": 3}, "must be soft"),
        ({"classes": 1}, "1 classes"),
        ({"experts": 0}, "experts = 0"),
        ({"stem": (4, 0)}, "stem"),
    ],
)
def test_impossible_sizes_are_refused(
    small: ModelConfig, change: dict[str, int], said: str
) -> None:
    with pytest.raises(ModelError, match=said):
        replace(small, **change)  # type: ignore[arg-type]  # wrong on purpose


@pytest.mark.parametrize("size", [(17, 16, 16), (16, 16, 0), (16, 16)])
def test_input_size_that_makes_no_whole_tokens_is_refused(size: tuple[int, int, int]) -> None:
    with pytest.raises(ModelError, match="multiples of 16"):
        InputSize(1, size)
