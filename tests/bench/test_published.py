"""What the benchmark compares with is the same function."""

from __future__ import annotations

import torch

from mome_node.bench.published import published_logits
from mome_node.mome.config import TINY
from mome_node.mome.network import Mome
from mome_node.mome.reference_run import reference_inputs


def test_published_way_gives_our_logits() -> None:
    torch.manual_seed(0)
    network = Mome(TINY).eval()
    inputs = reference_inputs(TINY, 1)
    with torch.inference_mode():
        ours = network(inputs)
    torch.testing.assert_close(published_logits(network, inputs), ours, atol=1e-4, rtol=0)
