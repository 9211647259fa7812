"""Weights back from the ONNX files that ship, so that training can go on where no checkpoint is left.

PyTorch's exporter transposes matrices, splits what is indexed and renames both; `label` gives the stored arrays the
parameters' names again (by value, while the parameters are at hand) and `restore` reads them.
"""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import onnx
import torch
from onnx import numpy_helper
from torch import nn

from ..normals.sessions import checked


def label(model: onnx.ModelProto, network: nn.Module) -> None:
    """Rename initialisers [in place] to NAME, NAME^T (transposed) or NAME#i (row i) of the parameter they hold."""
    known: dict[bytes, str] = {}
    for name, p in network.named_parameters():
        values = p.detach().cpu().numpy().astype(np.float32)
        known[values.tobytes()] = name
        if values.ndim == 2:
            known[np.ascontiguousarray(values.T).tobytes()] = f"{name}^T"
            for i, row in enumerate(values):
                known.setdefault(np.ascontiguousarray(row).tobytes(), f"{name}#{i}")
    renamed, taken = {}, {tensor.name for tensor in model.graph.initializer}
    taken |= {name for node in model.graph.node for name in node.output}
    for tensor in model.graph.initializer:
        new = known.get(numpy_helper.to_array(tensor).tobytes()) if tensor.data_type == onnx.TensorProto.FLOAT else None
        if new and new not in taken:  # parameters that are equal before training share one value
            renamed[tensor.name] = new
            tensor.name = new
            taken.add(new)
    for node in model.graph.node:
        node.input[:] = [renamed.get(name, name) for name in node.input]


def equal_parameters(network: nn.Module) -> list[list[str]]:
    """Names of parameters that hold the same values: biases whose sum alone matters stay equal for ever."""
    groups: dict[bytes, list[str]] = {}
    for name, p in network.named_parameters():
        groups.setdefault(str(tuple(p.shape)).encode() + p.detach().cpu().numpy().tobytes(), []).append(name)
    return [names for names in groups.values() if len(names) > 1]


def restore(record: Path, network: nn.Module) -> None:
    """Fill the network from the weights of a record (normals/weights/NAME.json), as exactly as half precision keeps
    them. Raises ValueError naming a parameter that they lack."""
    files = checked(record.parent, record.name)["files"]
    stored: dict[str, np.ndarray] = {}
    for entry in files.values():
        for tensor in onnx.load(str(record.parent / entry["file"])).graph.initializer:
            stored[tensor.name.removesuffix("_half")] = numpy_helper.to_array(tensor).astype(np.float32)
    body = json.loads(record.read_text(encoding="utf-8"))
    for group in body.get("equal", []):  # the exporter keeps one of them
        held = next((name for name in group if name in stored), None)
        stored |= {name: stored[held] for name in group if held}
    with torch.no_grad():
        for name, p in network.named_parameters():
            shape = tuple(p.shape)
            if name in stored:
                values = stored[name].reshape(shape)
            elif f"{name}^T" in stored:
                values = stored[f"{name}^T"].T
            elif all(f"{name}#{i}" in stored for i in range(shape[0])):
                values = np.stack([stored[f"{name}#{i}"].reshape(shape[1:]) for i in range(shape[0])])
            else:
                size = body.get("size", "another size")
                raise ValueError(f"The weights {record.name} do not hold {name}; they are of '{size}'.")
            p.copy_(torch.from_numpy(np.ascontiguousarray(values)))
