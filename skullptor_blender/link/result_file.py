"""A result's file as arrays that a mesh can be filled with at once. No bpy: it is read in a thread."""

from __future__ import annotations

import zipfile
from pathlib import Path

import numpy as np


def load(path: Path) -> dict[str, np.ndarray]:
    """The arrays of a result, checked, with `edges` and `corner_edges` beside them. Raises OSError or ValueError."""
    try:
        with np.load(path, allow_pickle=False) as file:
            arrays = {name: file[name] for name in file.files}
    except (EOFError, zipfile.BadZipFile) as error:
        raise ValueError(f"it is not whole: {error}") from None
    vertices, faces = arrays.get("vertices"), arrays.get("faces")
    if vertices is None or faces is None or vertices.ndim != 2 or faces.ndim != 2 or not len(faces):
        raise ValueError("it holds no mesh")
    if vertices.shape[1] != 3 or faces.shape[1] != 3 or not np.isfinite(vertices).all():
        raise ValueError("its mesh is damaged")
    if faces.min() < 0 or faces.max() >= len(vertices):
        raise ValueError("its faces name vertices that are not there")
    arrays["edges"], arrays["corner_edges"] = edges_of(faces)
    return arrays


def edges_of(faces: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Edges [E, 2] int32 of triangles [F, 3], and for each of their corners the edge to the next corner [3 F] int32."""
    start = faces.reshape(-1).astype(np.int64)
    end = np.roll(faces, -1, axis=1).reshape(-1).astype(np.int64)
    key = np.minimum(start, end) << 32 | np.maximum(start, end)
    unique, corner_edges = np.unique(key, return_inverse=True)
    edges = np.stack([unique >> 32, unique & 0xFFFFFFFF], axis=1).astype(np.int32)
    return edges, corner_edges.reshape(-1).astype(np.int32)
