"""A mesh of the scene as a file for the bridge. No bpy."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from .run_files import unwritable


def write_ply(path: Path, vertices: np.ndarray, triangles: np.ndarray) -> None:
    """Binary PLY of vertices [V, 3] and triangles [F, 3]. Raises WorkerError "output"."""
    polygons = np.empty(len(triangles), [("count", "u1"), ("corners", "<i4", 3)])
    polygons["count"], polygons["corners"] = 3, triangles
    header = ["ply", "format binary_little_endian 1.0", f"element vertex {len(vertices)}"]
    header += [f"property double {axis}" for axis in "xyz"]
    header += [f"element face {len(triangles)}", "property list uchar int vertex_indices", "end_header", ""]
    try:
        with path.open("wb") as file:
            file.write("\n".join(header).encode())
            file.write(np.ascontiguousarray(vertices, "<f8").tobytes())
            file.write(polygons.tobytes())
    except OSError as error:
        raise unwritable(path, error) from None


def write_obj(path: Path, vertices: np.ndarray, corners: np.ndarray, totals: np.ndarray, uv: np.ndarray) -> None:
    """OBJ of polygons with a UV at every corner: corners [L] vertices, totals [P] corners of each polygon, uv [L, 2].

    Raises WorkerError "output".
    """
    try:
        with path.open("w", encoding="ascii") as file:
            np.savetxt(file, vertices, "v %.9g %.9g %.9g")
            unique, index = np.unique(np.round(uv, 7), axis=0, return_inverse=True)
            np.savetxt(file, unique, "vt %.7f %.7f")
            words = [f"{v}/{t}" for v, t in zip((corners + 1).tolist(), (index.reshape(-1) + 1).tolist())]
            first = np.concatenate([[0], np.cumsum(totals)]).tolist()
            file.writelines(f"f {' '.join(words[a:b])}\n" for a, b in zip(first[:-1], first[1:]))
    except OSError as error:
        raise unwritable(path, error) from None
