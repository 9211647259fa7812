"""The artist's own template: an OBJ with quads, or a PLY or GLB of triangles, in any unit of length.

Its landmarks come from a file NAME.landmarks.json beside it, from a few that a hand has set (NAME.picked.json,
wrap/picked.py), or are found by rendering it (wrap/landmark_maps.py).
"""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
from scipy.spatial import cKDTree

from ..errors import BridgeError
from ..head.landmarks import COUNT
from .obj import read_obj
from .template import PARTS, LandmarkMap, Template, edges_of

SUFFIXES = (".obj", ".ply", ".glb")
UNITS_MM = (1000.0, 100.0, 10.0, 1.0)  # metres, decimetres, centimetres, millimetres
SIZES_MM = (130.0, 2300.0)  # from a child's head to a tall body
EYE_WORDS, TEETH_WORDS = ("eye", "iris", "sclera", "cornea"), ("teeth", "tooth", "gum")


def load(path: Path) -> Template:
    """Raises BridgeError "template-missing" or "template-mesh": n-gons, holes in the connectivity, several pieces."""
    if not path.is_file():
        raise BridgeError(
            "template-missing",
            f"There is no template '{path}'.",
            "Choose hm08, hm08-body or ict, or give an OBJ, PLY or GLB file.",
        )
    suffix = path.suffix.lower()
    if suffix == ".obj":
        vertices, faces, uv, faces_uv, groups = read_obj(path)
    elif suffix == ".ply":
        from ..report.results import read_ply

        vertices, triangles = read_ply(path)
        faces, uv, faces_uv, groups = *_of_triangles(triangles), [""] * len(triangles)
    elif suffix == ".glb":
        from .glb import read_glb

        vertices, triangles, uv = read_glb(path)
        faces, _, _ = _of_triangles(triangles)
        faces_uv, groups = faces if len(uv) else np.full_like(faces, -1), [""] * len(triangles)
    else:
        raise BridgeError(
            "template-mesh", f"'{path.name}' is no template.", f"Give a file of type {', '.join(SUFFIXES)}."
        )
    vertices = vertices * _unit(path, vertices)
    part = np.zeros(len(vertices), np.uint8)
    for face, group in zip(faces, groups):
        name = _part(group, vertices[face[face >= 0]].mean(0)[0])
        part[face[face >= 0]] = PARTS.index(name)
    template = Template(path.stem, vertices, faces, uv, faces_uv, part, licence="the artist's own")
    _refuse(path, template)
    return template.with_landmarks(read_landmarks(path))


def read_landmarks(path: Path) -> LandmarkMap | None:
    """From NAME.landmarks.json beside the template, as write_landmarks leaves it; None where there is none."""
    place = path.with_suffix(".landmarks.json")
    if not place.is_file():
        return None
    try:
        body = json.loads(place.read_text(encoding="utf-8"))
        found = LandmarkMap(*(np.array(body[name]) for name in ("corners", "weights", "spread")))
    except (OSError, ValueError, KeyError) as error:
        raise BridgeError("template-landmarks", f"'{place.name}' cannot be read: {error}.", "Delete it.") from None
    if found.corners.shape != (COUNT, 3):
        raise BridgeError("template-landmarks", f"'{place.name}' does not hold {COUNT} landmarks.", "Delete it.")
    return found


def write_landmarks(path: Path, landmarks: LandmarkMap) -> None:
    """Keep a template's landmarks beside its file, for read_landmarks."""
    body = {name: getattr(landmarks, name).tolist() for name in ("corners", "weights", "spread")}
    path.with_suffix(".landmarks.json").write_text(json.dumps(body), encoding="utf-8")


def read_picked(path: Path, template: Template) -> dict[int, np.ndarray]:
    """Landmarks {number: point [3] in the template's millimetres} from NAME.picked.json beside the template's file,
    {"landmarks": {"1": [x, y, z], ...}} in the file's own units; empty where there is none."""
    place = path.with_suffix(".picked.json")
    if not place.is_file():
        return {}
    try:
        body = json.loads(place.read_text(encoding="utf-8"))["landmarks"]
        found = {int(number): np.array(point, np.float64).reshape(3) for number, point in body.items()}
    except (OSError, ValueError, KeyError, AttributeError, TypeError) as error:
        raise BridgeError("template-picks", f"'{place.name}' cannot be read: {error}.", "Delete it.") from None
    if wrong := [number for number in found if not 0 <= number < COUNT]:
        raise BridgeError(
            "template-picks", f"'{place.name}' has a landmark {wrong[0]}.", f"Give numbers from 0 to {COUNT - 1}."
        )
    if not found:
        return {}
    points, tree = np.stack(list(found.values())), cKDTree(template.vertices)
    unit = min(UNITS_MM, key=lambda unit: tree.query(points * unit)[0].mean() / unit)  # the one that meets the surface
    return {number: point * unit for number, point in found.items()}


def _of_triangles(triangles: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    faces = np.c_[triangles, np.full(len(triangles), -1)].astype(np.int32)
    return faces, np.empty((0, 2), np.float32), np.full_like(faces, -1)


def _unit(path: Path, vertices: np.ndarray) -> float:
    """Millimetres of a unit of the file, by the size of what is in it."""
    size = float(np.ptp(vertices, axis=0).max())
    for unit in UNITS_MM:
        if SIZES_MM[0] <= size * unit <= SIZES_MM[1]:
            return unit
    raise BridgeError(
        "template-unit",
        f"The template '{path.name}' is {size:.4g} units large: no head in metres, centimetres or millimetres.",
        "Scale it to the size of a head and apply the scale.",
    )


def _part(group: str, x: float) -> str:
    name = group.lower()
    if "lash" in name or "brow" in name:
        return "lashes"
    if any(word in name for word in EYE_WORDS) and "lid" not in name:
        return "eye_left" if x > 0 else "eye_right"
    if any(word in name for word in TEETH_WORDS):
        return "teeth_lower" if "low" in name else "teeth_upper"
    return "tongue" if "tongue" in name else "skin"


def _refuse(path: Path, template: Template) -> None:
    """What no registration can use, named."""
    skin = template.of_part("skin")
    faces = template.faces[skin[template.faces[:, 0]]]
    from scipy.sparse import coo_matrix
    from scipy.sparse.csgraph import connected_components

    edges = edges_of(faces)
    graph = coo_matrix((np.ones(len(edges)), edges.T), (len(skin), len(skin)))
    _, label = connected_components(graph, directed=False)
    used = np.unique(faces[faces >= 0])
    pieces = np.bincount(label[used])
    pieces = pieces[pieces > 0]
    if len(pieces) > 1 and np.sort(pieces)[-2] > 0.02 * len(used):
        raise BridgeError(
            "template-pieces",
            f"The skin of the template '{path.name}' is in {len(pieces)} pieces.",
            "Merge double vertices, and name eyes, teeth and lashes as groups of their own.",
        )
    corners = [(faces[:, k], faces[:, (k + 1) % 4]) for k in range(4)]
    directed = np.concatenate([np.stack(pair, 1)[(np.stack(pair, 1) >= 0).all(1)] for pair in corners])
    if len(np.unique(directed, axis=0)) < len(directed):
        raise BridgeError(
            "template-mesh",
            f"The template '{path.name}' has faces that look in opposite ways, or three at an edge.",
            "In Blender: Mesh > Normals > Recalculate Outside, and delete inner faces.",
        )
