"""The files of a result: .npz for the add-on, PLY for everything else, JSON for reports."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np

from ..errors import BridgeError
from ..files import atomic


def write_npz(path: Path, **arrays: np.ndarray) -> None:
    """Uncompressed, because a preview is read within a frame."""
    with atomic(path) as temporary, temporary.open("wb") as file:
        np.savez(file, **arrays)  # type: ignore[arg-type]  # arrays are no allow_pickle


def write_json(path: Path, body: dict) -> None:
    """Write a JSON file, atomically; numbers that are not finite are refused."""
    with atomic(path) as temporary:
        temporary.write_text(json.dumps(body, indent=1, ensure_ascii=False, allow_nan=False), encoding="utf-8")


def write_ply(path: Path, vertices: np.ndarray, faces: np.ndarray, **attributes: np.ndarray) -> None:
    """Binary PLY: double positions [V, 3] (a rig's world may be far from its origin), faces [F, 3], one property for
    each per-vertex attribute [V] (float32, int32 or uint8).
    """
    names = {"float32": "float", "int32": "int", "uint8": "uchar"}
    fields = [("x", "<f8"), ("y", "<f8"), ("z", "<f8")] + [(name, a.dtype.str) for name, a in attributes.items()]
    table = np.empty(len(vertices), fields)
    for axis, name in enumerate("xyz"):
        table[name] = vertices[:, axis]
    for name, values in attributes.items():
        table[name] = values
    polygons = np.empty(len(faces), [("count", "u1"), ("corners", "<i4", 3)])
    polygons["count"] = 3
    polygons["corners"] = faces
    header = ["ply", "format binary_little_endian 1.0", f"element vertex {len(vertices)}"]
    header += [f"property double {name}" for name in "xyz"]
    header += [f"property {names[a.dtype.name]} {name}" for name, a in attributes.items()]
    header += [f"element face {len(faces)}", "property list uchar int vertex_indices", "end_header", ""]
    with atomic(path) as temporary, temporary.open("wb") as file:
        file.write("\n".join(header).encode())
        file.write(table.tobytes())
        file.write(polygons.tobytes())


def read_ply(path: Path) -> tuple[np.ndarray, np.ndarray]:
    """Vertices [V, 3] float64 and triangles [F, 3] int32 of a PLY (ASCII or little-endian; polygons become fans).

    Raises BridgeError "mesh" when the file is no such thing.
    """
    try:
        return _read_ply(path.read_bytes())
    except (OSError, ValueError, IndexError, KeyError) as error:
        sentence = f"The mesh '{path}' cannot be read: {error}."
        raise BridgeError("mesh", sentence, "Give a PLY file with vertices and faces.") from None


_TYPES = {"char": "i1", "uchar": "u1", "short": "<i2", "ushort": "<u2", "int": "<i4", "uint": "<u4", "float": "<f4",
          "double": "<f8", "int8": "i1", "uint8": "u1", "int16": "<i2", "uint16": "<u2", "int32": "<i4",
          "uint32": "<u4", "float32": "<f4", "float64": "<f8"}  # fmt: skip


def _read_ply(data: bytes) -> tuple[np.ndarray, np.ndarray]:
    end = data.index(b"end_header")
    body = data.index(b"\n", end) + 1
    lines = [line.split() for line in data[:end].decode("ascii", "replace").splitlines()]
    if not lines or lines[0] != ["ply"]:
        raise ValueError("it does not begin with 'ply'")
    layout = next(line[1] for line in lines if line and line[0] == "format")
    elements: list[tuple[str, int, list[list[str]]]] = []
    for line in lines:
        if line and line[0] == "element":
            elements.append((line[1], int(line[2]), []))
        elif line and line[0] == "property":
            elements[-1][2].append(line[1:])
    if layout == "ascii":
        return _ascii_body(data[body:].decode("ascii"), elements)
    if layout != "binary_little_endian":
        raise ValueError(f"its format is {layout}")
    vertices = faces = None
    for name, count, properties in elements:
        if not any(p[0] == "list" for p in properties):
            table = np.frombuffer(data, [(p[1], _TYPES[p[0]]) for p in properties], count, body)
            body += table.nbytes
            if name == "vertex":
                vertices = np.stack([table[axis] for axis in "xyz"], 1).astype(np.float64)
        elif name == "face" and len(properties) == 1:
            _, count_type, index_type, _ = properties[0]
            record = np.dtype([("n", _TYPES[count_type]), ("i", _TYPES[index_type], 3)])
            whole = len(data) >= body + count * record.itemsize
            triangles = np.frombuffer(data, record, count if whole else 0, body if whole else 0)
            if not whole or (triangles["n"] != 3).any():
                raise ValueError("its faces are not all triangles")
            faces = triangles["i"].astype(np.int32)
            body += table.nbytes
        else:
            raise ValueError(f"its element '{name}' has lists this reader does not know")
    if vertices is None or faces is None:
        raise ValueError("it has no vertices or no faces")
    return vertices, faces


def _ascii_body(text: str, elements: list[tuple[str, int, list[list[str]]]]) -> tuple[np.ndarray, np.ndarray]:
    rows = iter(text.splitlines())
    vertices, faces = [], []
    for name, count, properties in elements:
        for _ in range(count):
            row = next(rows).split()
            if name == "vertex":
                columns = [p[-1] for p in properties]
                vertices.append([float(row[columns.index(axis)]) for axis in "xyz"])
            elif name == "face":
                corners = [int(value) for value in row[1 : 1 + int(row[0])]]
                faces += [(corners[0], corners[k], corners[k + 1]) for k in range(1, len(corners) - 1)]
    return np.array(vertices, np.float64), np.array(faces, np.int32)
