"""A binary PLY of a result, with its per-vertex attributes. NumPy only."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np

_TYPES = {"float32": "float", "int32": "int"}


def write(path: Path, arrays: Mapping[str, np.ndarray]) -> None:
    """Positions as doubles: a rig's world may be far from its origin. Appears under its name when whole."""
    vertices, faces = arrays["vertices"], np.asarray(arrays["faces"])
    attributes = {
        name: values
        for name, values in arrays.items()
        if values.shape == (len(vertices),) and values.dtype.name in _TYPES
    }
    columns = [("x", "<f8"), ("y", "<f8"), ("z", "<f8")]
    columns += [(name, values.dtype.newbyteorder("<").str) for name, values in attributes.items()]
    table = np.empty(len(vertices), columns)
    for axis, name in enumerate("xyz"):
        table[name] = vertices[:, axis]
    for name, values in attributes.items():
        table[name] = values
    polygons = np.empty(len(faces), [("count", "u1"), ("corners", "<i4", 3)])
    polygons["count"], polygons["corners"] = 3, faces
    lines = ["ply", "format binary_little_endian 1.0", f"element vertex {len(vertices)}"]
    lines += [f"property double {name}" for name in "xyz"]
    lines += [f"property {_TYPES[values.dtype.name]} {name}" for name, values in attributes.items()]
    lines += [f"element face {len(faces)}", "property list uchar int vertex_indices", "end_header", ""]
    temporary = path.with_name(path.name + ".tmp")
    try:
        with temporary.open("wb") as file:
            file.write("\n".join(lines).encode())
            file.write(table.tobytes())
            file.write(polygons.tobytes())
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
