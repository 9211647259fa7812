"""Binary glTF: the positions, triangles and first UVs of all its meshes, without their transforms' animation."""

from __future__ import annotations

import json
import struct
from pathlib import Path

import numpy as np

from ..errors import BridgeError

_TYPES = {5121: np.uint8, 5123: np.uint16, 5125: np.uint32, 5126: np.float32}
_WIDTHS = {"SCALAR": 1, "VEC2": 2, "VEC3": 3, "VEC4": 4}


def read_glb(path: Path) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Vertices [V, 3], triangles [F, 3], uv [V, 2] (no rows where a mesh has none). Double vertices are kept.

    Raises BridgeError "template-mesh".
    """
    try:
        return _read(path.read_bytes())
    except (OSError, ValueError, KeyError, IndexError, struct.error) as error:
        sentence = f"'{path.name}' is no binary glTF that can be read: {error}."
        raise BridgeError("template-mesh", sentence, "Export the template as OBJ.") from None


def _read(data: bytes) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    magic, _, _ = struct.unpack_from("<4sII", data)
    if magic != b"glTF":
        raise ValueError("it does not begin with glTF")
    chunks, at = {}, 12
    while at < len(data):
        length, kind = struct.unpack_from("<I4s", data, at)
        chunks[kind] = data[at + 8 : at + 8 + length]
        at += 8 + length
    body, binary = json.loads(chunks[b"JSON"]), chunks[b"BIN\0"]

    def array(index: int) -> np.ndarray:
        accessor = body["accessors"][index]
        view = body["bufferViews"][accessor["bufferView"]]
        kind, width = np.dtype(_TYPES[accessor["componentType"]]), _WIDTHS[accessor["type"]]
        start = view.get("byteOffset", 0) + accessor.get("byteOffset", 0)
        stride = view.get("byteStride", kind.itemsize * width)
        rows = np.ndarray((accessor["count"], width), kind, binary, start, (stride, kind.itemsize))
        return rows.copy()

    vertices, triangles, uv, count = [], [], [], 0
    for node in body["nodes"]:
        if "mesh" not in node:
            continue
        for primitive in body["meshes"][node["mesh"]]["primitives"]:
            points = array(primitive["attributes"]["POSITION"]).astype(np.float64)
            points = points * node.get("scale", (1, 1, 1)) + node.get("translation", (0, 0, 0))
            corners = array(primitive["indices"]) if "indices" in primitive else np.arange(len(points))
            triangles.append(corners.reshape(-1, 3).astype(np.int32) + count)
            vertices.append(points)
            coordinate = primitive["attributes"].get("TEXCOORD_0")
            uv.append(array(coordinate).astype(np.float32) * [1, -1] + [0, 1] if coordinate is not None else None)
            count += len(points)
    known = [u for u in uv if u is not None]
    return (
        np.concatenate(vertices),
        np.concatenate(triangles),
        (np.concatenate(known).astype(np.float32) if len(known) == len(uv) else np.empty((0, 2), np.float32)),
    )
