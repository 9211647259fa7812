"""Wavefront OBJ with quads, UVs and groups: what artists' templates come as and what a wrapped head goes out as."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from ..errors import BridgeError
from ..files import atomic
from .template import PARTS, Template


def read_obj(path: Path) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, list[str]]:
    """Vertices [V, 3], faces [F, 4] (-1: a triangle), uv [T, 2], faces_uv [F, 4], and the group of each face.

    Raises BridgeError "template-mesh": not readable, n-gons.
    """
    vertices, uv, faces, faces_uv, groups, group = [], [], [], [], [], ""
    try:
        for number, line in enumerate(path.read_text(encoding="utf-8", errors="replace").splitlines(), 1):
            words = line.split()
            match words[:1]:
                case ["v"]:
                    vertices.append([float(x) for x in words[1:4]])
                case ["vt"]:
                    uv.append([float(x) for x in words[1:3]])
                case ["g"] | ["o"]:
                    group = words[1] if len(words) > 1 else ""
                case ["f"]:
                    corners = [word.split("/") for word in words[1:]]
                    if not 3 <= len(corners) <= 4:
                        raise BridgeError(
                            "template-mesh",
                            f"The template '{path.name}' has a face of {len(corners)} corners (line {number}).",
                            "Make it of quads and triangles: in Blender select by sides and triangulate the rest.",
                        )
                    faces.append([_index(c[0], len(vertices)) for c in corners] + [-1] * (4 - len(corners)))
                    has_uv = all(len(c) > 1 and c[1] for c in corners)
                    faces_uv.append(
                        [_index(c[1], len(uv)) for c in corners] + [-1] * (4 - len(corners)) if has_uv else [-1] * 4
                    )
                    groups.append(group)
    except (OSError, ValueError) as error:
        raise BridgeError(
            "template-mesh", f"The template '{path}' cannot be read: {error}.", "Give an OBJ file."
        ) from None
    if not faces or not vertices:
        raise BridgeError("template-mesh", f"The template '{path.name}' has no faces.", "Give an OBJ file of a head.")
    return (
        np.array(vertices),
        np.array(faces, np.int32),
        np.array(uv, np.float32).reshape(-1, 2),
        np.array(faces_uv, np.int32),
        groups,
    )


def _index(word: str, count: int) -> int:
    number = int(word)
    return number - 1 if number > 0 else count + number


def write_obj(path: Path, template: Template, vertices: np.ndarray) -> None:
    """The template in another shape [V, 3]: its quads, UVs, and a group for each part."""
    names = [PARTS[part] for part in template.part[template.faces[:, 0]]]
    lines = [f"# {template.name} wrapped by Skullptor; template: {template.licence or 'own'}"]
    lines += [f"v {x:.9g} {y:.9g} {z:.9g}" for x, y, z in vertices.tolist()]
    lines += [f"vt {u:.6f} {v:.6f}" for u, v in template.uv.tolist()]
    group = None
    for face, corners, name in zip((template.faces + 1).tolist(), (template.faces_uv + 1).tolist(), names):
        if name != group:
            group = name
            lines.append(f"g {name}")
        pairs = [(v, t) for v, t in zip(face, corners) if v > 0]
        lines.append("f " + " ".join(f"{v}/{t}" if t > 0 else str(v) for v, t in pairs))
    with atomic(path) as temporary:
        temporary.write_text("\n".join(lines) + "\n", encoding="utf-8")
