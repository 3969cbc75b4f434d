"""The names that the authors' checkpoints give to the weights, and ours for the same."""

from __future__ import annotations

from collections.abc import Mapping

from mome_node.mome.config import ModelConfig
from mome_node.volumes.volume import Modality

LETTER = {Modality.DCE: "A", Modality.DWI: "B", Modality.T2: "C"}
"""What the authors call each modality's weights inside the encoder."""

# Our names on the left, the authors' on the right; {m} is dce, dwi or t2, {L} its letter A, B or C.
_OUTSIDE = {
    "class_token": "beit3.dce_embed.cls_token",
    "tokenizers.{m}.stem.0.weight": "beit3.{m}_embed.stem.0.weight",
    "tokenizers.{m}.stem.3.weight": "beit3.{m}_embed.stem.3.weight",
    "tokenizers.{m}.stem.6.weight": "beit3.{m}_embed.stem.6.weight",
    "positions.{m}": "beit3.encoder.embed_positions.{L}.weight",
    "head_norm.weight": "fc_norm.weight",
    "head_norm.bias": "fc_norm.bias",
    "head.weight": "head.weight",
    "head.bias": "head.bias",
}
# Each of these has a .weight and a .bias.
_EXPERT = {
    "experts.{m}.norm_attention": "self_attn_layer_norm.{L}",
    "experts.{m}.query": "self_attn.q_proj.{L}",
    "experts.{m}.key": "self_attn.k_proj.{L}",
    "experts.{m}.value": "self_attn.v_proj.{L}",
    "experts.{m}.norm_attended": "self_attn.inner_attn_ln.{L}",
    "experts.{m}.output": "self_attn.out_proj.{L}",
    "experts.{m}.norm_feed": "final_layer_norm.{L}",
    "experts.{m}.expand": "ffn.{L}.fc1",
    "experts.{m}.norm_hidden": "ffn.{L}.ffn_layernorm",
    "experts.{m}.contract": "ffn.{L}.fc2",
}
_SPARSE_ADAPTER = {
    "adapters.{m}.reduce": "MLP_Adapter.{L}.D_fc1",
    "adapters.{m}.restore": "MLP_Adapter.{L}.D_fc2",
    "adapters.{m}.norm": "MLP_Adapter.{L}.norm",
}
_SOFT_ADAPTER = {
    "adapter.reduce": "MLP_Adapter.D_fc1",
    "adapter.restore": "MLP_Adapter.D_fc2",
    "adapter.norm": "MLP_Adapter.norm",
    "adapter.mixture": "MLP_Adapter.moe.experts",
}
_PHI = {"adapter.mixture.phi": "MLP_Adapter.moe.phi"}


def authors_names(config: ModelConfig) -> dict[str, str]:
    """Map each name of ``Mome(config).state_dict()`` to its name in the authors' checkpoints."""
    names = _for_modalities(_OUTSIDE)
    for layer in range(config.layers):
        soft = layer - config.sparse_layers
        ours = f"sparse.{layer}." if soft < 0 else f"soft.{soft}."
        pairs = _for_modalities(_EXPERT | (_SPARSE_ADAPTER if soft < 0 else _SOFT_ADAPTER))
        table = {
            f"{a}.{kind}": f"{b}.{kind}" for a, b in pairs.items() for kind in ("weight", "bias")
        }
        table |= {} if soft < 0 else _PHI
        names |= {f"{ours}{a}": f"beit3.encoder.layers.{layer}.{b}" for a, b in table.items()}
    return names


def _for_modalities(table: Mapping[str, str]) -> dict[str, str]:
    return {
        ours.format(m=m): theirs.format(m=m, L=letter)
        for ours, theirs in table.items()
        for m, letter in LETTER.items()
    }
