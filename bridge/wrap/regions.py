"""Which part of a face each template vertex belongs to, told by the landmarks: so that any template has regions."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components
from scipy.spatial import cKDTree

from ..capture.cameras import Camera
from ..errors import BridgeError
from ..head.landmarks import CHIN, EYE_LEFT, EYE_RIGHT, FOREHEAD, LIPS_INNER, LIPS_OUTER, NOSE_TIP, OVAL
from ..mesh.normals import vertex_normals
from ..model import Template
from ..model.template import edges_of
from ..raster import make_rasteriser

EYE_MM, LIPS_MM = 9.0, 5.0  # how far around their lines the regions of lids and lips reach, for a head of usual size
USUAL_HEIGHT_MM = 118.0  # from the chin to the top of the face mesh
DIRECTIONS, LEAST_SEEN, PICTURE = 40, 4, 512  # of so many directions so many must see a vertex: nostrils show in one
TOUCHING_MM = 2.5  # lips of a closed mouth
OPPOSITE = -0.2  # cosine of normals that look at each other


@dataclass(frozen=True, eq=False)
class Regions:
    """Marks [V] bool of a template's vertices."""

    skin: np.ndarray
    exposed: np.ndarray  # seen from some side, mouth closed: not the mouth's inside or the eye sockets
    face: np.ndarray  # inside the oval of the face mesh, exposed
    lids: np.ndarray
    lips: np.ndarray
    neck: np.ndarray
    ears: np.ndarray


def find_regions(template: Template) -> Regions:
    """Regions of a template with landmarks; its neutral shape decides."""
    vertices = template.vertices
    assert template.landmarks is not None, "regions are found by landmarks"
    marks = template.landmarks.points(vertices)
    size = np.linalg.norm(marks[FOREHEAD] - marks[CHIN]) / USUAL_HEIGHT_MM
    skin = template.of_part("skin")
    seen = skin & exposed(template)
    polygon = marks[list(OVAL), :2].astype(np.float32)
    middle = (marks[FOREHEAD] + marks[CHIN]) / 2
    before = vertices[:, 2] > marks[list(OVAL), 2].min() - 5 * size
    candidates = np.flatnonzero(seen & before)
    face = np.zeros(len(vertices), bool)
    face[candidates] = [
        cv2.pointPolygonTest(polygon, (float(x), float(y)), False) >= 0 for x, y in vertices[candidates, :2]
    ]
    lids = seen & (_to_lines(vertices, marks, EYE_LEFT, EYE_RIGHT) < EYE_MM * size)
    lips = seen & (_to_lines(vertices, marks, LIPS_OUTER, LIPS_INNER) < LIPS_MM * size)
    # below a plane from under the chin to the foot of the skull
    back = vertices[skin, 2].min()
    slope = (marks[NOSE_TIP, 1] - 25 * size - marks[CHIN, 1]) / min(back - marks[CHIN, 2], -1e-9)
    line = marks[CHIN, 1] - 14 * size + slope * (vertices[:, 2] - marks[CHIN, 2])
    neck = skin & (vertices[:, 1] < line) & ~face
    ears = template.regions.get("ears", np.zeros(len(vertices), bool)) & skin
    if not ears.any():  # beside the face, sticking out
        side = np.abs(vertices[:, 0] - middle[0])
        width = np.abs(polygon[:, 0] - middle[0]).max()
        high = (vertices[:, 1] < marks[FOREHEAD, 1] - 25 * size) & (vertices[:, 1] > marks[CHIN, 1] + 15 * size)
        ears = skin & ~face & ~neck & high & (side > width * 0.98)
    return Regions(skin, seen, face, lids, lips, neck, ears)


def rigid_bodies(template: Template, regions: Regions, names: Sequence[str]) -> list[np.ndarray]:  # of [V] bool
    """The connected pieces of some regions of the skin. Raises BridgeError "template-region" for unknown names."""
    known = {name: getattr(regions, name) for name in regions.__dataclass_fields__} | template.regions
    if missing := [name for name in names if name not in known]:
        raise BridgeError(
            "template-region",
            f"The template '{template.name}' has no region '{missing[0]}'.",
            f"Choose from {', '.join(sorted(known))}.",
        )
    chosen = regions.skin & np.any([known[name] for name in names] or [np.zeros(len(regions.skin), bool)], axis=0)
    edges = edges_of(template.faces)
    edges = edges[chosen[edges].all(1)]
    graph = coo_matrix((np.ones(len(edges)), edges.T), (len(chosen), len(chosen)))
    _, label = connected_components(graph, directed=False)
    return [chosen & (label == piece) for piece in np.unique(label[chosen])]


def exposed(template: Template) -> np.ndarray:  # [V] bool
    """Which vertices can be seen from outside: pictures from all around, each triangle in them marks its corners."""
    vertices = template.vertices
    triangles = template.triangles_of("skin", "eye_left", "eye_right")
    seen = directions_that_see(vertices, triangles, vertices[template.of_part("skin")], PICTURE)
    return (seen >= LEAST_SEEN) & ~template.regions.get("inner", np.zeros(len(vertices), bool))


def directions_that_see(vertices: np.ndarray, faces: np.ndarray, framed: np.ndarray, size: int) -> np.ndarray:  # [V]
    """From how many of DIRECTIONS all around each vertex is seen: teeth, sockets and what hair hides are not.

    framed [N, 3]: what the pictures of size x size pixels show whole.
    """
    middle, radius = (framed.min(0) + framed.max(0)) / 2, np.linalg.norm(np.ptp(framed, axis=0)) / 2
    cameras = []
    for i in range(DIRECTIONS):  # Fibonacci's sphere
        y = 1 - 2 * (i + 0.5) / DIRECTIONS
        angle = i * np.pi * (3 - 5**0.5)
        out = np.array([np.sqrt(1 - y * y) * np.sin(angle), y, np.sqrt(1 - y * y) * np.cos(angle)])
        x = np.cross([0, 1.0, 0], out)
        x /= np.linalg.norm(x)
        R = np.stack([x, np.cross(-out, x), -out])
        K = np.array([[4.8 * size, 0, size / 2], [0, 4.8 * size, size / 2], [0, 0, 1.0]])
        cameras.append(Camera(str(i), K, R, -R @ (middle + 10 * radius * out), size, size))
    seen = np.zeros(len(vertices), np.int32)
    for picture in make_rasteriser("cpu", cameras).render(vertices, faces).triangle:
        shown = np.unique(picture)
        seen[np.unique(faces[shown[shown >= 0]])] += 1
    return seen


def lip_pairs(template: Template, regions: Regions) -> np.ndarray:  # [n, 2] vertices, upper and lower
    """Vertices of the two lips that lie on each other in the template's neutral, its mouth closed."""
    vertices = template.vertices
    assert template.landmarks is not None, "regions are found by landmarks"
    marks = template.landmarks.points(vertices)
    size = np.linalg.norm(marks[FOREHEAD] - marks[CHIN]) / USUAL_HEIGHT_MM
    normals = vertex_normals(vertices, template.triangles_of("skin"))
    near = regions.skin & (_to_lines(vertices, marks, LIPS_INNER) < 2 * LIPS_MM * size)
    upper, lower = np.flatnonzero(near & (normals[:, 1] < -0.15)), np.flatnonzero(near & (normals[:, 1] > 0.15))
    if not len(upper) or not len(lower):
        return np.empty((0, 2), np.int64)
    far, which = cKDTree(vertices[lower]).query(vertices[upper])
    other = lower[which]
    facing = (normals[upper] * normals[other]).sum(1) < OPPOSITE
    # upper above lower: the outer faces of one lip look apart too
    right_way = vertices[upper, 1] > vertices[other, 1] - 0.5 * size
    chosen = (far < TOUCHING_MM * size) & facing & right_way
    return np.stack([upper[chosen], other[chosen]], 1)


def folds(template: Template, regions: Regions) -> list[np.ndarray]:  # of [V] bool
    """The mouth and each eye: skin, seen or not, so near the lines of lips and lids that they can pass through it."""
    assert template.landmarks is not None, "regions are found by landmarks"
    marks = template.landmarks.points(template.vertices)
    size = np.linalg.norm(marks[FOREHEAD] - marks[CHIN]) / USUAL_HEIGHT_MM
    lines = ((LIPS_OUTER, LIPS_INNER), (EYE_LEFT,), (EYE_RIGHT,))
    return [regions.skin & (_to_lines(template.vertices, marks, *each) < EYE_MM * size) for each in lines]


def _to_lines(vertices: np.ndarray, marks: np.ndarray, *lines: tuple[int, ...]) -> np.ndarray:  # [V]
    """Distance to closed lines of landmarks."""
    dense = []
    for line in lines:
        ring = marks[list(line)]
        for t in np.linspace(0, 1, 8, endpoint=False):
            dense.append((1 - t) * ring + t * np.roll(ring, -1, 0))
    return cKDTree(np.concatenate(dense)).query(vertices)[0]
