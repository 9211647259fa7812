"""A ViT's weights from timm's checkpoint into the trunk: the paper's backbone is a trained ViT-L/16 (section 3.1).

Nothing is fetched: the user brings the .safetensors of a `vit_*_patch16_*` model, whose names are read here.
"""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor

from ..normals.network import PATCH, Block, NormalNetwork


def vit_state(path: Path) -> dict[str, Tensor]:
    """The arrays of a .safetensors file. Raises ValueError for any other kind: pickles can run code."""
    from safetensors.torch import load_file

    if path.suffix != ".safetensors":
        raise ValueError(f"{path.name} is not a .safetensors file; download timm's checkpoint in that form.")
    return load_file(str(path))


def fill_from_vit(network: NormalNetwork, state: dict[str, Tensor]) -> set[str]:
    """Copy patch embedding, positions and every block's self-attention and MLP; returns the names filled.

    What a ViT has no counterpart for (attention across views, the convolutions, the decoder) keeps its start. The
    branches that come trained count fully from the first step, the new one begins small.
    """
    c, filled = network.config, {}
    if not c.grid:
        raise ValueError(f"The configuration '{c.name}' takes no pre-trained ViT; choose --size large.")
    try:
        patch = state["patch_embed.proj.weight"].float()
        if patch.shape != (c.width, 3, PATCH, PATCH):
            raise ValueError(
                f"The checkpoint's patches are {tuple(patch.shape)}, not {(c.width, 3, PATCH, PATCH)}; use a ViT-L/16."
            )
        # timm's pixels are (x - 0.5) / 0.5, ours x - 0.5; the fourth channel is the inside mask
        filled["encoder.patch.weight"] = torch.cat((2 * patch, torch.zeros_like(patch[:, :1])), 1)
        filled["encoder.patch.bias"] = state["patch_embed.proj.bias"]
        position = state["pos_embed"].float()[0]
        position = position[len(position) - c.grid**2 :]  # a class token may come first
        filled["trunk.grid"] = position.t().reshape(1, c.width, c.grid, c.grid)
        for i in range(c.blocks):
            theirs, ours = f"blocks.{i}.", f"trunk.blocks.{i}."
            for kind in ("weight", "bias"):
                qkv = state[f"{theirs}attn.qkv.{kind}"]
                filled[f"{ours}own.q.{kind}"], filled[f"{ours}own.kv.{kind}"] = qkv[: c.width], qkv[c.width :]
                for a, b in (("norm1", "norm1"), ("norm2", "norm3"), ("attn.proj", "own.out")):
                    filled[f"{ours}{b}.{kind}"] = state[f"{theirs}{a}.{kind}"]
                for a, b in (("mlp.fc1", "mlp.0"), ("mlp.fc2", "mlp.2")):
                    filled[f"{ours}{b}.{kind}"] = state[f"{theirs}{a}.{kind}"]
            block = network.trunk.blocks[i]
            assert isinstance(block, Block)
            scale = block.scale.detach().clone()
            scale[0], scale[2] = 1.0, 1.0
            filled[f"{ours}scale"] = scale
    except KeyError as error:
        raise ValueError(f"The checkpoint has no {error}; use timm's vit_large_patch16_384.") from error
    own = dict(network.named_parameters())
    with torch.no_grad():
        for name, value in filled.items():
            if own[name].shape != value.shape:
                raise ValueError(f"The checkpoint's {name} is {tuple(value.shape)}, not {tuple(own[name].shape)}.")
            own[name].copy_(value.float())
    return set(filled)
