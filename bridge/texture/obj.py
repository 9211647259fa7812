"""Wavefront OBJ with texture coordinates: an artist's mesh in, an unwrapped head out."""

from __future__ import annotations

from pathlib import Path
from typing import IO

import numpy as np

from ..errors import BridgeError
from ..files import atomic
from .uv_mesh import UvMesh

CURE = "Export it as OBJ with UVs, or as PLY to have UVs made."


def read_obj(path: Path) -> UvMesh:
    """Vertices, polygons as triangles, and UVs; a mesh without UVs has no rows of uv.

    Quads are split along the diagonal that MikkTSpace takes (the shorter one in the UVs), larger polygons into fans.
    Raises BridgeError "mesh".
    """
    vertices: list[list[float]] = []
    uv: list[list[float]] = []
    faces: list[list[int]] = []
    faces_uv: list[list[int]] = []
    polygons: list[int] = []
    count, number = 0, 0
    try:
        with path.open(encoding="utf-8", errors="replace") as file:
            for number, line in enumerate(file, 1):  # noqa: B007 - named in the sentence below
                words = line.split()
                if not words:
                    continue
                if words[0] == "v":
                    vertices.append([float(k) for k in words[1:4]])
                elif words[0] == "vt":
                    uv.append([float(k) for k in words[1:3]])
                elif words[0] == "f":
                    corners = [_corner(word, len(vertices), len(uv)) for word in words[1:]]
                    if len(corners) == 4 and _other_diagonal(corners, uv, vertices):
                        corners = corners[1:] + corners[:1]
                    for k in range(1, len(corners) - 1):
                        fan = corners[0], corners[k], corners[k + 1]
                        faces.append([c[0] for c in fan])
                        faces_uv.append([c[1] for c in fan])
                        polygons.append(count)
                    count += 1
    except OSError as error:
        raise BridgeError("mesh", f"The mesh '{path}' cannot be read: {error.strerror}.", CURE) from None
    except (ValueError, IndexError) as error:
        raise BridgeError("mesh", f"Line {number} of '{path.name}' cannot be read: {error}.", CURE) from None
    if not vertices or not faces:
        raise BridgeError("mesh", f"'{path.name}' has no vertices or no faces.", CURE)
    corners_uv = np.array(faces_uv, np.int32)
    if (corners_uv < 0).any():  # a face without UVs: none can be used
        uv, corners_uv = [], np.zeros((len(faces), 3), np.int32)
    return UvMesh(
        np.array(vertices, np.float64),
        np.array(faces, np.int32),
        np.array(uv, np.float64).reshape(-1, 2),
        corners_uv,
        np.array(polygons, np.int32),
    )


def write_obj(path: Path, mesh: UvMesh, texture: str) -> None:
    """The mesh as triangles with UVs, and beside it a material that shows the picture texture (a file name)."""
    material = path.with_suffix(".mtl")
    with atomic(material) as temporary:
        temporary.write_text(f"newmtl head\nKd 1 1 1\nmap_Kd {texture}\n", encoding="utf-8")
    corners = np.stack([mesh.faces, mesh.faces_uv], -1).reshape(len(mesh.faces), 6) + 1
    with atomic(path) as temporary, temporary.open("w", encoding="utf-8") as file:
        file.write(f"mtllib {material.name}\n")
        _write_rows(file, "v %.9g %.9g %.9g\n", mesh.vertices)
        _write_rows(file, "vt %.7f %.7f\n", mesh.uv)
        file.write("usemtl head\n")
        _write_rows(file, "f %d/%d %d/%d %d/%d\n", corners)


def _write_rows(file: IO[str], line: str, rows: np.ndarray) -> None:
    """Rows [n, k] as lines of text; np.savetxt takes several times as long."""
    for begin in range(0, len(rows), 10_000):
        part = rows[begin : begin + 10_000]
        file.write(line * len(part) % tuple(part.ravel().tolist()))


def _other_diagonal(corners: list[tuple[int, int]], uv: list[list[float]], vertices: list[list[float]]) -> bool:
    """Is the diagonal between the second and the fourth corner shorter, in the UVs or, if equal, in space?"""
    if min(c[1] for c in corners) >= 0:
        a, b, c, d = (np.array(uv[corner[1]]) for corner in corners)
        first, second = ((c - a) ** 2).sum(), ((d - b) ** 2).sum()
        if first != second:
            return bool(second < first)
    a, b, c, d = (np.array(vertices[corner[0]]) for corner in corners)
    return bool(((d - b) ** 2).sum() < ((c - a) ** 2).sum())


def _corner(word: str, vertices: int, uvs: int) -> tuple[int, int]:
    """Indices of the vertex and its UV, counted from 0; -1 for no UV. Negative ones count from the last."""
    parts = word.split("/")
    found = []
    for text, count in ((parts[0], vertices), (parts[1] if len(parts) > 1 else "", uvs)):
        if not text:
            found.append(-1)
            continue
        index = int(text) - 1 if int(text) > 0 else count + int(text)
        if not 0 <= index < count:
            raise IndexError(f"it names {text} of {count}")
        found.append(index)
    return found[0], found[1]
