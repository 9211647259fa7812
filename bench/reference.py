"""The published remesher (Profactor/continuous-remeshing, MIT) from a checkout, its own code unmodified.

torch_scatter, which it imports and which needs a compiler, is replaced by the same operations of PyTorch.
"""

from __future__ import annotations

import importlib
import sys
import types
from pathlib import Path

import torch


def _scatter(reduce: str):
    def scatter(src: torch.Tensor, index: torch.Tensor, dim: int = 0, out: torch.Tensor | None = None):
        if out is None:
            raise NotImplementedError("only the calls that give out= are replaced")
        index = index.expand_as(src) if index.dim() == src.dim() else index[:, None].expand_as(src)
        out.scatter_reduce_(dim, index, src, reduce, include_self=reduce != "mean")
        return out, None

    return scatter


def optimizer_class(folder: Path) -> type:
    """MeshOptimizer of the checkout."""
    shim = types.ModuleType("torch_scatter")
    vars(shim).update(scatter_mean=_scatter("mean"), scatter_max=_scatter("amax"))
    sys.modules["torch_scatter"] = shim
    sys.path.insert(0, str(folder.resolve()))
    try:
        return importlib.import_module("core.opt").MeshOptimizer
    finally:
        sys.path.pop(0)
