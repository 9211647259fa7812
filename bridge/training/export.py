"""The trained network as three ONNX graphs (encoder, trunk, decoder), weights stored in half precision.

Three graphs, because inference runs the convolutions a few views at a time and only tokens of all views together
(normals/multiview.py). Weights are widened to fp32 on loading, so every provider computes in what it likes best.
"""

from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import onnx
import torch
from onnx import TensorProto, helper, numpy_helper
from torch import Tensor, nn

from ..normals.network import CONFIGS, Attention, NormalNetwork, attend
from ..normals.sessions import sha256
from . import checkpoint
from .losses import concentration
from .restore import equal_parameters, label

OPSET = 18
CONFIDENCE_SCALE = math.radians(20.0)


class FusedAttention(torch.autograd.Function):
    """ONNX Runtime's own multi-head attention: its memory grows with the tokens, not with their square."""

    @staticmethod
    def forward(ctx, q: Tensor, k: Tensor, v: Tensor, heads: int) -> Tensor:
        return attend(q, k, v, heads)

    @staticmethod
    def symbolic(g, q, k, v, heads: int):
        return g.op("com.microsoft::MultiHeadAttention", q, k, v, num_heads_i=heads).setType(q.type())


class EncoderPart(nn.Module):
    """image [n, 4, s, s] -> features at 1/2, 1/4, 1/8, 1/16."""

    def __init__(self, network: NormalNetwork) -> None:
        super().__init__()
        self.encoder = network.encoder

    def forward(self, image: Tensor) -> tuple[Tensor, ...]:
        return self.encoder(image)


class TrunkPart(nn.Module):
    """Tokens of all views of one head [m, D, s/16, s/16], quaternion [m, 4], distance [m] -> tokens."""

    def __init__(self, network: NormalNetwork) -> None:
        super().__init__()
        self.trunk = network.trunk

    def forward(self, tokens: Tensor, quaternion: Tensor, distance: Tensor) -> Tensor:
        return self.trunk(tokens, quaternion, distance, tokens.shape[0])


class DecoderPart(nn.Module):
    """-> unit normal, matte 0..1, canonical coordinates, confidence 0..1 = exp(-expected angle / 20 degrees)."""

    def __init__(self, network: NormalNetwork) -> None:
        super().__init__()
        self.decoder = network.decoder

    def forward(self, image: Tensor, half: Tensor, quarter: Tensor, eighth: Tensor, tokens: Tensor):
        x = self.decoder(image, half, quarter, eighth, tokens)
        expected = 2 / concentration(x[:, 7:8])  # mean angle of AngMF for large kappa
        return x[:, :3], torch.sigmoid(x[:, 3:4]), x[:, 4:7], torch.exp(-expected / CONFIDENCE_SCALE)


def export(network: NormalNetwork, folder: Path, name: str, input_size: int, notes: dict) -> Path:
    """Write name.{encoder,trunk,decoder}.onnx and name.json into the folder; returns the record's path."""
    folder.mkdir(parents=True, exist_ok=True)
    network = network.eval().to(memory_format=torch.contiguous_format)  # type: ignore[call-overload]  # torch's types forget memory_format
    for module in network.modules():
        if isinstance(module, Attention):
            module.mix = FusedAttention.apply
    c, s, m = network.config, 64, 3
    image = torch.zeros(m, 4, s, s)
    half, quarter, eighth = (
        torch.zeros(m, channels, s // f, s // f) for channels, f in ((c.half, 2), (c.quarter, 4), (c.eighth, 8))
    )
    tokens = torch.zeros(m, c.width, s // 16, s // 16)
    quaternion, distance = torch.tensor([[1.0, 0, 0, 0]]).repeat(m, 1), torch.full((m,), 4.0)
    features = (("half", 2), ("quarter", 4), ("eighth", 8), ("tokens", 16))
    maps = ("normal", "matte", "canonical", "confidence")
    parts = {
        "encoder": (EncoderPart(network), (image,), ("image",), [n for n, _ in features]),
        "trunk": (TrunkPart(network), (tokens, quaternion, distance), ("tokens", "quaternion", "distance"), ["fused"]),
        "decoder": (
            DecoderPart(network),
            (image, half, quarter, eighth, tokens),
            ("image", "half", "quarter", "eighth", "tokens"),
            list(maps),
        ),
    }
    files = {}
    for role, (part, example, inputs, outputs) in parts.items():
        axes = {
            n: {0: "views"} if n in ("quaternion", "distance") else {0: "views", 2: f"{n}_h", 3: f"{n}_w"}
            for n in (*inputs, *outputs)
        }
        path = folder / f"{name}.{role}.onnx"
        torch.onnx.export(
            part,
            example,
            str(path),
            input_names=list(inputs),
            output_names=outputs,
            dynamic_axes=axes,
            opset_version=OPSET,
            custom_opsets={"com.microsoft": 1},
            dynamo=False,
        )
        halve(path, network)
        files[role] = {"file": path.name, "sha256": sha256(path), "bytes": path.stat().st_size}
    record = folder / f"{name}.json"
    body = {
        "name": name,
        "size": network.config.name,
        "equal": equal_parameters(network),
        "input": input_size,
        "files": files,
        "licence": "GPL-3.0-or-later",
    } | notes
    record.write_text(json.dumps(body, indent=2) + "\n", encoding="utf-8")
    return record


def halve(path: Path, network: NormalNetwork) -> None:
    """Store large fp32 initialisers as fp16 behind a Cast, under the parameters' names; ONNX Runtime folds the Cast
    when it loads the model."""
    model = onnx.load(str(path))
    label(model, network)
    graph, casts = model.graph, []
    for tensor in graph.initializer:
        if tensor.data_type != TensorProto.FLOAT:
            continue
        values = numpy_helper.to_array(tensor)
        if values.size < 256:
            continue
        name = tensor.name
        tensor.CopyFrom(numpy_helper.from_array(values.astype(np.float16), f"{name}_half"))
        casts.append(helper.make_node("Cast", [f"{name}_half"], [name], to=TensorProto.FLOAT))
    for node in reversed(casts):
        graph.node.insert(0, node)
    onnx.checker.check_model(model)
    onnx.save(model, str(path))


def export_checkpoint(path: Path, folder: Path, name: str, input_size: int, coarse: int = 0) -> Path:
    """The averaged weights of a run's checkpoint.npz."""
    note = checkpoint.note_of(path)
    network = NormalNetwork(CONFIGS[note["settings"]["size"]])
    progress = checkpoint.load_ema(path, network)
    notes = {"training": {"steps": progress.step, "views": progress.views, "hours": round(progress.elapsed / 3600, 2)}}
    return export(network, folder, name, input_size, ({"coarse": coarse} if coarse else {}) | notes)
