"""Weights in and out: ONNX back to PyTorch, a ViT's checkpoint into the trunk, the ablation's twin."""

from __future__ import annotations

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from bridge.normals.network import CONFIGS, NetworkConfig, NormalNetwork, attend  # noqa: E402
from bridge.training.export import export  # noqa: E402
from bridge.training.pretrained import fill_from_vit, vit_state  # noqa: E402
from bridge.training.restore import restore  # noqa: E402

VIT = NetworkConfig("vit", 8, 16, 32, 48, 3, 3, (0, 2), grid=4)


def shaken(config: NetworkConfig, seed: int) -> NormalNetwork:
    """A network none of whose parameters has a start value."""
    torch.manual_seed(seed)
    network = NormalNetwork(config)
    with torch.no_grad():
        for p in network.parameters():
            p += 0.05 * torch.randn_like(p)
    return network


def inputs(views: int, size: int = 64):
    torch.manual_seed(9)
    q = torch.nn.functional.normalize(torch.randn(views, 4), dim=1)
    return torch.rand(views, 4, size, size) - 0.5, q, torch.full((views,), 4.0)


@pytest.mark.parametrize("name", ["tiny", "tiny_alone"])
def test_shipped_weights_come_back(tmp_path, name):
    network = shaken(CONFIGS[name], 1)
    with torch.no_grad():
        network.trunk.reassemble[1].bias.copy_(network.trunk.reassemble[0].bias)  # as training leaves them
    record = export(network, tmp_path, "w", 64, {})
    again = NormalNetwork(CONFIGS[name])
    restore(record, again)
    for (key, a), b in zip(network.named_parameters(), again.parameters(), strict=True):
        assert torch.allclose(a, b, atol=2e-3, rtol=1e-3), key
    stranger = NetworkConfig("stranger", 8, 16, 32, 64, 3, 2, (0, 1))
    with pytest.raises(ValueError, match=rf"trunk\.blocks\.2.*'{name}'"):
        restore(record, NormalNetwork(stranger))


def test_the_twin_sees_every_view_alone():
    image, q, d = inputs(3)
    for name, alone in (("tiny", False), ("tiny_alone", True)):
        network = shaken(CONFIGS[name], 2).eval()
        with torch.no_grad():
            together, first = network(image, q, d, 3)[0], network(image[:1], q[:1], d[:1], 1)[0]
        change = (together - first).abs().max()
        assert change < 1e-4 if alone else change > 1e-2, change


def vit_checkpoint(config: NetworkConfig, seed: int = 3) -> dict[str, torch.Tensor]:
    """Random weights under timm's names."""
    g, D = torch.Generator().manual_seed(seed), config.width

    def draw(*shape: int) -> torch.Tensor:
        return 0.1 * torch.randn(*shape, generator=g)

    state = {"cls_token": draw(1, 1, D), "pos_embed": draw(1, 1 + config.grid**2, D)}
    state |= {"patch_embed.proj.weight": draw(D, 3, 16, 16), "patch_embed.proj.bias": draw(D)}
    for i in range(config.blocks):
        for name, shape in (("attn.qkv", (3 * D, D)), ("attn.proj", (D, D)), ("mlp.fc1", (4 * D, D))):
            state |= {f"blocks.{i}.{name}.weight": draw(*shape), f"blocks.{i}.{name}.bias": draw(shape[0])}
        state |= {f"blocks.{i}.mlp.fc2.weight": draw(D, 4 * D), f"blocks.{i}.mlp.fc2.bias": draw(D)}
        for name in ("norm1", "norm2"):
            state |= {f"blocks.{i}.{name}.weight": 1 + draw(D), f"blocks.{i}.{name}.bias": draw(D)}
    return state


def plain_vit(state: dict[str, torch.Tensor], config: NetworkConfig, image: torch.Tensor) -> torch.Tensor:
    """timm's forward pass without the class token: RGB in 0..1 -> tokens [N, L, D]."""
    f = torch.nn.functional
    x = f.conv2d((image - 0.5) / 0.5, state["patch_embed.proj.weight"], state["patch_embed.proj.bias"], stride=16)
    x = x.flatten(2).transpose(1, 2) + state["pos_embed"][:, 1:]
    D = config.width
    for i in range(config.blocks):
        s = {k.removeprefix(f"blocks.{i}."): v for k, v in state.items() if k.startswith(f"blocks.{i}.")}
        y = f.layer_norm(x, (D,), s["norm1.weight"], s["norm1.bias"], 1e-5)
        q, k, v = f.linear(y, s["attn.qkv.weight"], s["attn.qkv.bias"]).chunk(3, -1)
        x = x + f.linear(attend(q, k, v, config.heads), s["attn.proj.weight"], s["attn.proj.bias"])
        y = f.layer_norm(x, (D,), s["norm2.weight"], s["norm2.bias"], 1e-5)
        y = f.gelu(f.linear(y, s["mlp.fc1.weight"], s["mlp.fc1.bias"]))
        x = x + f.linear(y, s["mlp.fc2.weight"], s["mlp.fc2.bias"])
    return x


def test_a_vit_fills_the_trunk(tmp_path):
    """With the new branches silent the trunk is the ViT: same tokens out of its last block."""
    safetensors = pytest.importorskip("safetensors.torch")
    state = vit_checkpoint(VIT)
    safetensors.save_file(state, str(tmp_path / "vit.safetensors"))
    network = NormalNetwork(VIT).eval()
    filled = fill_from_vit(network, vit_state(tmp_path / "vit.safetensors"))
    assert "trunk.blocks.2.own.kv.weight" in filled and not any("across" in name for name in filled)
    with torch.no_grad():
        for block in network.trunk.blocks:
            block.scale[1] = 0
        for layer in (network.encoder.to_token, network.trunk.position[2]):
            layer.weight.zero_()
            layer.bias.zero_()
        seen = []
        network.trunk.blocks[-1].register_forward_hook(lambda module, given, out: seen.append(out))
        rgb, q, d = torch.rand(2, 3, 64, 64), *inputs(2)[1:]
        network(torch.cat((rgb - 0.5, torch.ones(2, 1, 64, 64)), 1), q, d, 2)
        assert torch.allclose(seen[0], plain_vit(state, VIT, rgb), atol=1e-4)


def test_other_checkpoints_are_refused(tmp_path):
    pytest.importorskip("safetensors")
    with pytest.raises(ValueError, match="--size large"):
        fill_from_vit(NormalNetwork(CONFIGS["tiny"]), {})
    with pytest.raises(ValueError, match=r"pickle|safetensors"):
        vit_state(tmp_path / "vit.pth")
    state = vit_checkpoint(VIT)
    state["patch_embed.proj.weight"] = torch.zeros(48, 3, 8, 8)
    with pytest.raises(ValueError, match="ViT-L/16"):
        fill_from_vit(NormalNetwork(VIT), state)
    state = vit_checkpoint(VIT)
    del state["blocks.1.mlp.fc1.bias"]
    with pytest.raises(ValueError, match=r"blocks\.1\.mlp\.fc1\.bias"):
        fill_from_vit(NormalNetwork(VIT), state)


def test_large_is_the_papers_backbone():
    with torch.device("meta"):
        trunk = NormalNetwork(CONFIGS["large"]).trunk
    assert (len(trunk.blocks), trunk.blocks[0].mlp[0].in_features, trunk.blocks[0].own.heads) == (24, 1024, 16)
    assert np.prod(trunk.grid.shape[2:]) == 576  # 384 pixels in patches of 16
